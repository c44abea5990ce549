from __future__ import annotations

import os
import subprocess
import sys
import threading

from focus.media.plane import MediaPlane
from focus.media.realtime import PRIORITY


def may_hurry() -> bool:
    """Whether this process may have real-time threads; tried on one that ends at once."""
    found = []

    def attempt() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            found.append(True)
        except OSError:
            found.append(False)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return found[0]


def run(program: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: what is locked stays locked."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)


def test_audio_goes_before_other_work_where_that_is_allowed() -> None:
    done = run("""
import asyncio, os
from focus.media.plane import MediaPlane
async def main():
    plane = MediaPlane([("127.0.0.1", 0)], shards=2, realtime=True)
    await plane.start()
    for each in plane._shards.planes:
        print(os.sched_getscheduler(each.thread_id), os.sched_getparam(each.thread_id).sched_priority)
    print(os.sched_getscheduler(0))
    await plane.stop()
asyncio.run(main())
""")
    expected = f"{os.SCHED_RR} {PRIORITY}" if may_hurry() else f"{os.SCHED_OTHER} 0"
    assert done.stdout.splitlines() == [expected, expected, str(os.SCHED_OTHER)]


def test_what_is_not_allowed_is_logged_and_no_more() -> None:
    """A user without rights, and a thread that is not there."""
    done = run("""
import logging, os, resource
from focus.media.realtime import favour
logging.basicConfig(level="INFO")
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
if os.geteuid() == 0:
    os.setuid(65534)
favour([2**22 + 1])
""")
    assert "audio has no real-time priority (not allowed), and memory that is not locked" in done.stderr


async def test_it_is_not_asked_for_unless_wanted() -> None:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    assert plane._shards.planes[0].thread_id is not None
    assert os.sched_getscheduler(plane._shards.planes[0].thread_id) == os.SCHED_OTHER
    await plane.stop()
