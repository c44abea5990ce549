"""Signals that libspandsp detects: keys (ITU-T Q.23 and Q.24), and how fax machines and modems say what they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from focus.engines.moments import NARROW_RATE
from focus.engines.signals import DetectorMissing, Heard, Sound
from focus.engines.spandsp.library import Library, LibraryMissing, load

_DECLARATIONS = """
typedef struct dtmf_rx_state_s dtmf_rx_state_t;
dtmf_rx_state_t *dtmf_rx_init(dtmf_rx_state_t *s, void *callback, void *user_data);
int dtmf_rx(dtmf_rx_state_t *s, const int16_t amp[], int samples);
int dtmf_rx_status(dtmf_rx_state_t *s);
size_t dtmf_rx_get(dtmf_rx_state_t *s, char *digits, int max);
int dtmf_rx_free(dtmf_rx_state_t *s);

typedef struct modem_connect_tones_rx_state_s modem_connect_tones_rx_state_t;
modem_connect_tones_rx_state_t *modem_connect_tones_rx_init(
    modem_connect_tones_rx_state_t *s, int tone_type, void *callback, void *user_data);
int modem_connect_tones_rx(modem_connect_tones_rx_state_t *s, const int16_t amp[], int len);
int modem_connect_tones_rx_get(modem_connect_tones_rx_state_t *s);
int modem_connect_tones_rx_free(modem_connect_tones_rx_state_t *s);

enum {
    FAX_CNG = 1, ANS = 2, ANS_PR = 3, ANSAM = 4, ANSAM_PR = 5, FAX_PREAMBLE = 6, FAX_CED_OR_PREAMBLE = 7,
    BELL_ANS = 8, CALLING_TONE = 9
};
"""

#: What the library is given at once: a key's length is known by so much, in samples.
_STEP = NARROW_RATE // 100
_NO_KEY, _PERHAPS = 0, ord("x")

#: Which of its detectors listens for a signal, and which of what that finds it is. An answering fax machine is heard
#: by CED, or by the preamble of what it sends next; modems answer with a modulated tone, or turn its phase.
_CONNECT_TONES = {
    "fax-cng": (("FAX_CNG", ("FAX_CNG",)),),
    "fax-ced": (("FAX_CED_OR_PREAMBLE", ("ANS", "FAX_PREAMBLE")),),
    "modem": (
        ("ANSAM_PR", ("ANS_PR", "ANSAM", "ANSAM_PR")),
        ("BELL_ANS", ("BELL_ANS",)),
        ("CALLING_TONE", ("CALLING_TONE",)),
    ),
}


def _loaded() -> Library:
    """Raises `DetectorMissing`."""
    try:
        return load(_DECLARATIONS)
    except LibraryMissing as error:
        raise DetectorMissing(str(error)) from None


def _pieces(library: Library, sound: Sound) -> Iterator[tuple[Any, int]]:
    """The narrow sound as the library takes it: no more than a step at a time."""
    samples = library.ffi.from_buffer("int16_t[]", sound.narrow)
    for start in range(0, len(sound.narrow), _STEP):
        yield samples + start, min(_STEP, len(sound.narrow) - start)


class Keys:
    """Keys of a telephone as the sound that they make; each once, when it is over. Raises `DetectorMissing`."""

    def __init__(self) -> None:
        self._library = _loaded()
        ffi, lib = self._library.ffi, self._library.lib
        self._state = ffi.gc(lib.dtmf_rx_init(ffi.NULL, ffi.NULL, ffi.NULL), lib.dtmf_rx_free)
        self._digits = ffi.new("char[129]")
        self._key: str | None = None
        self._samples = 0

    def feed(self, sound: Sound) -> Iterator[Heard]:
        lib = self._library.lib
        for samples, count in _pieces(self._library, sound):
            lib.dtmf_rx(self._state, samples, count)
            length = lib.dtmf_rx_get(self._state, self._digits, 128)
            for key in self._library.ffi.string(self._digits, length).decode():
                if self._key is not None:
                    yield self._over()
                self._key = key
            status = lib.dtmf_rx_status(self._state)
            if self._key is not None and status in (_NO_KEY, _PERHAPS):
                yield self._over()
            self._samples = self._samples + count if status != _NO_KEY else 0

    def _over(self) -> Heard:
        heard = Heard("dtmf", self._samples / NARROW_RATE, self._key)
        self._key, self._samples = None, 0
        return heard


class ConnectTones:
    """One of fax-cng, fax-ced and modem; each tone once, as soon as it is certain. Raises `DetectorMissing`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._library = _loaded()
        ffi, lib = self._library.ffi, self._library.lib
        self._listening = []
        for detector, tones in _CONNECT_TONES[name]:
            state = lib.modem_connect_tones_rx_init(ffi.NULL, getattr(lib, detector), ffi.NULL, ffi.NULL)
            meant = frozenset(getattr(lib, tone) for tone in tones)
            self._listening.append((ffi.gc(state, lib.modem_connect_tones_rx_free), meant))

    def feed(self, sound: Sound) -> Iterator[Heard]:
        lib = self._library.lib
        for samples, count in _pieces(self._library, sound):
            for state, meant in self._listening:
                lib.modem_connect_tones_rx(state, samples, count)
                if lib.modem_connect_tones_rx_get(state) in meant:
                    yield Heard(self._name)
