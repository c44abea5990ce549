"""What set_codec says, checked."""
from mixer_ext.codec cimport OPUS, PCMA, PCMU, codec_free, codec_new, coding_check
from mixer_ext.dtmf cimport dtmf_rate
from mixer_ext.packing cimport MOST_FRAMES, packing_free, packing_new

cdef dict CODECS = {"opus": OPUS, "pcmu": PCMU, "pcma": PCMA}


cdef int _event_types(int* types, dict wanted, int taken) except -1:
    """The payload types of telephone events by their rates."""
    cdef int i
    for i in range(EVENT_RATES):
        found = [number for number, rate in wanted.items() if rate == dtmf_rate(i)]
        if len(found) > 1:
            raise ValueError(f"telephone events at {dtmf_rate(i)} Hz twice")
        types[i] = found[0] if found else -1
        if found and (types[i] == taken or not 0 <= types[i] <= 127):
            raise ValueError(f"no payload type for telephone events: {types[i]}")
    if any([rate not in (8000, 48000) for rate in wanted.values()]):
        raise ValueError("telephone events have 8000 or 48000 Hz")
    return 0


cdef int _extensions_check(const Format* format) except -1:
    for number in (format.level_extension, format.mixed_extension):
        if not 0 <= number <= 255 or number == 15:
            raise ValueError(f"no identifier of an extension: {number}")
    if format.level_extension and format.level_extension == format.mixed_extension:
        raise ValueError(f"an identifier for two extensions: {format.level_extension}")
    return 0


cdef int format_complete(Format* format, str name, int ptime, dict telephone_events) except -1:
    """Check what is filled in and fill in the rest: the kind of codec and the codec and, for packets of more than 20 ms,
    where they are put together, which format_clear frees, and the payload types of {payload type: clock rate}. ValueError
    for what cannot be.
    """
    name = name.lower()
    if name not in CODECS:
        raise ValueError(f"unknown codec: {name}")
    _extensions_check(format)
    if not 0 <= format.payload_type <= 127:
        raise ValueError(f"no payload type: {format.payload_type}")
    _event_types(format.event_types, telephone_events, format.payload_type)
    if ptime != 10 and not (ptime % 20 == 0 and 1 <= ptime // 20 <= MOST_FRAMES):
        raise ValueError(f"no packets of {ptime} ms")
    format.coding.kind = CODECS[name]
    format.coding.halves = format.halves = ptime == 10
    coding_check(&format.coding)
    if ptime > 20:
        format.packing = packing_new(format.coding.kind, ptime // 20)
    try:
        format.codec = codec_new(format.coding.kind)
    except BaseException:
        format_clear(format)
        raise
    return 0


cdef void format_clear(Format* format) noexcept nogil:
    codec_free(format.codec)
    packing_free(format.packing)
