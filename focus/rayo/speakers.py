"""Who speaks in a mixer, for recordings that tell people from each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from focus.media.plane import Direction
from focus.media.tracks import Speaker
from focus.rayo.call import Call
from focus.rayo.mixer import Mixer
from focus.wire.jid import JID, unescape_node

#: What somebody is called in the room of that name; nothing where that is not known.
Nick = Callable[[str, JID], str]
#: Whose calls those of an address are (`focus.rayo.addresses.Addresses.account`).
Account = Callable[[JID], JID]


def speakers(
    mixer: Mixer, client: JID, nick: Nick, account: Account, *, by_way_of: frozenset[Mixer] = frozenset()
) -> Iterator[Speaker]:
    """Whose calls are heard in `mixer`, also by way of mixers that it is joined with. They are named as far as `client`
    may know of their calls; all calls of one account are one person's."""
    for party, direction in mixer.joins.items():
        if direction is Direction.SEND or party in by_way_of:
            continue  # it only hears
        if isinstance(party, Mixer):
            yield from speakers(party, client, nick, account, by_way_of=by_way_of | {mixer})
        elif isinstance(party, Call) and party.node is not None and party.session is not None:
            peer = party.session.peer
            who = account(peer)
            if party.is_for(client):
                name = nick(mixer.address.local, peer) or unescape_node(who.local) or str(who)
                yield Speaker(str(who), party.node, name, str(who), party.address.uri)
            else:
                yield Speaker(str(who), party.node)
