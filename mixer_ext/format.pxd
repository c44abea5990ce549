# How a leg is sent sound, and how what it sends is understood.
from mixer_ext.codec cimport Codec, Coding
from mixer_ext.dtmf cimport EVENT_RATES

# What set_codec says.
cdef struct Format:
    Codec* codec
    Coding coding
    int payload_type
    int level_extension     # RFC 6464, 0: none
    int mixed_extension     # RFC 6465
    int event_types[EVENT_RATES]    # payload types of telephone events at dtmf_rate(i), -1: none

cdef int format_complete(Format* format, str name, dict telephone_events) except -1
