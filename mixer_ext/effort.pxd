# How hard the encoders work, by how much of a core the plane's thread takes.
from libc.stdint cimport int64_t, uint64_t

cdef enum:
    COMPLEXITY = 5      # of Opus, where there is time enough

cdef struct Effort:
    double relief       # share of a core above which encoding is made cheaper
    double load         # share of its time that the thread was at work, or waited for a core, lately
    int complexity
    int calm            # windows in a row that were well below relief
    uint64_t since      # tick that the window began with
    int64_t spent       # CPU time of the thread until then, ns
    int64_t behind      # ns since then in which ticks were due that had not been made
    int64_t made        # when the last ones had been, ns

cdef void effort_begin(Effort* effort, double relief) noexcept nogil
cdef void effort_note(Effort* effort, uint64_t time) noexcept nogil
cdef void effort_made(Effort* effort, int64_t due, int64_t now) noexcept nogil
cdef void effort_rest(Effort* effort, uint64_t time) noexcept nogil
