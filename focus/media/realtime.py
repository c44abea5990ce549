"""What the system may do for threads that must not be late: real-time priority, and memory that is never paged out.

Both need rights that a service mostly has not: CAP_SYS_NICE or an rtprio limit, CAP_IPC_LOCK or an unlimited memlock.
In a systemd unit that is `LimitRTPRIO=10` and `LimitMEMLOCK=infinity`. Without them everything works as before.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
from collections.abc import Iterable
from pathlib import Path

logger = logging.getLogger(__name__)

#: Among real-time priorities (1 to 99) a low one: before all that has none, after what the system itself has.
PRIORITY = 10
#: mlockall(2): what there is and what will be, each page once it is touched.
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
#: Number of the capability to lock memory beyond the limit (capabilities(7)).
CAP_IPC_LOCK = 14


def favour(threads: Iterable[int]) -> None:
    """Give these threads (as the kernel knows them) all that is allowed, and log what that was."""
    prompt = all([_hurry(thread) for thread in threads])
    logger.info(
        "audio has %s, and memory that is %slocked",
        "real-time priority" if prompt else "no real-time priority (not allowed)",
        "" if _lock_memory() else "not ",
    )


def _hurry(thread: int) -> bool:
    try:
        os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(PRIORITY))
    except OSError:
        return False
    return True


def _lock_memory() -> bool:
    """Lock all memory of the process. Not where there is a limit: what is allocated beyond it later would fail."""
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    if not (unlimited or _capable(CAP_IPC_LOCK)):
        return False
    failed: int = ctypes.CDLL(None).mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
    return not failed


def _capable(capability: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False
