"""Who is told that it may have missed events: who has been sent some that the server may not have read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal
from xml.etree import ElementTree as ET

import pytest

from focus.rayo.addresses import Addresses
from focus.rayo.server import Server
from focus.wire.conditions import ServiceUnavailable
from focus.wire.jid import JID
from focus.wire.rayo import Joined
from focus.wire.stanzas import Disconnected
from focus.xmpp.binding import Binding, Outbox
from focus.xmpp.connection import Connection
from focus.xmpp.delivery import Delivery
from tests.rayo.scene import DOMAIN, ROOMS, FakePlane, eventually, settled

from .conftest import Party
from .test_binding import FakeConnection

CALL = JID("9f00061", DOMAIN)
JULIET, ROMEO = JID.parse("juliet@capulet.lit/balcony"), JID.parse("romeo@montague.lit/orchard")


class Line(FakeConnection):
    """A connection whose server answers when the test says so; `falls` ends it as the real one ends."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[asyncio.Future[ET.Element]] = []

    async def iq(
        self, sender: JID, to: JID, type: Literal["get", "set"], child: ET.Element | None, timeout: float = 10.0
    ) -> ET.Element:
        if not self.connected:
            raise Disconnected("there is no session with the XMPP server")
        assert (sender, to, type) == (self.jid, self.jid, "get")
        self.questions.append(asyncio.get_running_loop().create_future())
        return await self.questions[-1]


class Scene:
    def __init__(self, line: Line) -> None:
        self.line = line
        self.outbox = Outbox(events=10)
        self.outbox.connection = line
        self.outbox.delivery = Delivery(line, interval=0)
        server = Server(
            Addresses(DOMAIN, ROOMS),
            FakePlane(),
            outbox=self.outbox,
            events=self.outbox,
            dialect=self._dialect,
        )
        self.binding = Binding(server, self.outbox)
        self.gone: list[JID] = []
        self.outbox.kept.lost = self.gone.append

    async def _dialect(self, peer: JID) -> None:
        return None

    def tell(self, client: JID) -> None:
        self.outbox.event(CALL, client, Joined(mixer_name="tea"))

    async def asked(self, number: int) -> asyncio.Future[ET.Element]:
        """The question that is asked as the `number`th."""
        await eventually(lambda: len(self.line.questions) >= number)
        return self.line.questions[number - 1]

    def fall(self) -> None:
        self.line.connected = False
        for question in self.line.questions:
            if not question.done():
                question.set_exception(Disconnected("the session with the XMPP server ended"))
        self.binding.disconnected()

    def told(self, client: JID) -> list[str]:
        """What `client` is sent, once it is there after the loss."""
        self.line.sent.clear()
        self.line.connected = True
        self.outbox.release(client)
        return [tree.get("type", "event") for tree in self.line.sent]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    line = Line()
    yield Scene(line)
    line.connected = False
    for question in line.questions:
        question.cancel()
    await asyncio.gather(*line._tasks, return_exceptions=True)


ANSWER = ET.Element("iq")


async def test_who_was_sent_events_since_the_server_has_last_answered_may_have_missed_them(scene: Scene) -> None:
    scene.tell(JULIET)
    first = await scene.asked(1)
    for _ in range(2):
        scene.tell(ROMEO)
    first.set_result(ANSWER)
    await scene.asked(2)  # for what was written after the first
    scene.fall()
    assert scene.gone == [ROMEO]
    assert scene.outbox.kept.forgotten == 2
    scene.tell(ROMEO)
    scene.tell(JULIET)
    assert (scene.told(ROMEO), scene.told(JULIET)) == (["error"], ["event"])
    assert scene.outbox.kept.forgotten == 3


async def test_what_is_kept_after_lost_events_is_of_no_use(scene: Scene) -> None:
    """The connection has ended, and nobody has said so yet."""
    scene.tell(JULIET)
    scene.line.connected = False
    scene.tell(JULIET)
    scene.fall()
    assert scene.outbox.kept.forgotten == 2
    assert scene.told(JULIET) == ["error"]


async def test_who_may_not_have_been_told_of_the_loss_is_told_again(scene: Scene) -> None:
    scene.tell(JULIET)
    scene.fall()
    assert scene.told(JULIET) == ["error"]
    scene.fall()
    assert scene.told(JULIET) == ["error"]
    (await scene.asked(1)).set_result(ANSWER)
    await eventually(lambda: JULIET not in scene.outbox.delivery)  # type: ignore[operator]
    scene.fall()
    assert scene.told(JULIET) == []


async def test_any_answer_is_one_and_none_is_none(scene: Scene) -> None:
    scene.tell(JULIET)
    (await scene.asked(1)).set_exception(TimeoutError())
    (await scene.asked(2)).set_exception(ServiceUnavailable())
    await settled()
    assert len(scene.line.questions) == 2  # nothing is asked for when nothing is sent
    scene.tell(ROMEO)
    (await scene.asked(3)).set_exception(TimeoutError())
    await scene.asked(4)
    scene.fall()
    assert scene.gone == [ROMEO]


async def test_who_was_sent_the_last_before_we_ended_the_stream_has_missed_nothing(scene: Scene) -> None:
    scene.tell(JULIET)
    await scene.asked(1)
    scene.line.stop()
    scene.fall()
    assert scene.gone == []


async def test_the_server_answers(component: Connection, party: Party) -> None:
    delivery = Delivery(component)
    delivery.wrote(JULIET)
    assert JULIET in delivery
    await eventually(lambda: JULIET not in delivery)
    assert [tree.get("from") for tree in party.iqs.items] == [str(component.jid)]
    assert not component.stopping
    component.stop()
    assert component.stopping
