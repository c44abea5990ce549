"""What a room is asked: its configuration, its password, who is banned, who is who (XEP-0045 sections 6.4, 9, 10)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from xml.etree import ElementTree as ET

from focus.conference.room import RoomError, Rules
from focus.wire.conditions import StanzaError
from focus.wire.jid import JID
from focus.xmpp.connection import Connection
from focus.xmpp.discovery import DATA_FORM, DISCO_INFO, PING_QUERY

log = logging.getLogger(__name__)

MUC = "http://jabber.org/protocol/muc"
MUC_USER = f"{MUC}#user"
MUC_ADMIN = f"{MUC}#admin"
MUC_OWNER = f"{MUC}#owner"

#: Characters of a description that documents carry; a room may have a longer one.
MAX_DESCRIPTION = 1000

#: What a room says to who is not in it, or not by that nick; or it is no more.
_OUTSIDE = frozenset({"gone", "item-not-found", "not-acceptable"})


class RoomQueries:
    """Questions of our occupant `us` to the room `jid`. What it does not answer is as if it had nothing to say."""

    def __init__(self, connection: Connection, us: JID, jid: JID, timeout: float) -> None:
        self._connection = connection
        self._us, self._jid, self._timeout = us, jid, timeout

    async def configure(self) -> None:
        """Accept the default configuration of a room that we have created (section 10.1.2). Raises `RoomError`."""
        query = ET.Element(f"{{{MUC_OWNER}}}query")
        ET.SubElement(query, f"{{{DATA_FORM}}}x", {"type": "submit"})
        try:
            await self._connection.iq(self._us, self._jid, "set", query, self._timeout)
        except StanzaError as error:
            raise RoomError(self._jid, error.condition, error.text) from error
        except TimeoutError:
            raise RoomError(self._jid, "timeout", "the new room could not be configured") from None

    async def rules(self) -> Rules | None:
        """How the room is configured (section 6.4); None where it does not say."""
        answer = await self._ask(ET.Element(f"{{{DISCO_INFO}}}query"))
        if answer is None:
            return None
        features = {feature.get("var") for feature in answer.iter(f"{{{DISCO_INFO}}}feature")}
        return Rules(
            moderated="muc_moderated" in features and not await self._gives_voice(),
            members_only="muc_membersonly" in features,
            password_protected="muc_passwordprotected" in features,
            description=_field(answer, "muc#roominfo_description")[:MAX_DESCRIPTION],
        )

    async def _gives_voice(self) -> bool:
        """COMPAT (ejabberd): its rooms are moderated, as a rule, but whoever comes has voice; which owners may know."""
        answer = await self._ask(ET.Element(f"{{{MUC_OWNER}}}query"))
        return answer is not None and _field(answer, "members_by_default") in ("1", "true")

    async def outcasts(self) -> frozenset[JID]:
        """Who is banned (section 9.2); nobody where we may not know."""
        return frozenset(jid for item in await self._items(affiliation="outcast") if (jid := _jid(item)) is not None)

    async def identities(self) -> dict[str, JID]:
        """The real JIDs of the occupants, by nick, for a moderator (section 8.5)."""
        items = [item for role in ("moderator", "participant", "visitor") for item in await self._items(role=role)]
        return {item.get("nick", ""): jid for item in items if (jid := _jid(item)) is not None}

    async def password(self) -> str:
        """What the room wants to hear of those who enter, for an owner (section 10.2); empty where we are none."""
        answer = await self._ask(ET.Element(f"{{{MUC_OWNER}}}query"))
        return "" if answer is None else _field(answer, "muc#roomconfig_roomsecret")

    async def knows(self, nick: str) -> bool:
        """Whether we are the occupant `nick` (XEP-0410), as far as the room says that we are not: another error comes
        from an occupant, ourselves that is, or from a server that cannot ask."""
        try:
            await self._connection.iq(
                self._us, self._jid.with_resource(nick), "get", ET.Element(PING_QUERY), self._timeout
            )
        except StanzaError as error:
            return error.condition not in _OUTSIDE
        except TimeoutError:
            log.warning("the room %s does not answer", self._jid)
        return True

    async def _items(self, **attributes: str) -> list[ET.Element]:
        query = ET.Element(f"{{{MUC_ADMIN}}}query")
        ET.SubElement(query, f"{{{MUC_ADMIN}}}item", attributes)
        answer = await self._ask(query)
        return [] if answer is None else list(answer.iter(f"{{{MUC_ADMIN}}}item"))

    async def _ask(self, query: ET.Element) -> ET.Element | None:
        try:
            return await self._connection.iq(self._us, self._jid, "get", query, self._timeout)
        except StanzaError as error:
            log.info("the room %s does not answer %s: %s", self._jid, query.tag, error)
        except TimeoutError:
            log.warning("the room %s does not answer %s", self._jid, query.tag)
        return None


def _field(answer: ET.Element, name: str) -> str:
    """The value of a field of the form in an answer, or nothing."""
    fields: Iterator[ET.Element] = answer.iter(f"{{{DATA_FORM}}}field")
    values = [field.findtext(f"{{{DATA_FORM}}}value") or "" for field in fields if field.get("var") == name]
    return values[0] if values else ""


def _jid(item: ET.Element) -> JID | None:
    with suppress(ValueError):
        return JID.parse(item.get("jid", ""))
    return None
