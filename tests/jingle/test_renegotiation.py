"""A session that has connected is given another path, other parameters, or what it cannot take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from focus.jingle.codecs import MODEM, SPEECH
from focus.jingle.leg_driver import MAX_RESTARTS
from focus.jingle.peer import PeerSession
from focus.wire.conditions import FeatureNotImplemented
from focus.wire.dtls import Fingerprint
from focus.wire.ice import Transport
from focus.wire.jingle import Action, Content, Jingle, Reason
from focus.wire.rtp import Active, Description, Parameter, PayloadType

from .pair import End, candidate
from .test_peer import connected_call, leg_of

AGAIN = Transport(ufrag="again", pwd="another-password-22-ch", candidates=(candidate(6000, generation=1),))
STRANGER = Fingerprint(hash="sha-256", setup="actpass", value=":".join(["AB"] * 32))


def of_action(end: End, action: Action) -> list[Jingle]:
    """What `end` has sent."""
    return [each for each in end.said if isinstance(each, Jingle) and each.action is action]


class Client:
    """Alice's side of a call, in stanzas of its own beside her session, which does not hear what comes of them."""

    def __init__(self, alice: End, bob: End) -> None:
        self.alice, self.bob = alice, bob
        self.session: PeerSession
        self.told = 0

    async def call(self) -> PeerSession:
        """Bob's session, connected."""
        self.session, _, _ = await connected_call(self.alice, self.bob)
        self.alice.refusing = lambda jingle: (
            FeatureNotImplemented() if jingle.action.startswith(("transport-", "content-")) else None
        )
        return self.bob.sessions[0]

    async def says(self, action: Action, **content: object) -> None:
        """Until Bob has done what there is to do."""
        about = Content.model_validate({"name": "audio", **content})
        jingle = Jingle(action=action, sid=self.session.sid, contents=(about,))
        self.bob.take_iq(self.alice.jid, jingle.to_string())
        self.session.send_info(Active())
        self.told += 1
        await self.bob.owners[0].until(lambda _: self.bob.owners[0].count(Active()) == self.told)


@pytest.fixture
def client(alice: End, bob: End) -> Client:
    return Client(alice, bob)


# --- ICE restarts (XEP-0176 section 5.9) ---


@pytest.mark.parametrize("apart", [True, False])
async def test_new_credentials_are_answered_with_ours(client: Client, bob: End, apart: bool) -> None:
    """COMPAT (Conversations): it says first that it restarts, and then where it is."""
    far = await client.call()
    former = leg_of(far).local_transport
    transport = AGAIN.model_copy(update={"candidates": ()}) if apart else AGAIN
    await client.says(Action.TRANSPORT_INFO, transport=transport)
    if apart:
        await client.says(Action.TRANSPORT_INFO, transport=AGAIN)
    leg = leg_of(far)
    assert leg.remote is not None
    assert (leg.remote.ufrag, leg.remote.pwd) == (AGAIN.ufrag, AGAIN.pwd)
    assert leg.candidates == list(AGAIN.candidates)
    (info,) = of_action(bob, Action.TRANSPORT_INFO)
    (content,) = info.contents
    assert (content.name, content.creator, content.description) == ("audio", "initiator", None)
    assert content.transport is not None
    ours = content.transport
    assert (ours.ufrag, ours.pwd) == (leg.local_transport.ufrag, leg.local_transport.pwd)
    assert former.ufrag != ours.ufrag
    assert former.pwd != ours.pwd
    assert [each.generation for each in ours.candidates] == [1]
    assert not far.ended


async def test_each_of_our_candidates_goes_apart_with_the_credentials(client: Client, bob: End) -> None:
    """COMPAT (Movim, Monal): they read one candidate of a transport-info."""
    far = await client.call()
    leg = leg_of(far)
    both = (candidate(4000), candidate(4001))
    leg.local_transport = leg.local_transport.model_copy(update={"candidates": both})
    await client.says(Action.TRANSPORT_INFO, transport=AGAIN)
    infos = [info.contents[0].transport for info in of_action(bob, Action.TRANSPORT_INFO)]
    assert [info and [each.port for each in info.candidates] for info in infos] == [[4000], [4001]]
    assert {info and info.ufrag for info in infos} == {leg.local_transport.ufrag}


async def test_news_under_former_credentials_and_halves_of_new_ones_are_dropped(client: Client, bob: End) -> None:
    far = await client.call()
    leg = leg_of(far)
    former = leg.remote
    assert former is not None
    await client.says(Action.TRANSPORT_INFO, transport=AGAIN)
    late = Transport(ufrag=former.ufrag, pwd=former.pwd, candidates=(candidate(6001),))
    await client.says(Action.TRANSPORT_INFO, transport=late)
    await client.says(Action.TRANSPORT_INFO, transport=Transport(ufrag="half", candidates=(candidate(6002),)))
    await client.says(Action.TRANSPORT_INFO, transport=Transport(ufrag=AGAIN.ufrag, candidates=(candidate(6003),)))
    assert [each.port for each in leg.candidates] == [6000, 6003]
    assert len(of_action(bob, Action.TRANSPORT_INFO)) == 1


async def test_a_restart_before_the_answer_is_what_the_answer_is_for(alice: End, bob: End) -> None:
    bob.answering = lambda session: None
    session, _ = alice.call(bob.jid, None)
    await session.start()
    await bob.heard.until(lambda each: isinstance(each, Jingle))
    far = bob.sessions[0]
    jingle = Jingle(action=Action.TRANSPORT_INFO, sid=session.sid, contents=(Content(name="audio", transport=AGAIN),))
    bob.take_iq(alice.jid, jingle.to_string())
    far.accept()
    await bob.owners[0].until("accepted")
    leg = leg_of(far)
    assert leg.remote is not None
    assert (leg.remote.ufrag, leg.remote.pwd) == (AGAIN.ufrag, AGAIN.pwd)
    assert leg.candidates == list(AGAIN.candidates), "the former ones are of no use"
    assert of_action(bob, Action.TRANSPORT_INFO) == []


async def test_who_shows_another_certificate_has_to_call_again(client: Client, bob: End) -> None:
    await client.call()
    jingle = Jingle(
        action=Action.TRANSPORT_INFO,
        sid=client.session.sid,
        contents=(Content(name="audio", transport=AGAIN.model_copy(update={"fingerprints": (STRANGER,)})),),
    )
    bob.take_iq(client.alice.jid, jingle.to_string())
    assert await bob.owners[0].until_ended() == ("connectivity-error", False)


async def test_the_certificate_may_be_named_again(client: Client, bob: End) -> None:
    far = await client.call()
    remote = leg_of(far).remote
    assert remote is not None
    same = AGAIN.model_copy(update={"fingerprints": remote.fingerprints})
    await client.says(Action.TRANSPORT_INFO, transport=same)
    assert len(of_action(bob, Action.TRANSPORT_INFO)) == 1


async def test_nobody_restarts_without_end(client: Client, bob: End) -> None:
    await client.call()

    def restart(number: int) -> None:
        transport = Transport(ufrag=f"again{number}", pwd="another-password-22-ch")
        content = Content(name="audio", transport=transport)
        jingle = Jingle(action=Action.TRANSPORT_INFO, sid=client.session.sid, contents=(content,))
        bob.take_iq(client.alice.jid, jingle.to_string())

    for number in range(MAX_RESTARTS + 1):
        restart(number)
    assert await bob.owners[0].until_ended() == ("connectivity-error", False)
    assert len(of_action(bob, Action.TRANSPORT_INFO)) == MAX_RESTARTS


# --- transport-replace (XEP-0166 section 7.2.15) ---


async def test_a_new_transport_of_the_kind_we_have_is_accepted(client: Client, bob: End) -> None:
    far = await client.call()
    await client.says(Action.TRANSPORT_REPLACE, transport=AGAIN)
    leg = leg_of(far)
    (accept,) = of_action(bob, Action.TRANSPORT_ACCEPT)
    (content,) = accept.contents
    assert (content.name, content.creator) == ("audio", "initiator")
    assert content.transport is not None
    assert content.transport.ufrag == leg.local_transport.ufrag
    assert content.transport.candidates == leg.local_transport.candidates
    assert [each.setup for each in content.transport.fingerprints] == ["active"]
    assert leg.candidates == list(AGAIN.candidates)
    assert of_action(bob, Action.TRANSPORT_INFO) == []


@pytest.mark.parametrize(
    ("transport", "condition"),
    [
        (AGAIN.model_copy(update={"fingerprints": (STRANGER,)}), "failed-transport"),
        (Transport(), "failed-transport"),
        (None, "unsupported-transports"),
    ],
)
async def test_a_transport_that_cannot_be_taken_is_rejected_with_the_reason(
    client: Client, bob: End, transport: Transport | None, condition: str
) -> None:
    far = await client.call()
    before = leg_of(far).local_transport
    if transport is None:
        foreign = "<transport xmlns='urn:xmpp:jingle:transports:raw-udp:1'/>"
        content = f"<content name='audio' creator='initiator'>{foreign}</content>"
        bob.take_iq(
            client.alice.jid,
            f"<jingle xmlns='urn:xmpp:jingle:1' action='transport-replace' sid='{far.sid}'>{content}</jingle>",
        )
        await client.says(Action.CONTENT_MODIFY)
    else:
        await client.says(Action.TRANSPORT_REPLACE, transport=transport)
    (reject,) = of_action(bob, Action.TRANSPORT_REJECT)
    assert reject.reason is not None
    assert reject.reason.condition == condition
    assert leg_of(far).local_transport == before
    assert not far.ended


# --- description-info (XEP-0167 section 9) ---


async def test_advice_on_our_sending_is_followed(client: Client, bob: End) -> None:
    far = await client.call()
    assert far.settled is not None
    payload = far.settled.payload
    assert payload.parameter("maxaveragebitrate") == "32000"
    advice = (
        PayloadType(id=0, name="PCMU"),
        PayloadType(
            id=payload.id,
            name="opus",
            ptime=60,
            parameters=(Parameter(name="maxaveragebitrate", value="12000"),),
        ),
    )
    await client.says(Action.DESCRIPTION_INFO, description=Description(media="audio", payload_types=advice))
    codec = leg_of(far).codec
    assert codec is not None
    assert codec.parameter("maxaveragebitrate") == "12000"
    assert codec.parameter("useinbandfec") == payload.parameter("useinbandfec"), "what is not named stays"
    assert (codec.id, codec.name, codec.clockrate) == (payload.id, payload.name, payload.clockrate)
    assert (codec.ptime, codec.maxptime) == (60, payload.maxptime)
    assert far.settled.payload == codec


async def test_advice_on_other_codecs_and_contents_changes_nothing(client: Client) -> None:
    far = await client.call()
    before = leg_of(far).codec
    other = PayloadType(id=0, name="PCMU", parameters=(Parameter(name="maxaveragebitrate", value="12000"),))
    await client.says(Action.DESCRIPTION_INFO, description=Description(media="audio", payload_types=(other,)))
    await client.says(Action.DESCRIPTION_INFO)
    assert leg_of(far).codec == before


async def test_who_carries_a_modem_asks_for_all_of_it_and_then_for_speech_again(alice: End, bob: End) -> None:
    session, _, _ = await connected_call(alice, bob)
    leg = leg_of(bob.sessions[0])

    def wanted() -> list[str | None]:
        assert leg.codec is not None
        return [leg.codec.parameter(name) for name in ("maxaveragebitrate", "usedtx", "useinbandfec")]

    for parameters, values in ((MODEM, ["128000", "0", "0"]), (SPEECH, ["32000", "1", "1"])):
        session.wish_for(parameters)
        session.send_info(Active())
        before = bob.owners[0].count(Active())
        await bob.owners[0].until(lambda _, before=before: bob.owners[0].count(Active()) > before)
        assert wanted() == values


async def test_of_g711_there_is_nothing_to_ask(alice: End, bob: End) -> None:
    session, _, _ = await connected_call(alice, bob)
    assert session.settled is not None
    session._driver.settled = replace(session.settled, payload=PayloadType(id=0, name="PCMU"))
    session.wish_for(MODEM)
    session.hangup(Reason.of("success"))
    await bob.owners[0].until_ended()
    assert not of_action(alice, Action.DESCRIPTION_INFO)
