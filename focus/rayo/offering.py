"""The offer of an inbound call to the clients that may control it, until one of them does (XEP-0327 section 6.2.2)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection

from focus.rayo.call import Call
from focus.rayo.registration import Registrations, is_among
from focus.rayo.routing import Route
from focus.wire.jid import JID
from focus.wire.jingle import Reason
from focus.wire.rayo import Offer

log = logging.getLogger(__name__)

#: What callers are told whom there is nobody to answer.
NOBODY_THERE = Reason.of("gone", "nobody is there to take the call")


class Offering:
    """Sends `offer` on behalf of `call`, stage by stage, until somebody takes the call or it ends.

    Who has been offered the call may take it in later stages, too, and who becomes ready meanwhile is offered it as
    well. A stage ends early when everybody in it has gone, the last one when nobody of any stage is left. After it the
    caller is told that nobody is there, or that nobody has answered.
    """

    def __init__(self, call: Call, offer: Offer, route: Route, clients: Registrations) -> None:
        self._call = call
        self._offer = offer
        self._route = route
        self._clients = clients
        self._wanted: list[JID] = []  # in the stages that have begun

    async def run(self) -> None:
        call = self._call
        stages = list(self._route.stages)
        for number, wanted in enumerate(stages, 1):
            self._wanted += wanted
            ready = self._clients.ready(wanted)
            log.info("offered to %d clients", len(ready))
            call.offer(ready, self._offer)
            if ready:
                await self._wait(wanted if number < len(stages) else self._wanted)
            if call.is_decided:
                return
        if call.session is not None:
            nobody_answers = Reason.of("timeout", "nobody has taken the call")
            call.session.reject(nobody_answers if call.parties else NOBODY_THERE)

    def client_came(self, client: JID) -> None:
        """`client` is ready, and was not: it is there again, or no longer busy. Who has heard of the call since it
        registered is not told again."""
        if not self._call.is_decided and is_among(client, self._wanted):
            self._call.offer([client], self._offer)

    async def _wait(self, wanted: Collection[JID]) -> None:
        """Until somebody controls the call, it has ended, or nobody of `wanted` is left; at most for a stage's time."""
        call = self._call
        call.parties_changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._route.timeout):
                while not call.is_decided and any(is_among(party, wanted) for party in call.parties):
                    await call.parties_changed.wait()
                    call.parties_changed.clear()
