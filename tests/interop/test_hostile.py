"""Whatever one client sends, it gets the proper refusal, and every other call goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Jingle
from focus.wire.jingle_message import JMI_0
from tests.interop.callers import AiortcCaller, CallerFactory, assert_hears
from tests.interop.running import ClientFactory, RunningFocus, StanzaClient, eventually

pytestmark = [pytest.mark.interop, pytest.mark.any_server]

RTP = "urn:xmpp:jingle:apps:rtp:1"
ICE = "urn:xmpp:jingle:transports:ice-udp:1"
DTLS = "urn:xmpp:jingle:apps:dtls:0"
DIGEST = ":".join(["AB"] * 32)

DESCRIPTION = (
    f"<description xmlns='{RTP}' media='audio'>"
    "<payload-type id='111' name='opus' clockrate='48000' channels='2'/></description>"
)
FINGERPRINT = f"<fingerprint xmlns='{DTLS}' hash='sha-256' setup='actpass'>{DIGEST}</fingerprint>"
TRANSPORT = f"<transport xmlns='{ICE}' ufrag='abcdefgh' pwd='{'p' * 24}'>{FINGERPRINT}</transport>"


def content(description: str = DESCRIPTION, transport: str = TRANSPORT, name: str = "audio") -> str:
    return f"<content creator='initiator' name='{name}'>{description}{transport}</content>"


def jingle(action: str, sid: str, inside: str) -> str:
    return f"<jingle xmlns='{JINGLE}' action='{action}' sid='{sid}'>{inside}</jingle>"


@pytest.fixture
async def running_call(focus: RunningFocus, caller: CallerFactory) -> AsyncIterator[AiortcCaller]:
    """Two people in a call, who must not notice anything: checked at the end."""
    alice, bob = await caller("alice", 300), await caller("bob", 440)
    for one in (alice, bob):
        await one.call(focus.mixer("tea"))
    await assert_hears(alice, [440], 300)
    yield alice
    await assert_hears(alice, [440], 300)
    await assert_hears(bob, [300], 440)


async def refusal(mallory: StanzaClient, to: JID, kind: str, child: str) -> StanzaError:
    with pytest.raises(StanzaError) as caught:
        await mallory.ask(to, kind, child)
    return caught.value


async def terminated(mallory: StanzaClient, sid: str) -> str:
    """The reason that the session is ended for."""
    stanza = await mallory.expect_child(f"{{{JINGLE}}}jingle", action="session-terminate", sid=sid)
    reason = Jingle.parse(stanza[0]).reason
    assert reason is not None
    return reason.condition


async def test_what_is_no_offer_is_refused_at_once(
    focus: RunningFocus, client: ClientFactory, running_call: AiortcCaller
) -> None:
    mallory = await client("mallory")
    line = focus.mixer("tea").with_resource("focus")
    endless = "x" * 20_000
    cases = {
        "no action": f"<jingle xmlns='{JINGLE}' sid='a'/>",
        "an unknown action": jingle("session-explode", "a", ""),
        "no sid": f"<jingle xmlns='{JINGLE}' action='session-initiate'>{content()}</jingle>",
        "no content": jingle("session-initiate", "a", ""),
        "a content without a name": jingle("session-initiate", "a", content(name="")),
        "an endless sid": jingle("session-initiate", endless, content()),
        "an endless codec": jingle("session-initiate", "a", content(DESCRIPTION.replace("opus", endless))),
        "a payload type of 300": jingle("session-initiate", "a", content(DESCRIPTION.replace("111", "300"))),
        "no fingerprint but noise": jingle("session-initiate", "a", content(transport=TRANSPORT.replace(DIGEST, "zz"))),
        "twenty contents": jingle("session-initiate", "a", content() * 20),
    }
    for what, child in cases.items():
        error = await refusal(mallory, line, "set", child)
        assert (error.condition, error.type) == ("bad-request", "modify"), f"{what}: {error!r}"
    assert focus.service.calls() == 2


async def test_offers_that_cannot_be_met_end_with_the_reason(
    focus: RunningFocus, client: ClientFactory, running_call: AiortcCaller
) -> None:
    mallory = await client("mallory")
    line = focus.mixer("tea").with_resource("focus")
    cases = {
        content(DESCRIPTION.replace("opus", "G729")): {"incompatible-parameters", "failed-application"},
        content(transport=TRANSPORT.replace(FINGERPRINT, "")): {"security-error"},
        content("<description xmlns='urn:xmpp:jingle:apps:stub:0'/>"): {"unsupported-applications"},
        content(transport="<transport xmlns='urn:xmpp:jingle:transports:stub:0'/>"): {"unsupported-transports"},
        content(DESCRIPTION.replace("audio", "video")): {"unsupported-applications", "failed-application"},
    }
    for inside, reasons in cases.items():
        sid = str(uuid4())
        await mallory.ask(line, "set", jingle("session-initiate", sid, inside))
        assert await terminated(mallory, sid) in reasons
    await eventually(lambda: focus.service.calls() == 2)


async def test_actions_out_of_place_are_refused(
    focus: RunningFocus, client: ClientFactory, running_call: AiortcCaller
) -> None:
    mallory = await client("mallory")
    line = focus.mixer("tea").with_resource("focus")
    unknown = await refusal(mallory, line, "set", jingle("session-info", "nowhere", ""))
    assert (unknown.condition, unknown.application) == (
        "item-not-found",
        ("urn:xmpp:jingle:errors:1", "unknown-session"),
    )
    # somebody else's session, by its true sid
    stolen = await refusal(
        mallory, line, "set", jingle("session-terminate", running_call.sid, "<reason><success/></reason>")
    )
    assert stolen.condition == "item-not-found"
    # one's own, twice begun, and begun anew under the same sid
    sid = str(uuid4())
    await mallory.ask(line, "set", jingle("session-initiate", sid, content()))
    again = await refusal(mallory, line, "set", jingle("session-initiate", sid, content()))
    assert again.condition == "unexpected-request"
    accept = await refusal(mallory, line, "set", jingle("session-accept", sid, content()))
    assert accept.condition == "unexpected-request"
    info = await refusal(mallory, line, "set", jingle("session-info", sid, "<dance xmlns='urn:example:dance'/>"))
    assert (info.condition, info.application) == (
        "feature-not-implemented",
        ("urn:xmpp:jingle:errors:1", "unsupported-info"),
    )
    await mallory.ask(line, "set", jingle("session-terminate", sid, "<reason><success/></reason>"))
    await eventually(lambda: focus.service.calls() == 2)


async def test_unknown_requests_and_addresses_are_refused(
    focus: RunningFocus, client: ClientFactory, running_call: AiortcCaller
) -> None:
    mallory = await client("mallory")
    service = JID("", focus.prosody.focus)
    room = focus.mixer("tea")
    nonsense = await refusal(mallory, room, "get", "<query xmlns='urn:example:nonsense'/>")
    assert nonsense.condition in ("service-unavailable", "feature-not-implemented")
    dial = await refusal(mallory, service, "set", "<dial xmlns='urn:xmpp:rayo:1' to='xmpp:alice@localhost'/>")
    assert dial.condition == "not-authorized"
    join = await refusal(mallory, room, "set", "<join xmlns='urn:xmpp:rayo:1' mixer-name='x'/>")
    assert join.condition == "item-not-found"
    domain = await refusal(mallory, service, "set", jingle("session-initiate", "a", content()))
    assert domain.condition == "service-unavailable"


async def test_messages_that_are_no_invitations_are_refused_or_dropped(
    focus: RunningFocus, client: ClientFactory, running_call: AiortcCaller
) -> None:
    mallory = await client("mallory")
    room = focus.mixer("tea")
    mallory.send(f"<message to='{room}' type='chat' id='m1'><propose xmlns='{JMI_0}'/></message>")
    refused = await mallory.expect("an error", lambda stanza: stanza.get("type") == "error")
    assert refused.get("id") == "m1"
    for kind in ("proceed", "retract", "finish", "reject"):
        mallory.send(f"<message to='{room}' type='chat'><{kind} xmlns='{JMI_0}' id='{running_call.sid}'/></message>")
        mallory.send(f"<message to='{room}' type='error'><{kind} xmlns='{JMI_0}' id='{running_call.sid}'/></message>")
    # to nobody: the caller is told in a way that it reads
    mallory.send(
        f"<message to='{focus.prosody.focus}' type='chat'><propose xmlns='{JMI_0}' id='lost'>"
        f"<description xmlns='{RTP}' media='audio'/></propose></message>"
    )
    await mallory.expect_child(f"{{{JMI_0}}}reject", id="lost")
    assert focus.service.calls() == 2


async def test_a_flood_of_proposals_takes_few_lines_and_leaves_no_call_behind(
    focus: RunningFocus, client: ClientFactory, running_call: AiortcCaller
) -> None:
    mallory = await client("mallory")
    room = focus.mixer("tea")
    for number in range(50):
        mallory.send(
            f"<message to='{room}' type='chat'><propose xmlns='{JMI_0}' id='p{number}'>"
            f"<description xmlns='{RTP}' media='audio'/></propose></message>"
        )
    for number in range(20):
        await mallory.expect_child(f"{{{JMI_0}}}proceed", id=f"p{number}")
    for number in range(20, 50):
        refused = await mallory.expect_child(f"{{{JMI_0}}}reject", id=f"p{number}")
        assert refused[0].find(f"{{{JINGLE}}}reason/{{{JINGLE}}}busy") is not None
    for number in range(20):
        mallory.send(f"<message to='{room}' type='chat'><retract xmlns='{JMI_0}' id='p{number}'/></message>")
    await eventually(lambda: focus.service.calls() == 2)
