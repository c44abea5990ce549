"""Ad-hoc commands at a meeting's room, as a client sends them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from focus.wire.base import serialize
from focus.wire.commands import COMMANDS, DATA_FORM, AdHoc
from focus.wire.jid import JID
from focus.xmpp.commands import ANNOUNCE, AdHocCommands

from .scene import Meeting


class Desk:
    """Where moderators command."""

    def __init__(self, meeting: Meeting) -> None:
        self._commands = AdHocCommands(meeting.application)

    def command(self, sender: str, node: str, **fields: str) -> AdHoc:
        values = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
        form = f"<x xmlns='{DATA_FORM}' type='submit'>{values}</x>" if fields else ""
        payload = f"<command xmlns='{COMMANDS}' node='{node}'>{form}</command>"
        answer = self._commands.answer(JID.parse(sender), JID("tea", "focus.example.org"), ET.fromstring(payload))
        return AdHoc.parse(ET.fromstring(serialize(answer)))

    def announce(self, sender: str, **fields: str) -> AdHoc:
        return self.command(sender, ANNOUNCE, **fields)
