"""Serves those who have nothing but ears and the keys of a telephone, by components of their calls, as any Rayo client.

Who takes part is seen from the roster; nothing of this is at work in a room without comfort.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol
from xml.etree import ElementTree as ET

from focus.conference.announcer import Announcer
from focus.conference.comfort import NAME, Action, Comfort, sounds
from focus.conference.executions import Commanded, Executions
from focus.conference.goodbye import Goodbye
from focus.conference.people import Participant
from focus.conference.roster import Roster
from focus.conference.solitude import Solitude
from focus.engines.nlsml import NAMESPACE
from focus.wire.conditions import ItemNotFound, StanzaError
from focus.wire.jid import JID
from focus.wire.rayo import Command, Event
from focus.wire.rayo_component import Failed, Reason
from focus.wire.rayo_input import Match, NoMatch
from focus.wire.session import Listen, Recorded, Silence

log = logging.getLogger(__name__)

#: dB by which one hears others louder, or quieter, at once.
LOUDER = 3.0
#: Seconds that may be said to one.
LONGEST = 60.0


class Owner(Protocol):
    """The conference, as far as its participants are served."""

    roster: Roster

    def update(self, roster: Roster) -> None:
        """This is who is there now."""

    def spawn(self, call: JID | None, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do `work` on behalf of `call` beside all else, until the conference ends."""

    async def command(self, address: JID, command: Command) -> bool:
        """Whether the call, or the mixer, at `address` did what it was told."""

    def dismiss(self, call: JID, goodbye: Goodbye) -> None:
        """From now on `call` can do nothing any more but end."""


@dataclass
class _Service:
    """What waits for the keys of one call, until that is over, and what answers them."""

    component: JID | None = None
    answer: JID | None = None
    is_over: bool = False


class Attendant:
    """Of one conference whose room has `comfort`."""

    def __init__(self, owner: Owner, server: Commanded, client: JID, comfort: Comfort) -> None:
        self._owner = owner
        self._comfort = comfort
        self._executions = Executions(server, client)
        self._announcer = Announcer(owner, self._executions, comfort)
        self._solitude = Solitude(owner, self._executions, comfort)
        self._served: dict[JID, Participant] = {}  # as they were when they were last looked at
        self._last: Roster | None = None  # when it was last looked at
        self._names: dict[JID, str] = {}  # where they are said
        self._services: dict[JID, _Service] = {}  # by keys, of calls
        self._is_recorded = False

    def deliver(self, sender: JID, event: Event) -> None:
        self._executions.deliver(sender, event)
        if isinstance(event, Recorded) and event.recorded is not self._is_recorded:
            self._is_recorded = event.recorded
            if self._comfort.recordings:
                self._announcer.recorded(event.recorded, is_heard=bool(self._served))

    def look(self) -> None:
        """The roster has changed, perhaps. It does so often: what is done here is little where nobody comes or goes."""
        roster, last = self._owner.roster, self._last
        if last is not None and roster.participants is last.participants and roster.mixers is last.mixers:
            if roster.occupants is not last.occupants:
                self._last = roster
                self._learn_names()
            return
        self._last = roster
        before, here = self._served, roster.participants
        self._served = now = {call: one for call, one in here.items() if one.session.connected or call in before}
        came, went = [call for call in now if call not in before], [call for call in before if call not in now]
        for call, one in now.items():
            if call in before and one is not before[call]:
                self._notice(before[call], one)
        names = self._names
        if last is None or here.keys() != last.participants.keys() or roster.occupants is not last.occupants:
            self._learn_names()
        for call in came:
            earlier = next((each for each in went if before[each].peer.bare == now[call].peer.bare), None)
            if earlier is not None:  # from another device, with no word to anybody
                went.remove(earlier)
                self._serve_no_more(earlier, before[earlier])
            self._come(call, before[earlier] if earlier is not None else None)
        for call in went:
            self._serve_no_more(call, before[call])
            if 0 < len(now) <= self._comfort.tones_up_to:
                self._announcer.went(names.get(call, ""))
        self._solitude.look()

    def _learn_names(self) -> None:
        if NAME in (self._comfort.entry, self._comfort.exit):
            self._names = self._owner.roster.names(self._names)

    def _come(self, call: JID, earlier: Participant | None) -> None:
        comfort, greeting = self._comfort, ""
        if earlier is not None:
            if earlier.hand is not None:
                self._owner.update(self._owner.roster.with_hand(call, earlier.hand))
        else:
            is_told = self._is_recorded and comfort.recordings
            greeting = " ".join(
                filter(None, (comfort.text("welcome"), comfort.text("recording_begun") if is_told else ""))
            )
            if 1 < len(self._served) <= comfort.tones_up_to:
                self._announcer.came(self._names.get(call, ""))
        if comfort.keys:
            service = self._services[call] = _Service()
            self._owner.spawn(call, partial(self._attend, call, service, greeting))
        elif greeting:
            self._owner.spawn(call, partial(self._whisper, call, greeting))

    def _serve_no_more(self, call: JID, last: Participant) -> None:
        """The call may go on elsewhere, where these keys mean nothing."""
        service = self._services.pop(call, None)
        if service is not None:
            service.is_over = True
            if service.component is not None:
                self._owner.spawn(call, partial(self._executions.stop, service.component))
            if last.session.silenced:
                self._owner.spawn(call, partial(self._let_be_heard, call))

    async def _let_be_heard(self, call: JID) -> None:
        await self._owner.command(call, Silence(muted=False))

    def _notice(self, before: Participant, now: Participant) -> None:
        """Tell somebody what a moderator has done."""
        was, is_ = before.session.direction == "recv", now.session.direction == "recv"
        if self._comfort.notices and was is not is_ and now.leaving is None:
            text = self._comfort.text("muted_by_moderator" if is_ else "unmuted_by_moderator")
            self._owner.spawn(now.call, partial(self._whisper, now.call, text))

    # what moderators announce

    @property
    def sounds(self) -> tuple[str, ...]:
        """What can be played to all, by name."""
        return tuple(self._comfort.sounds)

    def announce(self, *, text: str = "", sound: str = "") -> None:
        """To all. Raises `ItemNotFound` where there is no such sound, and `ResourceConstraint`."""
        if sound:
            if sound not in self._comfort.sounds:
                raise ItemNotFound(f"there is no sound {sound[:100]!r}")
            self._announcer.say(sounds(self._comfort.sounds[sound]))
        if text:
            self._announcer.say(self._comfort.speech(text))

    # what is said to one

    async def _whisper(self, call: JID, text: str) -> None:
        if text and (component := await self._begin_saying(call, text)) is not None:
            await self._executions.ended(component)

    async def _begin_saying(self, call: JID, text: str) -> JID | None:
        try:
            output = self._comfort.output(self._comfort.speech(text), max_time=LONGEST)
            component, end = await self._executions.begin(call, output)
        except StanzaError as error:
            log.info("something is not said to a caller: %s", error)
            return None
        end.add_done_callback(_complain)
        return component

    # what callers do by keys

    async def _attend(self, call: JID, service: _Service, greeting: str) -> None:
        """Take one command by keys after another. The next is waited for before anything is done: keys are missed for
        some milliseconds only, in which nobody presses one."""
        end = await self._listen(call, service)
        await self._answer(call, service, greeting)
        while end is not None and isinstance(reason := await end, Match | NoMatch):
            end = await self._listen(call, service)
            if isinstance(reason, Match):
                await self._answer(call, service, await self._do(call, Action(_instance(reason.result))))

    async def _listen(self, call: JID, service: _Service) -> asyncio.Future[Reason] | None:
        """None where nobody can."""
        if service.is_over:
            return None
        try:
            service.component, end = await self._executions.begin(call, self._comfort.input())
        except StanzaError as error:
            log.info("nobody listens for keys: %s", error)
            return None
        if service.is_over:  # meanwhile
            await self._executions.stop(service.component)
        return end

    async def _answer(self, call: JID, service: _Service, text: str) -> None:
        """What is said still is interrupted."""
        if service.answer is not None:
            await self._executions.stop(service.answer)
            service.answer = None
        if text and not service.is_over:
            service.answer = await self._begin_saying(call, text)

    async def _do(self, call: JID, action: Action) -> str:
        """What is said to it."""
        comfort, owner = self._comfort, self._owner
        one = owner.roster.participants.get(call)
        if one is None:
            return ""
        log.info("has pressed the keys for %s", action)
        match action:
            case Action.MUTE:
                return await self._mute(one)
            case Action.HAND:
                hand = None if one.hand is not None else datetime.now(UTC)
                owner.update(owner.roster.with_hand(call, hand))
                return comfort.text("hand_lowered" if hand is None else "hand_raised")
            case Action.QUIETER | Action.LOUDER:
                await owner.command(call, Listen(louder=LOUDER if action is Action.LOUDER else -LOUDER))
                return comfort.text(action)
            case Action.COUNT:
                count = owner.roster.count
                return comfort.text("alone") if count == 1 else comfort.text("count", count=count)
            case Action.HELP:
                return comfort.help()
            case Action.LEAVE:
                await self._whisper(call, comfort.text("goodbye"))
                owner.dismiss(call, Goodbye("you have left by your keys", method="departed"))
                return ""

    async def _mute(self, one: Participant) -> str:
        """What a moderator has done a caller cannot undo."""
        if one.session.direction == "recv":
            return self._comfort.text("muted_by_moderator")
        silenced = not one.session.silenced
        if not await self._owner.command(one.call, Silence(muted=silenced)):
            return self._comfort.text("not_muted")
        return self._comfort.text("muted" if silenced else "unmuted")


def _complain(end: asyncio.Future[Reason]) -> None:
    if not end.cancelled() and isinstance(reason := end.result(), Failed):
        log.warning("something could not be said to a caller: %s", reason.text)


def _instance(result: str) -> str:
    """What the tags of the grammar mean, in the result of a match."""
    return ET.fromstring(result).findtext(f"{{{NAMESPACE}}}interpretation/{{{NAMESPACE}}}instance", "")
