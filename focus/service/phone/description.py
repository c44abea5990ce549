"""Events in words, for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from focus.service.phone.events import Event

_REASONS = {
    "busy": "busy",
    "cancel": "cancelled",
    "connectivity-error": "no connection for audio",
    "decline": "declined",
    "expired": "expired",
    "gone": "nobody there",
    "success": "hung up",
    "timeout": "no answer",
}


def describe(event: Event) -> str:
    """One line, without anything that a terminal would obey."""
    known = _WORDS.get(event.name)
    text = known(event.details) if known is not None else str(event)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def style(event: Event) -> str:
    """Rich's name for how it looks."""
    if event.name == "connected":
        return "bold green"
    if event.name in ("offline", "lost", "not-joined", "left"):
        return "yellow"
    if event.name == "ended" and event["reason"] != "success":
        return "bold red"
    return "bold" if event.name in ("calling", "incoming", "ended") else ""


def _accepted(details: dict[str, Any]) -> str:
    codec = f", {details['codec']}" if "codec" in details else ""
    return f"accepted by {details['peer']}{codec}"


def _coin(details: dict[str, Any]) -> str:
    users = [_user(user) for user in details["users"]]
    subject = f" about {details['subject']}" if details.get("subject") else ""
    if not users:
        return "nobody in the conference"
    return f"{len(users)} in the conference{subject}: {', '.join(users)}{_hands(details['users'])}"


def _hands(users: list[dict[str, Any]]) -> str:
    """In which order they went up, where there are several."""
    raised = [
        (since, _name(user)) for user in users if (since := min(filter(None, _endpoints(user, "hand")), default=None))
    ]
    names = [name for _, name in sorted(raised, key=lambda each: each[0])]
    return f"; hands were raised by {', then '.join(names)}" if len(names) > 1 else ""


def _endpoints(user: dict[str, Any], what: str) -> list[Any]:
    return [endpoint[what] for endpoint in user["endpoints"]]


def _name(user: dict[str, Any]) -> str:
    return str(user["display"] or user["entity"] or "somebody")


def _user(user: dict[str, Any]) -> str:
    states = [status for status in _endpoints(user, "status") if status not in (None, "connected")]
    media = {stream["status"] for endpoint in user["endpoints"] for stream in endpoint["media"]}
    if media == {"recvonly"}:
        states.append("muted")
    if any(_endpoints(user, "hand")):
        states.append("hand raised")
    return f"{_name(user)} ({', '.join(states)})" if states else _name(user)


def _ended(details: dict[str, Any]) -> str:
    reason = _REASONS.get(details["reason"], details["reason"])
    text = f": {details['text']}" if details.get("text") else ""
    return f"ended by {'the other side' if details['by'] == 'peer' else 'us'}: {reason}{text}"


def _stats(details: dict[str, Any]) -> str:
    wanted = ("sent", "received", "lost", "late", "jitter_ms", "rtt_ms")
    return ", ".join(f"{name} {details[name]:g}" for name in wanted if name in details)


def _room_refusal(details: dict[str, Any]) -> str:
    text = f" ({details['text']})" if "text" in details else ""
    return f"not in the room {details['room']}: {details['condition']}{text}"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "connecting": lambda it: f"connecting as {it['account']}",
    "online": lambda it: f"online as {it['jid']}",
    "offline": lambda it: f"the server is gone: {it['reason']}",
    "lost": lambda it: f"the server does not come back: {it['reason']}",
    "calling": lambda it: f"calling {it['peer']}",
    "incoming": lambda it: f"{it['peer']} calls",
    "refused": lambda it: f"{it['peer']} calls, and hears that we are {it['reason']}",
    "ringing": lambda it: f"it rings at {it['peer']}",
    "proceeding": lambda it: f"{it['peer']} takes the call",
    "accepted": _accepted,
    "connected": lambda it: f"connected with {it['peer']}",
    "info": lambda it: f"the other side is now: {it['info']}",
    "focus": lambda it: "this is a conference" if it["isfocus"] else "this is no conference any more",
    "speaking": lambda it: "the other side speaks" if it["speaking"] else "the other side is silent",
    "coin": _coin,
    "joined": lambda it: f"in the room {it['room']} as {it['nick']}",
    "not-joined": _room_refusal,
    "left": lambda it: f"no longer in the room {it['room']}",
    "stats": _stats,
    "ended": _ended,
}
