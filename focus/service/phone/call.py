"""One call of a phone: a Jingle session, what is said and heard in it, and its news."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from focus.engines.synthesizer import SynthesisError
from focus.jingle.codecs import Codec
from focus.jingle.peer import LegObserver, PeerSession
from focus.media.files import AudioFileError
from focus.media.leg import Leg
from focus.media.plane import MediaPlane
from focus.service.phone.events import Events
from focus.service.phone.participants import Participants
from focus.service.phone.sound import Ear, Player, Source
from focus.wire.conference_info import ConferenceInfo
from focus.wire.jingle import Reason
from focus.wire.rtp import Info, Mute, PayloadType, Unmute

log = logging.getLogger(__name__)

Described = TypeVar("Described", Codec, PayloadType)

#: Seconds that a key is pressed, that are left before the next one, and that a "," waits.
KEY, GAP, PAUSE = 0.1, 0.06, 1.0


@dataclass(frozen=True)
class Sound:
    """What a call plays, where it writes what it hears, and how many seconds of that it keeps in memory."""

    play: Source | None = None
    record: Path | None = None
    keep: float = 60.0


class Call:
    """The observer of one session; `session` is set by whoever makes it. Its leg says and hears what `sound` asks for.

    `invited`: we ask them by message first. `keys` are pressed as soon as it is connected.
    """

    session: PeerSession

    def __init__(
        self,
        plane: MediaPlane,
        sound: Sound,
        events: Events,
        *,
        invited: bool,
        muted: bool,
        dtx: bool,
        accepted: Callable[[], None],
        keys: str = "",
    ) -> None:
        self.invited = invited
        self.connected = False
        self.muted = muted
        self.failure: str | None = None
        self.ear = Ear(sound.keep, sound.record)
        self._events = events
        self._plane = plane
        self._dtx = dtx
        self._keys = keys
        self._on_accepted = accepted
        self._player = Player(sound.play) if sound.play is not None else None
        self._participants = Participants()
        self._leg: Leg | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stats: dict[str, Any] = {}

    def leg(self, *, controlling: bool, observer: LegObserver) -> Leg:
        """The `LegFactory` of the session."""
        if self.invited:  # they have taken it: now media is needed
            self._events.add("proceeding", peer=str(self.session.peer))
        self._leg = self._plane.create_leg(controlling=controlling, observer=observer)
        return self._leg

    def mute(self, muted: bool) -> None:
        """Fall silent, or speak again, and say so to the peer."""
        self.muted = muted
        if self._player is not None:
            self._player.mute(muted)
        self.session.send_info(Mute() if muted else Unmute())

    def press(self, keys: str) -> None:
        """Press keys of a telephone (0 to 9, *, #, A to D), one after another; a "," is a second without."""
        self.start(self._press(keys), "pressing keys")

    def fail(self, why: str) -> None:
        """End because something on our side, or on the way, went wrong."""
        self.failure = why
        self.session.hangup(Reason.of("media-error", why))

    def unreachable(self, condition: str, text: str) -> None:
        """The server brought our invitation back."""
        self.failure = f"{condition}{f' ({text})' if text else ''}"
        self.session.hangup(Reason.of("gone", self.failure))

    def hangup(self, condition: str | None = None) -> None:
        """For `condition`; by default `success`, `cancel` before it was connected."""
        self.ending()
        self.session.hangup(Reason.of(condition or ("success" if self.connected else "cancel")))

    def ending(self) -> None:
        """Take what can still be had of the leg."""
        self.ear.take()
        self.stats()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do `work` while the call lasts."""
        task = asyncio.create_task(self._supervised(work), name=f"phone: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def closed(self) -> None:
        """Until the session and everything it started have ended."""
        await self.session.closed()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stats(self) -> dict[str, Any]:
        """Of the leg, see `focus.media.leg.Leg.stats`; the last ones known after its end."""
        if self._leg is not None and self.connected and not self._leg.closing:
            self._stats = dict(self._leg.stats())
        return self._stats

    def document(self, document: ConferenceInfo) -> None:
        """A conference document about this session."""
        if not self._participants.update(document):
            return
        self._events.add(
            "coin",
            version=document.version,
            state=document.state or "full",
            entity=document.entity,
            subject=document.description.subject if document.description is not None else None,
            count=document.conference_state.user_count if document.conference_state is not None else None,
            users=self._participants.described(),
        )

    # The session's news

    def peer_ringing(self) -> None:
        self._events.add("ringing", peer=str(self.session.peer))

    def peer_accepted(self) -> None:
        settled, leg = self.session.settled, self._leg
        codec = settled.payload.name if settled is not None else None
        if settled is not None and leg is not None and not self._dtx:
            leg.set_codec(
                without_dtx(settled.payload),
                level_extension=settled.level_extension,
                mixed_extension=settled.mixed_extension,
                telephone_events=settled.telephone_events,
            )
        self._events.add(
            "accepted", peer=str(self.session.peer), codec=codec, ssrc=leg and leg.ssrc, source=leg and leg.source_id
        )
        self._on_accepted()

    def peer_connected(self) -> None:
        if self._leg is None or self.connected:
            return
        self.connected = True
        self._events.add("connected", peer=str(self.session.peer))
        try:
            self.ear.listen_to(self._leg.tap())
        except OSError as error:
            self.fail(f"nothing can be recorded: {error}")
            return
        self.start(self.ear.run(), "listening")
        self.start(self._measure(), "measuring")
        if self._player is not None:
            self.start(self._player.run(self._leg), "speaking")
        if self.muted:
            self.mute(True)
        if self._keys:
            self.press(self._keys)

    def peer_info(self, info: Info) -> None:
        self._events.add("info", info=type(info).__name__.lower())

    def peer_senders(self, speaks: bool, hears: bool) -> None:
        self._events.add("senders", speaks=speaks, hears=hears)

    def peer_focus(self, isfocus: bool) -> None:
        self._events.add("focus", isfocus=isfocus)

    def peer_speaking(self, speaking: bool) -> None:
        self._events.add("speaking", speaking=speaking)

    def peer_pressed(self, key: str, duration: float) -> None:
        self._events.add("dtmf", key=key, seconds=duration)

    def peer_ended(self, reason: Reason, by_peer: bool) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        self.ear.close()
        if self._stats:
            self._events.add("stats", **self._stats)
        self._events.add(
            "ended",
            reason=reason.condition,
            text=self.failure or reason.text,
            by="peer" if by_peer else "us",
            connected=self.connected,
        )

    async def _measure(self) -> None:
        while True:
            self.stats()
            await asyncio.sleep(1)

    async def _press(self, keys: str) -> None:
        settled, leg = self.session.settled, self._leg
        if leg is None or settled is None or not settled.telephone_events:
            self.fail("the other side takes no keys (telephone-event)")
            return
        for key in keys:
            if key == ",":
                await asyncio.sleep(PAUSE)
                continue
            leg.press(key, duration=KEY, gap=GAP)
            self._events.add("pressed", key=key)
            await asyncio.sleep(KEY + GAP)

    async def _supervised(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (AudioFileError, SynthesisError, OSError) as error:
            self.fail(str(error))
        except ValueError as error:
            if self._leg is None or not self._leg.closing:  # else the leg went under our hands
                log.exception("in a call with %s", self.session.peer)
                self.fail(str(error))
        except Exception as error:
            log.exception("in a call with %s", self.session.peer)
            self.fail(str(error))


def without_dtx(codec: Described) -> Described:
    """`codec` with sound sent all the time: to DTX, a steady tone is noise that need not be sent."""
    parameters = tuple(parameter for parameter in codec.parameters if parameter.name != "usedtx")
    if isinstance(codec, Codec):
        return replace(codec, parameters=parameters)
    return codec.model_copy(update={"parameters": parameters})


class Refused:
    """The observer of a session that is refused: nobody wants to know."""

    def peer_ringing(self) -> None: ...

    def peer_accepted(self) -> None: ...

    def peer_connected(self) -> None: ...

    def peer_info(self, info: Info) -> None: ...

    def peer_senders(self, speaks: bool, hears: bool) -> None: ...

    def peer_focus(self, isfocus: bool) -> None: ...

    def peer_speaking(self, speaking: bool) -> None: ...

    def peer_pressed(self, key: str, duration: float) -> None: ...

    def peer_ended(self, reason: Reason, by_peer: bool) -> None: ...
