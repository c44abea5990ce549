"""Keys that callers press as sound alone, heard where somebody waits for keys of callers who cannot tell them better.

Who waits for none costs nothing; who has telephone events (RFC 4733) is never listened to, since each key would come
twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from focus.engines.signals import DetectorMissing, Heard, Narrowing
from focus.engines.spandsp.tones import Keys
from focus.engines.synthesizer import Samples
from focus.media.leg import Tap
from focus.media.plane import MediaPlane
from focus.media.threads import in_thread
from focus.rayo.call import Call
from focus.rayo.component import Component
from focus.rayo.mixer import Mixer

log = logging.getLogger(__name__)

#: Seconds between two looks at what has been heard, and at who is to be listened to where nobody is.
STEP = 0.05
LOOK_AGAIN = 0.25
#: Seconds until all are listened to again after a fault that is nobody's in particular.
AFTER_FAULT = 1.0


class _Ear:
    """What one caller presses. Raises `DetectorMissing`, and ValueError where its media has ended."""

    def __init__(self, plane: MediaPlane, node: int) -> None:
        self.node = node
        self._keys = Keys()
        self._narrowing = Narrowing()
        self.tap: Tap = plane.tap(node)

    def heard(self, block: Samples) -> list[Heard]:
        return list(self._keys.feed(self._narrowing.feed(block)))


class InBandKeys:
    """Listens while components that want keys are at work."""

    def __init__(self, plane: MediaPlane) -> None:
        self._plane = plane
        self._wanting: dict[Component[Any], None] = {}
        self._ears: dict[Call, _Ear] = {}
        self._failed: set[Call] = set()  # of whom nothing can be told until something new wants keys of theirs
        self._asked = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._is_deaf = False

    def listen_for(self, component: Component[Any], tasks: asyncio.TaskGroup | None) -> None:
        """Until `forget`, those are listened to whom `component` is at work on."""
        if self._is_deaf or tasks is None:
            return
        self._wanting[component] = None
        self._failed.difference_update(_callers(component))
        self._asked.set()
        if self._listening is None:
            self._listening = tasks.create_task(self._listen(), name="keys as sound")

    def forget(self, component: Component[Any]) -> None:
        """Idempotent."""
        self._wanting.pop(component, None)

    async def _listen(self) -> None:
        try:
            while self._wanting:
                try:
                    await self._hear()
                except DetectorMissing:
                    raise
                except Exception:
                    log.exception("keys that come as sound are not heard for a moment")
                    self._close()
                    await asyncio.sleep(AFTER_FAULT)
        except DetectorMissing as error:
            self._is_deaf = True
            log.warning("keys that come as sound are not heard: %s", error)
        finally:
            self._listening = None
            self._failed.clear()
            self._close()

    async def _hear(self) -> None:
        """What has been pressed since the last time."""
        self._asked.clear()
        self._attend()
        blocks = [(call, ear, ear.tap.read()) for call, ear in self._ears.items()]
        if blocks:
            for call, heard in await in_thread(_detect, blocks):
                self._take(call, heard)
            await asyncio.sleep(STEP)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._asked.wait()

    def _close(self) -> None:
        for ear in self._ears.values():
            ear.tap.close()
        self._ears.clear()

    def _attend(self) -> None:
        """Listen to those who are to be listened to now, and to nobody else."""
        callers = set(self._callers())
        self._failed &= callers
        callers -= self._failed
        wanted = {call: call.node for call in callers if call.node is not None and not call.tells_keys}
        for call, ear in list(self._ears.items()):
            if wanted.get(call) != ear.node:
                ear.tap.close()
                del self._ears[call]
        for call, node in wanted.items():
            if call not in self._ears:
                try:
                    self._ears[call] = _Ear(self._plane, node)
                except ValueError:
                    continue  # it has just ended
                except DetectorMissing:
                    raise
                except Exception as error:
                    self._take(call, error)

    def _callers(self) -> Iterator[Call]:
        for component in self._wanting:
            yield from _callers(component)

    def _take(self, call: Call, found: list[Heard] | Exception) -> None:
        """What goes wrong with one call is nothing to the others."""
        if isinstance(found, Exception):
            self._failed.add(call)
            log.error("%s: keys that come as sound are not heard any more", call.address, exc_info=found)
            return
        for heard in found:
            if not call.tells_keys and heard.value is not None:
                try:
                    call.sounded(heard.value, heard.duration or 0.0)
                except Exception:
                    log.exception("%s: a key that was heard is lost", call.address)


def _callers(component: Component[Any]) -> Iterator[Call]:
    """Whose keys `component` wants."""
    target = component.target
    if isinstance(target, Call):
        yield target
    elif isinstance(target, Mixer):
        yield from (party for party in target.joins if isinstance(party, Call))


def _detect(blocks: list[tuple[Call, _Ear, Samples]]) -> list[tuple[Call, list[Heard] | Exception]]:
    found: list[tuple[Call, list[Heard] | Exception]] = []
    for call, ear, block in blocks:
        try:
            found.append((call, ear.heard(block)))
        except Exception as error:
            found.append((call, error))
    return found
