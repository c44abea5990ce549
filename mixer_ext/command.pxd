# Commands from Python to the plane.
from libc.stdint cimport int64_t

from mixer_ext.format cimport Format
from mixer_ext.graph cimport Node, Tap
from mixer_ext.leg cimport Leg
from mixer_ext.net cimport Address
from mixer_ext.route cimport Route
from mixer_ext.srtp cimport Secure
from mixer_ext.state cimport (
    ADD_NODE,
    ALLOW,
    CLOSE_TAP,
    EXPECT_RESPONSE,
    JOIN,
    OPEN_TAP,
    REMOVE_NODE,
    SET_CONSENT,
    ROUSE,
    SET_AGC,
    SET_DELAY,
    SET_FORMAT,
    SET_GAIN,
    SET_KEYS,
    SET_LISTENER_GAIN,
    SET_LOUDEST,
    SET_MUTE,
    SET_PLAIN,
    SET_PLAY,
    SET_REMOTE,
    SET_SEND,
    SET_UFRAG,
    UNJOIN,
    Command,
    Core,
)

cdef void command_push(Core* core, Command* command) noexcept nogil
cdef void commands_apply(Core* core, int64_t now) noexcept nogil
cdef void commands_bury(Core* core) noexcept nogil
cdef void wake(Core* core) noexcept nogil
cdef Route* allow(Core* core, Leg* leg, int local, Address* address) noexcept nogil
cdef void set_remote(Core* core, Leg* leg, int local, Address* address) noexcept nogil
