"""Who speaks: dominant speaker identification after Volfin and Cohen (Computer Speech & Language 27, 2013).

Each speaker has three scores, of how likely it is that he speaks: now, in the last 100 ms, and in the last second. Loud is
a frame that is well above his own quietest one; active is a stretch in which most are loud. The scores are log-likelihood
ratios of the number of loud frames, or active stretches, under a binomial and an exponential distribution. Three times a
second each is compared with the dominant speaker, and who exceeds him by the logarithms C1, C2 and C3 takes over; that
the medium score has to be exceeded keeps a cough from doing so, that of the long one an interjection from being reverted.

Instead of the sub-bands of the paper there are, as in the conference servers that use it, steps of 10 dB of the level that
comes with the packets. Their timeout of 40 ms without a level is not needed: each tick gives one, or it is known that
nobody speaks.
"""
from libc.math cimport log

import math

cdef enum:
    LOUDEST = 127
    STEP = (LOUDEST + N1 - 1) // N1     # dB
    LOUD = 7                # steps; a frame above it
    ACTIVE = 4              # loud frames; a stretch with more
    C1 = 3
    C2 = 2
    C3 = 0
    BACKGROUND = 62         # loudness, of what has not been heard yet
    LOOKED = 750            # frames with a level between looks at the quietest: 15 s

cdef double LEAST = 1e-10   # score
cdef double IMMEDIATE_RATE = 0.78
cdef double MEDIUM_RATE = 24
cdef double LONG_RATE = 47

cdef double[N1 + 1] _immediate
cdef double[N2 + 1] _medium
cdef double[N3 + 1] _long


def _score(int count, int total, double rate):
    """Of count out of total: log of binomial (one half) over exponential, LEAST at least."""
    return max(LEAST, math.log(math.comb(total, count)) + total * math.log(0.5) - math.log(rate) + rate * count)


for _count in range(N1 + 1):
    _immediate[_count] = _score(_count, N1, IMMEDIATE_RATE)
for _count in range(N2 + 1):
    _medium[_count] = _score(_count, N2, MEDIUM_RATE)
for _count in range(N3 + 1):
    _long[_count] = _score(_count, N3, LONG_RATE)


cdef void _watch_least(Speaker* speaker, uint8_t level) noexcept nogil:
    """The quietest frame there has been; every 15 s it comes nearer to the quietest in them."""
    if speaker.least == 0 or level < speaker.least:
        speaker.least = level
        speaker.estimate = 0
        speaker.since = 0
    elif speaker.estimate == 0:
        speaker.estimate = level
        speaker.since = 1
    else:
        speaker.estimate = min(speaker.estimate, level)
        speaker.since += 1
        if speaker.since >= LOOKED:
            speaker.least = <uint8_t>(<double>speaker.least * speaker.estimate) ** 0.5
            speaker.estimate = 0
            speaker.since = 0


cdef void speaker_push(Speaker* speaker, double level) noexcept nogil:
    """The level of a frame, dBov."""
    cdef uint8_t loudness = <uint8_t>max(0.0, min(127.0, LOUDEST + level))
    speaker.newest = (speaker.newest + 1) % HISTORY
    speaker.levels[speaker.newest] = loudness
    if loudness:
        _watch_least(speaker, loudness)


cdef void speaker_pass(Speaker* speaker, uint64_t ticks) noexcept nogil:
    """So many frames that are not listened to, since nobody speaks."""
    cdef uint64_t i
    if speaker.least == 0 and ticks:
        speaker.least = BACKGROUND
    for i in range(min(ticks, <uint64_t>HISTORY)):
        speaker.newest = (speaker.newest + 1) % HISTORY
        speaker.levels[speaker.newest] = 0


cdef inline int _steps(const Speaker* speaker, int ago) noexcept nogil:
    cdef int level = speaker.levels[(speaker.newest - ago + HISTORY) % HISTORY]
    return 0 if level < speaker.least + STEP else level // STEP


cdef void _evaluate(const Speaker* speaker, Scores* scores) noexcept nogil:
    cdef int i, k, loud
    cdef int recent = 0
    cdef int active = 0
    for i in range(N3):
        loud = 0
        for k in range(N2):
            loud += _steps(speaker, i * N2 + k) > LOUD
        if i == 0:
            recent = loud
        active += loud > ACTIVE
    scores.immediate = _immediate[_steps(speaker, 0)]
    scores.medium = _medium[recent]
    scores.long_term = _long[active]


cdef void contest_begin(Contest* contest, const Speaker* reigning) noexcept nogil:
    """reigning: who has been dominant, NULL: nobody."""
    contest.best = C2
    contest.winner = 0
    if reigning != NULL:
        _evaluate(reigning, &contest.reigning)
    else:
        contest.reigning.immediate = contest.reigning.medium = contest.reigning.long_term = LEAST


cdef void contest_enter(Contest* contest, const Speaker* speaker, int64_t id) noexcept nogil:
    """One of the others. The winner is he who exceeds most in the medium term of those who exceed in all."""
    cdef Scores scores
    cdef double medium
    if _steps(speaker, 0) == 0:
        return      # who is silent now exceeds nobody
    _evaluate(speaker, &scores)
    medium = log(scores.medium / contest.reigning.medium)
    if (
        log(scores.immediate / contest.reigning.immediate) > C1
        and medium > contest.best
        and log(scores.long_term / contest.reigning.long_term) > C3
    ):
        contest.best = medium
        contest.winner = id


cdef class DominantSpeaker:
    """The decisions of one mixer, for tests: levels in, who is dominant out."""

    cdef dict speakers      # id: bytearray that holds a Speaker
    cdef readonly object dominant
    cdef int ticks

    def __cinit__(self):
        self.speakers = {}

    cdef Speaker* _speaker(self, id) except NULL:
        cdef unsigned char[::1] memory
        if id not in self.speakers:
            self.speakers[id] = bytearray(sizeof(Speaker))
        memory = self.speakers[id]
        return <Speaker*>&memory[0]

    def tick(self, levels):
        """levels: dBov of each speaker (ids above 0) in these 20 ms. Who is dominant then, or None."""
        cdef Contest contest
        for id, level in levels.items():
            speaker_push(self._speaker(id), level)
        self.ticks += 1
        if self.ticks % DECIDED == 0:
            contest_begin(&contest, NULL if self.dominant is None else self._speaker(self.dominant))
            for id in levels:
                if id != self.dominant:
                    contest_enter(&contest, self._speaker(id), id)
            if contest.winner:
                self.dominant = contest.winner
        return self.dominant

    def rest(self, id, ticks):
        """So many ticks of silence of one speaker, in which no decision was due."""
        speaker_pass(self._speaker(id), ticks)

    def remove(self, id):
        self.speakers.pop(id, None)
        if self.dominant == id:
            self.dominant = None
