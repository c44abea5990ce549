"""A program controls a room by Rayo, with plain stanzas: it calls somebody in, mutes them, and hangs up."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from tests.interop.callers import AiortcCaller, CallerFactory, assert_hears, until_gone
from tests.interop.running import ClientFactory, PhoneFactory, RunningFocus, eventually
from tests.service.phones import hears

pytestmark = pytest.mark.interop

RAYO = "urn:xmpp:rayo:1"


def dial(to: str, room: JID) -> str:
    return f"<dial xmlns='{RAYO}' to='xmpp:{to}' from='{room.uri}'><join mixer-name='{room.local}'/></dial>"


def event(kind: str, sender: JID) -> Callable[[ET.Element], bool]:
    """Whether a stanza is this event of that call."""
    tag = f"{{{RAYO}}}{kind}"
    return lambda stanza: stanza.get("from") == str(sender) and stanza.find(tag) is not None


@pytest.mark.parametrize("device", ["", "/phone"])
async def test_a_program_calls_somebody_into_a_room(
    focus: RunningFocus,
    client: ClientFactory,
    caller: CallerFactory,
    listening: PhoneFactory,
    device: str,
) -> None:
    controller = await client("controller")
    service, room = JID("", focus.prosody.focus), focus.mixer("tea")
    alice = await caller("alice", 300)
    await alice.call(room)
    bob = await listening("bob", 440)

    result = await controller.ask(service, "set", dial(f"bob@localhost{device}", room))
    call = JID.from_uri(result[0].get("uri", ""))
    await controller.expect("ringing", event("ringing", call))
    await controller.expect("answered", event("answered", call))
    joined = await controller.expect("joined", event("joined", call))
    assert joined.find(f"{{{RAYO}}}joined").get("mixer-name") == "tea"  # type: ignore[union-attr]
    assert joined.find("{urn:xmpp:delay}delay") is not None
    await bob.wait_for("connected")
    document = await alice.document_of("alice", "bob")
    assert document.users is not None
    (endpoint,) = [user.endpoints[0] for user in document.users.users if user.display_text == "bob"]
    assert endpoint.joining_method == "dialed-out"
    await assert_hears(alice, [440], 300)
    await hears(bob, 300, without=[440])
    await bob.wait_for("coin", where=lambda coin: {user["display"] for user in coin["users"]} == {"alice", "bob"})

    # muted by the program, as everybody sees
    await controller.ask(call, "set", f"<join xmlns='{RAYO}' mixer-name='tea' direction='recv'/>")
    await until_gone(alice, 440)
    assert await status_of(alice, "bob") == ("muted-via-focus", "recvonly")
    await controller.ask(call, "set", f"<join xmlns='{RAYO}' mixer-name='tea'/>")
    await assert_hears(alice, [440], 300)

    await controller.ask(call, "set", f"<hangup xmlns='{RAYO}'/>")
    await controller.expect("unjoined", event("unjoined", call))
    end = await controller.expect("the end", event("end", call))
    assert end.find(f"{{{RAYO}}}end/{{{RAYO}}}hangup-command") is not None
    assert (await bob.wait_for("ended"))["reason"] == "success"
    await alice.document_of("alice")


async def status_of(one: AiortcCaller, name: str) -> tuple[str | None, str | None]:
    """What the next document in which it is not simply connected says of somebody."""
    while True:
        document = await one.document()
        assert document.users is not None
        for user in document.users.users:
            endpoint = user.endpoints[0]
            if user.display_text == name and endpoint.status != "connected":
                return endpoint.status, endpoint.media[0].status


async def test_somebody_who_does_not_want_to_is_left_alone(
    focus: RunningFocus, client: ClientFactory, listening: PhoneFactory
) -> None:
    controller = await client("controller")
    await listening("bob", 440, "busy")
    service = JID("", focus.prosody.focus)
    result = await controller.ask(service, "set", dial("bob@localhost", focus.mixer("tea")))
    call = JID.from_uri(result[0].get("uri", ""))
    end = await controller.expect("the end", event("end", call))
    reason = end.find(f"{{{RAYO}}}end/{{{RAYO}}}busy")
    assert reason is not None
    assert reason.get("platform-code") == "busy"
    await eventually(lambda: focus.service.calls() == 0)


async def test_who_does_not_exist_is_not_rung(focus: RunningFocus, client: ClientFactory) -> None:
    controller = await client("controller")
    service = JID("", focus.prosody.focus)
    result = await controller.ask(service, "set", dial("nobody@localhost", focus.mixer("tea")))
    call = JID.from_uri(result[0].get("uri", ""))
    end = await controller.expect("the end", event("end", call))  # sooner than anybody gives up
    reason = end.find(f"{{{RAYO}}}end/{{{RAYO}}}error")
    assert reason is not None, ET.tostring(end)
    assert reason.get("platform-code") == "gone"


async def test_calls_that_cannot_be_made_are_refused(focus: RunningFocus, client: ClientFactory) -> None:
    controller = await client("controller")
    service, room = JID("", focus.prosody.focus), focus.mixer("tea")
    refused = {
        "<dial xmlns='urn:xmpp:rayo:1'/>": "bad-request",
        "<dial xmlns='urn:xmpp:rayo:1' to='nonsense:123'/>": "bad-request",
        "<dial xmlns='urn:xmpp:rayo:1' to='tel:+123'/>": "feature-not-implemented",
        dial("bob@localhost", room).replace("<join ", "<join volume='11' "): "feature-not-implemented",
        dial("bob@localhost", room).replace(room.uri, "xmpp:x@elsewhere"): "feature-not-implemented",
        dial("bob@localhost", room).replace("<join ", "<join media='direct' "): "feature-not-implemented",
        f"<dial xmlns='{RAYO}' to='xmpp:b@d'><join call-uri='xmpp:no@{service}'/></dial>": "service-unavailable",
        f"<dance xmlns='{RAYO}'/>": "feature-not-implemented",
    }
    for command, condition in refused.items():
        with pytest.raises(StanzaError) as caught:
            await controller.ask(service, "set", command)
        assert caught.value.condition == condition, command
    assert focus.service.calls() == 0
