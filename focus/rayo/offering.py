"""The offer of an inbound call to the clients that may control it, until one of them does (XEP-0327 section 6.2.2)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from focus.rayo.call import Call
from focus.rayo.registration import Registrations
from focus.rayo.routing import Route
from focus.wire.jingle import Reason
from focus.wire.rayo import Offer

log = logging.getLogger(__name__)

#: What callers are told whom there is nobody to answer.
NOBODY_THERE = Reason.of("gone", "nobody is there to take the call")


async def offer_by_stages(call: Call, offer: Offer, route: Route, clients: Registrations) -> None:
    """Send `offer` on behalf of `call`, stage by stage, until somebody takes the call or it ends.

    Who has been offered the call may take it in later stages, too. A stage ends early when everybody in it has gone.
    After the last one the caller is told that nobody is there, or that nobody has answered.
    """
    for wanted in route.stages:
        ready = clients.ready(wanted)
        log.info("offered to %d clients", len(ready))
        call.offer(ready, offer)
        if await _is_decided(call, ready, route.timeout):
            return
    if call.session is not None:
        nobody_answers = Reason.of("timeout", "nobody has taken the call")
        call.session.reject(nobody_answers if call.parties else NOBODY_THERE)


async def _is_decided(call: Call, ready: Sequence[object], within: float) -> bool:
    """Whether somebody controls the call, or it has ended, after at most `within` seconds."""
    if ready:
        call.parties_changed.clear()
        try:
            async with asyncio.timeout(within):
                while not call.is_decided and call.parties:
                    await call.parties_changed.wait()
                    call.parties_changed.clear()
        except TimeoutError:
            pass
    return call.is_decided
