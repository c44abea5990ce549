# How a leg is sent sound, and how what it sends is understood.
from mixer_ext.codec cimport Codec, Coding
from mixer_ext.dtmf cimport EVENT_RATES
from mixer_ext.packing cimport Packing

# What set_codec says.
cdef struct Format:
    Codec* codec
    Coding coding
    bint halves             # each payload is sent as two packets of 10 ms
    Packing* packing        # where several are sent as one; else NULL
    int payload_type
    int level_extension     # RFC 6464, 0: none
    int mixed_extension     # RFC 6465
    int event_types[EVENT_RATES]    # payload types of telephone events at dtmf_rate(i), -1: none

cdef int format_complete(Format* format, str name, int ptime, dict telephone_events) except -1
cdef void format_clear(Format* format) noexcept nogil
