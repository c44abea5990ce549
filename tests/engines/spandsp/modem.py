"""A fax modem (T.31, class 1) on a pseudo terminal, for programs with a T.30 of their own; libspandsp is its DSP."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import pty
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from focus.engines.fax import SAMPLE_RATE, FaxTerminal, Samples
from focus.engines.spandsp.library import load
from tests.engines.faxes import FRAME

_DECLARATIONS = """
typedef struct t31_state_s t31_state_t;
typedef struct at_state_s at_state_t;
typedef int (*at_tx_handler_t)(at_state_t *s, void *user_data, const uint8_t *buf, size_t len);
typedef int (*t31_modem_control_handler_t)(t31_state_t *s, void *user_data, int op, const char *num);
t31_state_t *t31_init(
    t31_state_t *s, at_tx_handler_t at_tx_handler, void *at_tx_user_data,
    t31_modem_control_handler_t modem_control_handler, void *modem_control_user_data,
    void *tx_t38_packet_handler, void *tx_t38_packet_user_data);
int t31_free(t31_state_t *s);
void t31_call_event(t31_state_t *s, int event);
int t31_at_rx(t31_state_t *s, const char *t, int len);
int t31_rx(t31_state_t *s, int16_t *amp, int len);
int t31_tx(t31_state_t *s, int16_t *amp, int max_len);
void t31_set_transmit_on_idle(t31_state_t *s, int transmit_on_idle);
"""

_CALL, _ANSWER, _HANGUP, _CLEAR_TO_SEND = 0, 1, 2, 7
_CONNECTED, _ANSWERED = 2, 3


class Modem:
    """What dials or answers is connected at once; `device` is where the program finds it."""

    def __init__(self) -> None:
        library = load(_DECLARATIONS)
        self._ffi, self._lib = library.ffi, library.lib
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.device = os.ttyname(self._slave)
        self.is_off_hook = False
        self._is_clear = True  # to send; what does not heed it overruns the modem

        @self._ffi.callback("at_tx_handler_t")  # type: ignore[untyped-decorator]
        def respond(state: Any, user_data: Any, buffer: Any, length: int) -> int:
            os.write(self._master, bytes(self._ffi.buffer(buffer, length)))
            return 0

        @self._ffi.callback("t31_modem_control_handler_t")  # type: ignore[untyped-decorator]
        def control(state: Any, user_data: Any, operation: int, number: Any) -> int:
            if operation == _CLEAR_TO_SEND:
                self._is_clear = bool(self._ffi.cast("intptr_t", number))
            elif operation in (_CALL, _ANSWER):
                self.is_off_hook = True
                self._lib.t31_call_event(self._modem, _CONNECTED if operation == _CALL else _ANSWERED)
            elif operation == _HANGUP:
                self.is_off_hook = False
            return 0

        self._callbacks = respond, control
        null = self._ffi.NULL
        self._modem = self._lib.t31_init(null, respond, null, control, null, null, null)
        self._lib.t31_set_transmit_on_idle(self._modem, True)

    def read(self) -> bool:
        """Take what the program has written, as far as there is room; whether there was anything."""
        has_read = False
        while self._is_clear:
            try:
                data = os.read(self._master, 256)
            except BlockingIOError:
                break
            self._lib.t31_at_rx(self._modem, data, len(data))
            has_read = True
        return has_read

    @property
    def is_read(self) -> bool:
        """Whether the program has read all that the modem has said."""
        unread = array.array("i", [0])
        fcntl.ioctl(self._slave, termios.FIONREAD, unread)
        return not unread[0]

    def exchange(self, received: Samples) -> Samples:
        """As a fax terminal's."""
        heard = np.ascontiguousarray(received, np.int16)
        said = np.zeros(len(heard), np.int16)
        self._lib.t31_rx(self._modem, self._ffi.cast("int16_t *", heard.ctypes.data), len(heard))
        self._lib.t31_tx(self._modem, self._ffi.cast("int16_t *", said.ctypes.data), len(said))
        return said

    def close(self) -> None:
        self._lib.t31_free(self._modem)
        os.close(self._master)
        os.close(self._slave)


#: The line is so much faster than time. A pause of the program, 100 ms as a rule, is a second of it then: T.30 waits
#: for three.
SPEED = 10


async def converse(
    program: asyncio.subprocess.Process, modem: Modem, terminal: FaxTerminal, goes_on: Callable[[], bool]
) -> None:
    """Let the program talk to `terminal` through its modem, until it has ended.

    The line stands still until the program is off the hook, and while it has something to do: how slow a machine is
    makes no difference to it then. And it does while not `goes_on`.
    """
    loop = asyncio.get_running_loop()
    heard = said = np.zeros(FRAME, np.int16)
    due = loop.time()
    while program.returncode is None:
        # In this order: what it wrote before it waited has been read then.
        waits = _waits(program.pid) and modem.is_read and not modem.read()
        if waits and modem.is_off_hook and goes_on():
            heard, said = terminal.exchange(said), modem.exchange(heard)
            due += FRAME / SAMPLE_RATE / SPEED
        else:
            due = loop.time() + 0.001
        # Never more than a frame at a time, however late it is: the program is to hear of each.
        due = max(due, loop.time() - 0.01)
        await asyncio.sleep(max(0.0, due - loop.time()))


def _waits(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state == "S"
