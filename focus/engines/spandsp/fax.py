"""Faxes with libspandsp: T.30 over V.27ter, V.29 and V.17, with error correction (`focus.engines.fax`)."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from focus.engines import tiff
from focus.engines.fax import (
    FAILED,
    SAMPLE_RATE,
    DocumentError,
    EngineMissing,
    FaxError,
    FaxResult,
    Role,
    Samples,
    folded,
    header_of,
    identity_of,
)
from focus.engines.spandsp.library import Library, LibraryMissing, load

_DECLARATIONS = """
typedef struct fax_state_s fax_state_t;
typedef struct t30_state_s t30_state_t;
typedef int (*t30_phase_d_handler_t)(t30_state_t *s, void *user_data, int result);
typedef void (*t30_phase_e_handler_t)(t30_state_t *s, void *user_data, int completion_code);
typedef void (*t30_real_time_frame_handler_t)(
    t30_state_t *s, void *user_data, int direction, const uint8_t *msg, int len);
typedef struct {
    int bit_rate;
    int error_correcting_mode;
    int pages_tx;
    int pages_rx;
    int pages_in_file;
    int x_resolution;
    int y_resolution;
    int width;
    int length;
    int image_size;
    int encoding;
    int bad_rows;
    int longest_bad_row_run;
    int error_correcting_mode_retries;
    int current_status;
} t30_stats_t;

fax_state_t *fax_init(fax_state_t *s, int calling_party);
int fax_free(fax_state_t *s);
int fax_rx(fax_state_t *s, int16_t *amp, int len);
int fax_tx(fax_state_t *s, int16_t *amp, int max_len);
void fax_set_transmit_on_idle(fax_state_t *s, int transmit_on_idle);
t30_state_t *fax_get_t30_state(fax_state_t *s);

int t30_set_tx_ident(t30_state_t *s, const char *id);
const char *t30_get_rx_ident(t30_state_t *s);
int t30_set_tx_page_header_info(t30_state_t *s, const char *info);
int t30_set_tx_page_header_tz(t30_state_t *s, const char *tzstring);
void t30_set_rx_file(t30_state_t *s, const char *file, int stop_page);
void t30_set_tx_file(t30_state_t *s, const char *file, int start_page, int stop_page);
int t30_set_ecm_capability(t30_state_t *s, int enabled);
int t30_set_rx_encoding(t30_state_t *s, int encoding);
int t30_set_supported_modems(t30_state_t *s, int supported_modems);
int t30_set_supported_compressions(t30_state_t *s, int supported_compressions);
int t30_set_supported_resolutions(t30_state_t *s, int supported_resolutions);
int t30_set_supported_image_sizes(t30_state_t *s, int supported_image_sizes);
void t30_set_phase_d_handler(t30_state_t *s, t30_phase_d_handler_t handler, void *user_data);
void t30_set_phase_e_handler(t30_state_t *s, t30_phase_e_handler_t handler, void *user_data);
void t30_set_real_time_frame_handler(t30_state_t *s, t30_real_time_frame_handler_t handler, void *user_data);
void t30_get_transfer_statistics(t30_state_t *s, t30_stats_t *t);
void t30_terminate(t30_state_t *s);
const char *t30_completion_code_to_str(int result);
"""

#: V.27ter, V.29 and V.17; T.4 one- and two-dimensional, and T.6; 98, 196 and 391 lines to the inch at 102, 204 and 408
#: columns; widths of A4, B4 and A3, and any length, A4 and B4.
_MODEMS = 1 | 2 | 4
_COMPRESSIONS = 2 | 4 | 8
_RESOLUTIONS = 1 | 2 | 4 | 0x10000 | 0x20000 | 0x40000
_IMAGE_SIZES = 1 | 2 | 4 | 0x10000 | 0x20000 | 0x40000

#: What is received is written in T.6: half as large as T.4.
_T6 = 3

#: Its field for the name of a file, with the NUL. What is longer it would cut.
_MAX_PATH = 256

# Facsimile control fields (T.30 section 5.3.6.1), first bit sent on top, without the bit that says whose they are.
_EOP, _PRI_EOP, _PPS, _EOR = 0x2E, 0x3E, 0xBE, 0xCE
_MCF, _ERR = 0x8C, 0x1C
_COMMANDS = frozenset({0x8E, 0x4E, _EOP, 0x9E, 0x5E, _PRI_EOP, _PPS, _EOR})

_DROPPED = 49

#: For so many samples the receiver waits for the farewell, or for its last receipt to be asked for again. T.30 has the
#: sender ask three times, every 3 s; the library would wait for ever.
_FAREWELL = 15 * SAMPLE_RATE


class SpandspFax:
    """The FaxEngine that uses libspandsp.

    `timezone` is that of the time above pages with a header, as POSIX has it in TZ ("CET-1CEST,M3.5.0,M10.5.0/3");
    without, it is the machine's. Without `ecm` errors are not corrected, but pages get through where they hardly would,
    damaged.
    """

    def __init__(self, *, timezone: str = "", ecm: bool = True) -> None:
        self._timezone = timezone
        self._ecm = ecm

    def receive(self, path: Path, *, identity: str = "", role: Role = Role.ANSWERING) -> SpandspTerminal:
        """See `FaxEngine.receive`."""
        identity = identity_of(identity)
        name = _name(path)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise FaxError("the folder for received faxes cannot be written to")
        terminal = SpandspTerminal(_library(), role, identity, ecm=self._ecm)
        terminal.take(path, name)
        return terminal

    def send(
        self, path: Path, *, identity: str = "", headers: Sequence[str] = (), role: Role = Role.CALLING
    ) -> SpandspTerminal:
        """See `FaxEngine.send`."""
        identity = identity_of(identity)
        lines = [header_of(header) for header in headers]
        name = _name(path)
        pages = len(tiff.read(path))
        if not pages:
            raise DocumentError("there is no page to send")
        if lines and len(lines) != pages:
            raise ValueError(f"{len(lines)} headers for {pages} pages")
        terminal = SpandspTerminal(_library(), role, identity, ecm=self._ecm)
        terminal.give(name, pages, lines or [""] * pages, self._timezone)
        return terminal


class SpandspTerminal:
    """See `FaxTerminal`."""

    def __init__(self, library: Library, role: Role, identity: str, *, ecm: bool) -> None:
        self._ffi, self._lib = library.ffi, library.lib
        self._identity = identity
        self._lock = threading.RLock()  # the library calls back out of what it is called for
        self._headers: list[str] = []
        self._total: int | None = None
        self._path: Path | None = None
        self._written = 0  # pages of it that are on the disk
        self._is_full = False  # the disk, or what else there is to keep a page from it
        self._bad_rows = 0
        self._acknowledged = False
        self._command = b""
        self._waited = 0
        self._code: int | None = None
        self._result: FaxResult | None = None
        self._fax = self._lib.fax_init(self._ffi.NULL, role is Role.CALLING)
        if self._fax == self._ffi.NULL:
            raise MemoryError("no memory for a fax terminal")
        self._statistics = self._ffi.new("t30_stats_t *")
        self._t30 = self._lib.fax_get_t30_state(self._fax)
        self._callbacks = _callbacks(library)
        self._key = self._callbacks.register(self)
        self._set_up(ecm)

    def _set_up(self, ecm: bool) -> None:
        lib, t30 = self._lib, self._t30
        lib.fax_set_transmit_on_idle(self._fax, True)
        lib.t30_set_supported_modems(t30, _MODEMS)
        lib.t30_set_supported_compressions(t30, _COMPRESSIONS)
        lib.t30_set_supported_resolutions(t30, _RESOLUTIONS)
        lib.t30_set_supported_image_sizes(t30, _IMAGE_SIZES)
        lib.t30_set_ecm_capability(t30, ecm)
        lib.t30_set_tx_ident(t30, self._identity.encode())
        callbacks = self._callbacks
        user_data = self._ffi.cast("void *", self._key)
        lib.t30_set_phase_d_handler(t30, callbacks.phase_d, user_data)
        lib.t30_set_phase_e_handler(t30, callbacks.phase_e, user_data)
        lib.t30_set_real_time_frame_handler(t30, callbacks.frame, user_data)

    def take(self, path: Path, name: bytes) -> None:
        """Receive a document."""
        self._path = path
        self._lib.t30_set_rx_encoding(self._t30, _T6)
        self._lib.t30_set_rx_file(self._t30, name, -1)

    def give(self, name: bytes, pages: int, headers: list[str], timezone: str) -> None:
        """Send a document."""
        self._total = pages
        self._headers = headers
        if timezone:
            self._lib.t30_set_tx_page_header_tz(self._t30, timezone.encode())
        self._lib.t30_set_tx_page_header_info(self._t30, headers[0].encode())
        self._lib.t30_set_tx_file(self._t30, name, -1, -1)

    # --- FaxTerminal --------------------------------------------------------------------------------------------------

    def exchange(self, received: Samples) -> Samples:
        """See `FaxTerminal.exchange`."""
        heard = np.ascontiguousarray(received, np.int16)
        said = np.zeros(len(heard), np.int16)
        with self._lock:
            if self._fax is None:
                raise ValueError("the terminal is closed")
            if len(heard):
                self._lib.fax_rx(self._fax, self._ffi.cast("int16_t *", heard.ctypes.data), len(heard))
                if self._is_full:
                    self.terminate()  # before there is a receipt for what is not there
                self._lib.fax_tx(self._fax, self._ffi.cast("int16_t *", said.ctypes.data), len(said))
                self._wait(len(said))
        return said

    def _wait(self, samples: int) -> None:
        self._waited += samples
        if self._acknowledged and self._waited > _FAREWELL:
            self.terminate()

    @property
    def is_over(self) -> bool:
        """See `FaxTerminal.is_over`."""
        return self._code is not None

    @property
    def pages(self) -> int:
        """See `FaxTerminal.pages`."""
        with self._lock:
            if self._result is not None:
                return self._result.pages
            return int(self._read_statistics().pages_tx) if self._path is None else self._written

    def terminate(self) -> None:
        """See `FaxTerminal.terminate`."""
        with self._lock:
            if self._fax is not None and self._code is None:
                self._lib.t30_terminate(self._t30)
                if self._code is None:  # it has called `_phase_e`, unless it has nothing to end
                    self._code = _DROPPED

    def result(self) -> FaxResult:
        """See `FaxTerminal.result`."""
        with self._lock:
            return self._result or self._compose()

    def close(self) -> None:
        """See `FaxTerminal.close`."""
        with self._lock:
            if self._fax is None:
                return
            self.terminate()
            result = self._compose()
            self._lib.fax_free(self._fax)  # which closes the file
            self._fax = self._t30 = None
            self._callbacks.forget(self._key)
            self._result = result

    # --- what the library tells, from within a call of it -------------------------------------------------------------

    def _on_phase_d(self) -> None:
        """A page has gone over, or has come, or neither quite; nothing of the next has been read yet."""
        statistics = self._read_statistics()
        if self._path is not None:
            self._bad_rows += statistics.bad_rows
            # The library does not look whether it could write.
            self._written = self._kept()
            self._is_full = self._written < statistics.pages_rx
        elif statistics.pages_tx < len(self._headers):
            self._lib.t30_set_tx_page_header_info(self._t30, self._headers[statistics.pages_tx].encode())

    def _kept(self) -> int:
        """How many pages are on the disk, where nothing but the disk itself can take them away.

        The receipt for the last of them goes when this returns, and who has it throws the letter away. Nobody else
        waits for the disk: in the service this runs in the terminal's own process (`focus.engines.spandsp.isolation`),
        for which only the thread of the line waits, and for T.30 no time passes meanwhile. It takes 1 to 12 ms for a
        page, where the sound that is ready lasts for 200 ms, and there is nothing to say while a page comes.
        """
        assert self._path is not None
        try:
            for path in (self._path, self._path.parent)[: 1 if self._written else 2]:  # the folder: that it is there
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError:
            return self._written
        return len(self._pages_there())

    def _on_phase_e(self, code: int) -> None:
        self._code = code

    def _on_frame(self, is_received: bool, field: int, second: int) -> None:
        """A frame of T.30 has come or goes: is it the receipt for the last page?"""
        self._waited = 0
        if is_received:
            if field in _COMMANDS:
                self._command = bytes([field, second])
        elif self._path is not None and field in (_MCF, _ERR) and self._command:
            last = self._command[1] & 0xFE if self._command[0] in (_PPS, _EOR) else self._command[0]
            self._acknowledged = last in (_EOP, _PRI_EOP)

    # --- results ------------------------------------------------------------------------------------------------------

    def _compose(self) -> FaxResult:
        statistics = self._read_statistics()
        pages = int(statistics.pages_tx) if self._path is None else self._written
        code = self._code
        # The farewell may be lost, or the other end may do without: what counts is the receipt for the last page.
        is_whole = pages > 0 and (pages == self._total if self._path is None else self._acknowledged)
        if code is not None and self._is_full:
            code = FAILED
        elif code is not None and is_whole:
            code = 0
        ident = self._lib.t30_get_rx_ident(self._t30)
        remote = "" if ident == self._ffi.NULL else self._ffi.string(ident).decode("latin-1")
        text = "still going on" if code is None else self._text(code)
        return FaxResult(
            code=code,
            text=text,
            pages=pages,
            total_pages=pages if self._path is not None and is_whole else self._total,
            bad_rows=self._bad_rows,
            transfer_rate=int(statistics.bit_rate),
            ecm=bool(statistics.error_correcting_mode),
            resolution=(_per_inch(statistics.x_resolution), _per_inch(statistics.y_resolution)),
            image_size=self._image_size(statistics),
            local_identity=self._identity,
            remote_identity=folded(remote),
        )

    def _image_size(self, statistics: Any) -> tuple[int, int]:
        """The library's own idea of a received page is gone once it has been written."""
        if self._path is None:
            return int(statistics.width), int(statistics.length)
        pages = self._pages_there()
        return pages[-1].size if pages else (0, 0)

    def _pages_there(self) -> tuple[tiff.Page, ...]:
        """The whole pages of what is received."""
        assert self._path is not None
        try:
            return tiff.read(self._path)
        except (DocumentError, OSError):
            return ()

    def _text(self, code: int) -> str:
        if code == FAILED:
            return "a page that came could not be written"
        return str(self._ffi.string(self._lib.t30_completion_code_to_str(code)).decode("latin-1"))

    def _read_statistics(self) -> Any:
        self._lib.t30_get_transfer_statistics(self._t30, self._statistics)
        return self._statistics


class _Callbacks:
    """The library's ways to call us, one of each for all terminals: which is meant is in the user data.

    They are called by the thread that has called the library, and before it returns there.
    """

    def __init__(self, ffi: Any) -> None:
        self._terminals: dict[int, SpandspTerminal] = {}
        self._keys = itertools.count(1)

        @ffi.callback("t30_phase_d_handler_t")  # type: ignore[untyped-decorator]
        def phase_d(t30: Any, user_data: Any, result: int) -> int:
            self._terminals[int(ffi.cast("uintptr_t", user_data))]._on_phase_d()
            return 0

        @ffi.callback("t30_phase_e_handler_t")  # type: ignore[untyped-decorator]
        def phase_e(t30: Any, user_data: Any, completion_code: int) -> None:
            self._terminals[int(ffi.cast("uintptr_t", user_data))]._on_phase_e(completion_code)

        @ffi.callback("t30_real_time_frame_handler_t")  # type: ignore[untyped-decorator]
        def frame(t30: Any, user_data: Any, direction: int, msg: Any, length: int) -> None:
            if length > 2:
                second = msg[3] if length > 3 else 0
                self._terminals[int(ffi.cast("uintptr_t", user_data))]._on_frame(bool(direction), msg[2] & 0xFE, second)

        self.phase_d, self.phase_e, self.frame = phase_d, phase_e, frame

    def register(self, terminal: SpandspTerminal) -> int:
        key = next(self._keys)
        self._terminals[key] = terminal
        return key

    def forget(self, key: int) -> None:
        del self._terminals[key]


@cache
def _callbacks(library: Library) -> _Callbacks:
    return _Callbacks(library.ffi)


def check_engine() -> None:
    """Raises `EngineMissing` where there is no libspandsp that can be used."""
    _library()


def _library() -> Library:
    try:
        return load(_DECLARATIONS)
    except LibraryMissing as error:
        raise EngineMissing(str(error)) from None


def _name(path: Path) -> bytes:
    name = os.fsencode(path)
    if len(name) >= _MAX_PATH:
        raise FaxError(f"the path of the file has {len(name)} bytes, {_MAX_PATH - 1} is the most")
    return name


def _per_inch(per_metre: int) -> int:
    return round(per_metre * 0.0254)
