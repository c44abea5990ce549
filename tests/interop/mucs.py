"""Rooms on a real server, as their owners rule them."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from focus.wire.jid import JID
from focus.wire.jingle import JINGLE, Reason
from tests.interop.callers import JMI, AiortcCaller
from tests.interop.running import StanzaClient

MUC = "http://jabber.org/protocol/muc"


@dataclass
class MucRoom:
    """A room with its owner in it."""

    jid: JID
    owner: StanzaClient

    async def enter(self, client: StanzaClient, nick: str, password: str = "") -> None:
        key = f"<password>{password}</password>" if password else ""
        client.send(f"<presence to='{self.jid}/{nick}'><x xmlns='{MUC}'>{key}</x></presence>")
        await client.expect(f"entry as {nick}", lambda stanza: _is_self_presence(stanza, nick))

    async def configure(self, **fields: str) -> None:
        """Fields that start with `x_` are those of one server, which others do not mind."""
        names = {name: name[2:] if name.startswith("x_") else f"muc#roomconfig_{name}" for name in fields}
        form = "".join(f"<field var='{names[name]}'><value>{value}</value></field>" for name, value in fields.items())
        kind = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>"
        await self._set("owner", f"<x xmlns='jabber:x:data' type='submit'>{kind}{form}</x>")

    async def administrate(self, reason: str = "", **item: str) -> None:
        """Give somebody another role or affiliation."""
        attributes = " ".join(f"{name}='{value}'" for name, value in item.items())
        await self._set("admin", f"<item {attributes}><reason>{reason}</reason></item>")

    async def destroy(self, venue: JID, reason: str) -> None:
        await self._set("owner", f"<destroy jid='{venue}'><reason>{reason}</reason></destroy>")

    async def _set(self, what: str, child: str) -> None:
        await self.owner.ask(self.jid, "set", f"<query xmlns='{MUC}#{what}'>{child}</query>")


def _is_self_presence(stanza: ET.Element, nick: str) -> bool:
    codes = {status.get("code") for status in stanza.iter(f"{{{MUC}#user}}status")}
    return stanza.tag.endswith("presence") and "110" in codes and (stanza.get("from") or "").endswith(f"/{nick}")


async def refused(caller: AiortcCaller, room: JID) -> Reason:
    """Why the focus does not take the call that is proposed now."""
    description = "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/>"
    propose = f"<propose xmlns='{JMI.format(dialect=0)}' id='{caller.sid}'>{description}</propose>"
    caller.client.send(f"<message type='chat' to='{room}'>{propose}</message>")
    stanza = await caller.client.expect_child(f"{{{JMI.format(dialect=0)}}}reject", id=caller.sid)
    reason = stanza[0].find(f"{{{JINGLE}}}reason")
    assert reason is not None
    return Reason.parse(reason)
