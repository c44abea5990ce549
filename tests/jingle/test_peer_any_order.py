"""A session under whatever its owner, its peer, strangers and its leg may do, in any order."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from focus.jingle.peer import PeerSession, Timeouts
from focus.wire.base import Element
from focus.wire.conditions import ItemNotFound, ServiceUnavailable, StanzaError, UnknownSession
from focus.wire.jid import JID
from focus.wire.jingle import Action, Content, Jingle, Reason
from focus.wire.jingle_message import (
    JMI_0,
    JMI_1,
    Accept,
    Dialect,
    Finish,
    JingleMessage,
    Proceed,
    Propose,
    Reject,
    Retract,
    Ringing,
    in_dialect,
)  # fmt: skip
from focus.wire.rtp import Active, Description, Hold, Mute, Unhold

from .pair import Air, FakeLeg, Owner, Surroundings
from .test_negotiation import REMOTE, audio, bundle, their_accept, video

US, PEER = JID.parse("room@focus.example.org/focus"), JID.parse("alice@example.org/desk")
SENDERS = st.sampled_from(
    [PEER, PEER, PEER, PEER.with_resource("other"), PEER.bare, JID.parse("mallory@example.org/x")]
)
SIDS = st.sampled_from(["s", "s", "s", "t"])
REASONS = st.sampled_from(["success", "busy", "general-error"]).map(Reason.of)

RESTART = REMOTE.model_copy(update={"ufrag": "else", "pwd": "another-password-22-chars"})
CONTENTS = st.sampled_from(
    [
        (),
        (audio(),),
        (their_accept(),),
        (their_accept(name="0"), video()),
        (audio(transport=RESTART),),
        (audio(payload_types=()),),
        (video(),),
        (Content(name="audio"),),
        (Content(name="0"), Content(name="1", transport=REMOTE)),
    ]
)


class Outbox:
    """Remembers, and answers as it is told to."""

    def __init__(self) -> None:
        self.sent: list[Element] = []
        self.answer: StanzaError | TimeoutError | str | None = None

    def message(self, sender: JID, to: JID, element: Element) -> None:
        assert sender == US
        assert to.bare == PEER.bare
        self.sent.append(element)

    async def iq_set(self, sender: JID, to: JID, element: Element) -> None:
        assert sender == US
        assert to == PEER or to.bare == PEER.bare
        self.sent.append(element)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == "never":
            await asyncio.Event().wait()


class Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.complaints = Complaints()
        logging.getLogger("focus.jingle").addHandler(self.complaints)
        self.owner = Owner()
        self.outbox = Outbox()
        self.session: PeerSession | None = None

    def run(self, step: Callable[[PeerSession], Awaitable[None] | None]) -> None:
        """Do `step`, and all that follows from it."""

        async def whole() -> None:
            assert self.session is not None
            if (awaitable := step(self.session)) is not None:
                await awaitable
            for _ in range(40):
                await asyncio.sleep(0)

        self.runner.run(whole())

    @initialize(how=st.sampled_from(["propose:0", "propose:1", "initiate", "call:0", "call:1", "call"]))
    def begin(self, how: str) -> None:
        dialect: Dialect = JMI_1 if how.endswith(":1") else JMI_0
        surroundings: Surroundings = {
            "local": US, "outbox": self.outbox, "legs": Air().leg, "observer": self.owner, "isfocus": True,
            "timeouts": Timeouts(goodbye=0.001),
        }  # fmt: skip

        async def begin() -> None:
            first: Propose | Jingle
            if how.startswith("call"):
                with_propose = ":" in how
                self.session = PeerSession.outgoing(
                    to=PEER.bare if with_propose else PEER, dialect=dialect if with_propose else None, sid="s",
                    **surroundings,
                )  # fmt: skip
                await self.session.start()
                return
            if how == "initiate":
                first = Jingle(
                    action=Action.SESSION_INITIATE, sid="s", contents=(audio(), video()), group=bundle("0", "1")
                )
            else:
                first = in_dialect(Propose, dialect)(id="s", descriptions=(Description(media="audio"),))
            self.session = PeerSession.incoming(peer=PEER, first=first, **surroundings)

        self.runner.run(begin())

    @rule(answer=st.sampled_from([None, None, ItemNotFound("x"), ServiceUnavailable("x"), TimeoutError(), "never"]))
    def the_peer_will_answer(self, answer: StanzaError | TimeoutError | str | None) -> None:
        self.outbox.answer = answer

    @rule()
    def ring(self) -> None:
        self.run(lambda session: session.ring())

    @rule()
    def accept(self) -> None:
        def accept(session: PeerSession) -> None:
            if session.role == "responder":
                session.accept()

        self.run(accept)

    @rule(info=st.sampled_from([Mute(), Hold(), Active()]))
    def send_info(self, info: Mute | Hold | Active) -> None:
        self.run(lambda session: session.send_info(info))

    @rule(reason=REASONS)
    def hangup(self, reason: Reason) -> None:
        self.run(lambda session: session.hangup(reason))

    @rule()
    def give_way(self) -> None:
        def give_way(session: PeerSession) -> None:
            if session.unanswered:
                session.give_way("a")

        self.run(give_way)

    @rule(
        sender=SENDERS,
        kind=st.sampled_from([Propose, Ringing, Proceed, Accept, Reject, Retract, Finish]),
        dialect=st.sampled_from([JMI_0, JMI_1]),
        id=SIDS,
    )
    def message(self, sender: JID, kind: type[JingleMessage], dialect: str, id: str) -> None:
        message = in_dialect(kind, dialect)(id=id)  # type: ignore[arg-type]
        self.run(lambda session: session.receive_message(sender, message))

    @rule(sender=SENDERS, action=st.sampled_from(Action), sid=SIDS, contents=CONTENTS, bundled=st.booleans())
    def action(self, sender: JID, action: Action, sid: str, contents: tuple[Content, ...], bundled: bool) -> None:
        group = bundle("0", "1") if bundled else None
        jingle = Jingle(action=action, sid=sid, contents=contents, group=group)

        def act(session: PeerSession) -> None:
            ended, peer = session.ended, session.peer  # whichever device has answered first
            try:
                session.receive(sender, jingle, jingle.to_element())
            except UnknownSession:
                pass
            except StanzaError:
                assert not ended
                assert (sender, sid) == (peer, "s")
            else:
                assert not ended
                assert (sender, sid) == (peer, "s")

        self.run(act)

    @rule(info=st.sampled_from([Mute(), Hold(), Unhold(), Active()]))
    def info(self, info: Mute | Hold | Unhold | Active) -> None:
        jingle = Jingle.model_validate({"action": "session-info", "sid": "s", info.__xml_tag__: info})

        def act(session: PeerSession) -> None:
            with contextlib.suppress(UnknownSession):
                session.receive(PEER, jingle, jingle.to_element())

        self.run(act)

    @rule(news=st.sampled_from(["connected", "failed", "closed", "speaking", "pressed"]))
    def leg(self, news: str) -> None:
        def tell(session: PeerSession) -> None:
            if session.leg is None:
                return
            assert isinstance(session.leg, FakeLeg)
            observer = session.leg.observer
            tellings: dict[str, Callable[[], None]] = {
                "connected": observer.leg_connected,
                "failed": lambda: observer.leg_failed("why"),
                "closed": observer.leg_closed,
                "speaking": lambda: observer.leg_speaking(True),
                "pressed": lambda: observer.leg_pressed("1", 0.1),
            }
            tellings[news]()

        self.run(tell)

    @invariant()
    def the_end_is_told_once_and_last(self) -> None:
        ends = [entry for entry in self.owner.entries if isinstance(entry, tuple) and entry[0] == "ended"]
        assert len(ends) <= 1
        assert not ends or self.owner.entries[-1] is ends[0]

    @invariant()
    def nothing_crashed(self) -> None:
        assert [record.getMessage() for record in self.complaints.records] == []

    @invariant()
    def what_is_final_is_said_once(self) -> None:
        for kind in (Proceed, Accept, Reject, Retract, Finish):
            assert sum(isinstance(each, kind) for each in self.outbox.sent) <= 1
        actions = [each.action for each in self.outbox.sent if isinstance(each, Jingle)]
        for action in (Action.SESSION_INITIATE, Action.SESSION_ACCEPT, Action.SESSION_TERMINATE):
            assert actions.count(action) <= 1
        assert Action.SESSION_TERMINATE not in actions[:-1]

    def teardown(self) -> None:
        logging.getLogger("focus.jingle").removeHandler(self.complaints)
        if self.session is not None:

            async def end() -> None:
                assert self.session is not None
                self.session.hangup(Reason.of("gone"))
                async with asyncio.timeout(60):
                    await self.session.closed()

            self.runner.run(end())
            assert any(isinstance(each, tuple) and each[0] == "ended" for each in self.owner.entries)
            leg = self.session.leg
            assert leg is None or (isinstance(leg, FakeLeg) and leg.closed)
        self.runner.close()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None)
