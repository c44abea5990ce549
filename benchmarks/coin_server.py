"""A conference without media: its roster changes, and each participant is told, as in `focus.conference.documents`."""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from focus.conference.notification import Notification, Publication, Reading
from focus.conference.room import Occupant
from focus.conference.roster import Roster
from focus.wire.coin import COIN_FEATURES
from focus.wire.conditions import ServiceUnavailable
from focus.wire.jid import JID
from focus.wire.session import Session
from focus.xmpp.binding import Outbox
from focus.xmpp.connection import Connection

SECRET = "benchmark"
DOMAIN = "focus.example.org"
#: Seconds between two looks at the event loop's clock.
BEAT = 0.01


class Nobody:
    """Takes every stanza, and wants none."""

    def connected(self) -> None: ...

    def disconnected(self) -> None: ...

    def message(self, stanza: ET.Element) -> None: ...

    def presence(self, stanza: ET.Element) -> None: ...

    async def iq(self, stanza: ET.Element) -> ET.Element | None:
        raise ServiceUnavailable


class Meeting:
    """`participants` people in a room that shows who they are."""

    def __init__(self, participants: int, coalesce: float) -> None:
        self.focus, room = JID("tea", DOMAIN), JID("tea", "rooms.example.org")
        self.calls = [JID(f"call{n}", DOMAIN) for n in range(participants)]
        self.peers = [JID(f"somebody{n}", "example.org", "desk") for n in range(participants)]
        self.roster = Roster(
            focus=self.focus,
            room=room,
            maximum=participants,
            subject="What there is to talk about",
            real_jids_are_public=True,
            occupants=tuple(
                Occupant(f"Nick {n}", room.with_resource(f"Nick {n}"), peer, "member", "participant")
                for n, peer in enumerate(self.peers)
            ),
        )
        for n in range(participants):
            self._set(n, muted=False)
        self.publication = Publication(lambda: self.roster.document(), coalesce)

    def change(self) -> None:
        """Somebody mutes or unmutes himself."""
        n = random.randrange(len(self.calls))
        self._set(n, muted=not self.roster.participants[self.calls[n]].session.muted)
        self.publication.changed()

    def _set(self, n: int, *, muted: bool) -> None:
        session = Session(
            sid=f"session-{n}",
            peer=str(self.peers[n]),
            local=str(self.focus.with_resource("focus")),
            source_id=n + 1,
            accepted=True,
            connected=True,
            muted=muted,
        )
        self.roster = self.roster.with_session(self.calls[n], session, datetime(2026, 1, 1, tzinfo=UTC))

    def notifications(self, outbox: Outbox) -> list[Notification]:
        return [
            Notification(
                Reading(f"session-{n}"),
                local=self.focus.with_resource("focus"),
                peer=peer,
                outbox=outbox,
                features=self._features,
                publication=self.publication,
            )
            for n, peer in enumerate(self.peers)
        ]

    async def _features(self, peer: JID) -> frozenset[str]:
        return COIN_FEATURES


async def lateness(late: list[float]) -> None:
    """How much later than it should the loop comes back, in milliseconds, again and again."""
    loop = asyncio.get_running_loop()
    while True:
        until = loop.time() + BEAT
        await asyncio.sleep(BEAT)
        late.append((loop.time() - until) * 1e3)


async def changes(meeting: Meeting, rate: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        meeting.change()
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - loop.time()))


async def main(chosen: argparse.Namespace) -> None:
    os.sched_setaffinity(0, {chosen.cpu})
    connection = Connection(DOMAIN, SECRET, "127.0.0.1", chosen.port, Nobody())
    outbox = Outbox()
    outbox.connection = connection
    meeting = Meeting(chosen.participants, chosen.coalesce)
    late: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(connection.run())]
        async with asyncio.timeout(10):
            while not connection.connected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        running += [tasks.create_task(each.run()) for each in meeting.notifications(outbox)]
        running.append(tasks.create_task(meeting.publication.run()))
        running.append(tasks.create_task(changes(meeting, chosen.changes)))
        await asyncio.sleep(chosen.warm)
        print("measure", flush=True)
        running.append(tasks.create_task(lateness(late)))
        began, wall = time.process_time(), time.monotonic()
        await asyncio.sleep(chosen.seconds)
        cpu, seconds = time.process_time() - began, time.monotonic() - wall
        print(json.dumps({"cpu": cpu, "seconds": seconds, "late": late}), flush=True)
        for task in running:
            task.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A conference without media, whose participants are told of it.")
    parser.add_argument("--port", type=int, required=True, help="where the XMPP server takes components")
    parser.add_argument("--participants", type=int, required=True)
    parser.add_argument("--changes", type=float, required=True, help="a second")
    parser.add_argument("--coalesce", type=float, required=True, help="seconds")
    parser.add_argument("--warm", type=float, required=True, help="seconds before the measurement")
    parser.add_argument("--seconds", type=float, required=True, help="of the measurement")
    parser.add_argument("--cpu", type=int, required=True, help="the core to run on")
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(main(parser.parse_args()))
    sys.exit(0)
