"""Candidates one by one: a session-initiate or -accept without them, and a transport-info for each (XEP-0176 5.6)."""

from __future__ import annotations

from focus.wire.jingle import Action, Jingle

OFFERS = frozenset({Action.SESSION_INITIATE, Action.SESSION_ACCEPT})


def trickled(jingle: Jingle) -> list[Jingle]:
    """`jingle` without candidates, and what has to follow. Actions that carry no offer stay as they are.

    COMPAT (Movim, Monal): one candidate and one content per transport-info, with ufrag and pwd.
    """
    if jingle.action not in OFFERS:
        return [jingle]
    contents, following = [], []
    for content in jingle.contents:
        transport = content.transport
        if transport is None:
            contents.append(content)
            continue
        bare = transport.model_copy(update={"candidates": ()})
        contents.append(content.model_copy(update={"transport": bare}))
        credentials = bare.model_copy(update={"fingerprints": ()})
        for candidate in transport.candidates:
            news = content.model_copy(
                update={
                    "description": None,
                    "transport": credentials.model_copy(update={"candidates": (candidate,)}),
                }
            )
            following.append(Jingle(action=Action.TRANSPORT_INFO, sid=jingle.sid, contents=(news,)))
    return [jingle.model_copy(update={"contents": tuple(contents)}), *following]
