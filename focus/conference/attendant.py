"""Serves those who have nothing but ears and the keys of a telephone, by components of their calls, as any Rayo client.

Who takes part is seen from the roster; nothing of this is at work in a room without comfort.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
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
from focus.wire.conditions import ItemNotFound, NotTheOwner, StanzaError
from focus.wire.jid import JID
from focus.wire.rayo import Command, Event
from focus.wire.rayo_component import Failed, Reason, Stopped
from focus.wire.session import Gathered, Listen, Recorded, Session, Silence

log = logging.getLogger(__name__)

#: dB by which one hears others louder, or quieter, at once.
LOUDER = 3.0
#: Seconds that may be said to one.
LONGEST = 60.0
#: Seconds until keys are listened for again, where that has failed.
AGAIN = 2.0
#: What one can have asked for by keys that is not done yet.
MOST_ASKED = 20


class Owner(Protocol):
    """The conference, as far as its participants are served."""

    roster: Roster

    def raise_hands(self, calls: Iterable[JID]) -> None:
        """Those of `calls` want to say something."""

    def lower_hands(self, calls: Iterable[JID]) -> None:
        """Those of `calls` do not want to say something any more."""

    def spawn(self, call: JID | None, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do `work` on behalf of `call` beside all else, until the conference ends."""

    async def session_of(self, call: JID) -> Session | None:
        """As it is now. None where it has ended meanwhile."""

    async def command(self, address: JID, command: Command) -> bool:
        """Whether the call, or the mixer, at `address` did what it was told."""

    def heir(self, call: JID) -> JID | None:
        """Which call goes on in the place of `call`."""

    def dismiss(self, call: JID, goodbye: Goodbye) -> None:
        """From now on `call` can do nothing any more but end."""


@dataclass
class _Service:
    """Of one call, until that is over: what waits for its keys, what they have asked for, and what is said to it."""

    keypad: JID | None = None
    asked: asyncio.Queue[Action | None] = field(default_factory=lambda: asyncio.Queue(MOST_ASKED))
    answer: JID | None = None
    said: set[JID] = field(default_factory=set)
    is_silenced: bool = False
    is_over: bool = False


class Attendant:
    """Of one conference whose room has `comfort`."""

    def __init__(self, owner: Owner, server: Commanded, client: JID, comfort: Comfort) -> None:
        self._owner = owner
        self._comfort = comfort
        self._executions = Executions(server, client)
        self._solitude = Solitude(owner, self._executions, comfort)
        self._announcer = Announcer(owner, self._executions, comfort, self._solitude.said)
        self._served: dict[JID, Participant] = {}  # as they were when they were last looked at
        self._last: Roster | None = None  # when it was last looked at
        self._names: dict[JID, str] = {}  # where they are said
        self._services: dict[JID, _Service] = {}  # by keys, of calls
        self._left: dict[JID, tuple[Participant, str]] = {}  # whose place, and name, a call on its way will take
        self._is_recorded = False

    def deliver(self, sender: JID, event: Event) -> None:
        self._executions.deliver(sender, event)
        if isinstance(event, Gathered):
            self._pressed(sender, event)
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
                if one.session.focus:
                    self._serve_no_more(call, before[call])
                self._notice(before[call], one)
        names = self._names
        if last is None or here.keys() != last.participants.keys() or roster.occupants is not last.occupants:
            self._learn_names()
        for call in came:
            earlier = next((each for each in went if before[each].peer.bare == now[call].peer.bare), None)
            if earlier is not None:  # from another device, with no word to anybody
                went.remove(earlier)
                self._serve_no_more(earlier, before[earlier])
            left, _ = self._left.pop(call, (None, ""))
            self._come(call, is_new=earlier is None and left is None)
            if left is not None and left.session.silenced:
                self._owner.spawn(call, partial(self._silence, call, True))
        for call in went:
            self._serve_no_more(call, before[call])
            self._leave_behind(call, before[call], names.get(call, ""))
        self._solitude.look()

    def ended(self, call: JID) -> None:
        """Whoever was to go on by it has left."""
        if call in self._left:
            self._leave_behind(call, *self._left.pop(call))

    def _leave_behind(self, call: JID, last: Participant, name: str) -> None:
        if (heir := self._owner.heir(call)) is not None and heir not in self._served:  # it is on its way
            self._left[heir] = last, name
        elif 0 < len(self._served) <= self._comfort.tones_up_to:
            self._announcer.went(name)

    def _learn_names(self) -> None:
        if NAME in (self._comfort.entry, self._comfort.exit):
            self._names = self._owner.roster.names(self._names)

    def _come(self, call: JID, *, is_new: bool) -> None:
        comfort, greeting = self._comfort, ""
        if is_new:
            is_told = self._is_recorded and comfort.recordings
            greeting = " ".join(
                filter(None, (comfort.text("welcome"), comfort.text("recording_begun") if is_told else ""))
            )
            if 1 < len(self._served) <= comfort.tones_up_to:
                self._announcer.came(self._names.get(call, ""))
        if self._served[call].session.focus:
            return  # a conference, which has no keys, and whose people are not told what one of them may be
        service = self._services[call] = _Service()
        if comfort.keys:
            self._owner.spawn(call, partial(self._listen, call, service))
        self._owner.spawn(call, partial(self._attend, call, service, greeting))

    def _serve_no_more(self, call: JID, last: Participant) -> None:
        """The call may go on elsewhere, where these keys mean nothing."""
        service = self._services.pop(call, None)
        if service is None:
            return
        service.is_over = True
        with suppress(asyncio.QueueFull):  # then it is seen as well
            service.asked.put_nowait(None)
        for component in (service.keypad, *service.said):
            if component is not None:
                self._owner.spawn(call, partial(self._executions.stop, component))
        if service.is_silenced or last.session.silenced:
            self._owner.spawn(call, partial(self._silence, call, False))

    async def _silence(self, call: JID, muted: bool) -> None:
        await self._owner.command(call, Silence(muted=muted))

    def _notice(self, before: Participant, now: Participant) -> None:
        """Tell somebody what a moderator has done."""
        was, is_ = before.session.direction == "recv", now.session.direction == "recv"
        service = self._services.get(now.call)
        if self._comfort.notices and was is not is_ and now.leaving is None and service is not None:
            text = self._comfort.text("muted_by_moderator" if is_ else "unmuted_by_moderator")
            self._owner.spawn(now.call, partial(self._tell, now.call, service, text))

    def hand_lowered(self, call: JID) -> None:
        """By a moderator."""
        service = self._services.get(call)
        if self._comfort.notices and service is not None:
            self._owner.spawn(call, partial(self._tell, call, service, self._comfort.text("hand_lowered")))

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

    async def _tell(self, call: JID, service: _Service, text: str) -> None:
        await self._say(call, service, text)

    async def _say(self, call: JID, service: _Service, text: str) -> JID | None:
        """Begin with it."""
        if not text or service.is_over:
            return None
        try:
            output = self._comfort.output(self._comfort.speech(text), max_time=LONGEST)
            component, end = await self._executions.begin(call, output)
        except StanzaError as error:
            log.info("something is not said to a caller: %s", error)
            return None
        service.said.add(component)
        self._solitude.said(True)

        def ended(end: asyncio.Future[Reason]) -> None:
            service.said.discard(component)
            self._solitude.said(False)
            if not end.cancelled() and isinstance(reason := end.result(), Failed):
                log.warning("something could not be said to a caller: %s", reason.text)

        end.add_done_callback(ended)
        if service.is_over:  # meanwhile
            await self._executions.stop(component)
        return component

    async def _answer(self, call: JID, service: _Service, text: str) -> None:
        """What is said still is interrupted."""
        if service.answer is not None:
            await self._executions.stop(service.answer)
        service.answer = await self._say(call, service, text)

    # what callers do by keys

    async def _listen(self, call: JID, service: _Service) -> None:
        """For keys, until the call is served no more; again where something has kept us from it."""
        while not service.is_over:
            try:
                service.keypad, end = await self._executions.begin(call, self._comfort.keypad())
                if service.is_over:  # meanwhile
                    await self._executions.stop(service.keypad)
                reason = await end
                if not isinstance(reason, Failed):
                    return
                log.warning("keys are listened for no more: %s", reason.text)
            except ItemNotFound:
                return  # it has ended
            except NotTheOwner:
                log.info("its keys are left to the Rayo client that has made or answered it")
                return
            except StanzaError as error:
                log.warning("nobody listens for keys: %s", error)
            await asyncio.sleep(AGAIN)

    def _pressed(self, keypad: JID, event: Gathered) -> None:
        service = next((each for each in self._services.values() if each.keypad == keypad), None)
        if service is not None:
            with suppress(asyncio.QueueFull):
                service.asked.put_nowait(Action(_instance(event.result)))

    async def _attend(self, call: JID, service: _Service, greeting: str) -> None:
        """Do one after another what is asked for by keys. To what more is asked for already is said nothing."""
        await self._answer(call, service, greeting)
        while (action := await service.asked.get()) is not None and not service.is_over:
            try:
                answer = await self._do(call, service, action)
                if service.asked.empty():
                    await self._answer(call, service, answer)
            except Exception:
                log.exception("what was asked for by keys was not done: %s", action)

    async def _do(self, call: JID, service: _Service, action: Action) -> str:
        """What is said to it."""
        comfort, owner = self._comfort, self._owner
        one = owner.roster.participants.get(call)
        if one is None:
            return ""
        log.info("has pressed the keys for %s", action)
        match action:
            case Action.MUTE:
                return await self._mute(call, service)
            case Action.HAND:
                if one.hand is None:
                    owner.raise_hands((call,))
                    return comfort.text("hand_raised")
                owner.lower_hands((call,))
                return comfort.text("hand_lowered")
            case Action.QUIETER | Action.LOUDER:
                await owner.command(call, Listen(louder=LOUDER if action is Action.LOUDER else -LOUDER))
                return comfort.text(action)
            case Action.COUNT:
                count = owner.roster.count
                return comfort.text("alone") if count == 1 else comfort.text("count", count=count)
            case Action.HELP:
                return comfort.help()
            case Action.LEAVE:
                await self._leave(call, service)
                return ""

    async def _leave(self, call: JID, service: _Service) -> None:
        """Unless it has been taken elsewhere while it was said goodbye to."""
        await self._answer(call, service, self._comfort.text("goodbye"))
        if service.answer is not None and isinstance(await self._executions.ended(service.answer), Stopped):
            return
        if not service.is_over:
            self._owner.dismiss(call, Goodbye("you have left by your keys", method="departed"))

    async def _mute(self, call: JID, service: _Service) -> str:
        """What a moderator has done a caller cannot undo."""
        session = await self._owner.session_of(call)
        if session is None or service.is_over:
            return ""
        if session.direction == "recv":
            return self._comfort.text("muted_by_moderator")
        service.is_silenced = not session.silenced
        if not await self._owner.command(call, Silence(muted=service.is_silenced)):
            return self._comfort.text("not_muted")
        return self._comfort.text("muted" if service.is_silenced else "unmuted")


def _instance(result: str) -> str:
    """What the tags of the grammar mean, in the result of a match."""
    return ET.fromstring(result).findtext(f"{{{NAMESPACE}}}interpretation/{{{NAMESPACE}}}instance", "")
