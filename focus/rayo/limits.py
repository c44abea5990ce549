"""How much there may be at once, overall and for one client (XEP-0327 sections 6.2.1.1 and 6.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from focus.media.plane import MediaPlane
from focus.rayo.call import Call
from focus.rayo.directory import Directory
from focus.rayo.joinable import Joinable
from focus.wire.conditions import ResourceConstraint
from focus.wire.jid import JID


@dataclass(frozen=True, slots=True)
class Limits:
    """`calls`, `mixers`, `joins`: at once, overall; those `_of_client`: that clients of one account control.
    `components`: at once, overall, and `components_of_one`: on one call or mixer. `calls_of_one`: that come from
    one bare JID, or one occupant of a room, so that nobody takes all the lines. `registrations`: of clients, and
    `registrations_of_client`: with one account. `subscriptions`: to the presence of mixers that are remembered, overall
    and of one account.
    `load`: the share of its time that a thread for audio may be at work, or wait for a core, before new calls, and
    components of clients, are refused.
    `dial_timeout`: seconds to wait for an answer where `<dial/>` sets no limit.
    """

    calls: int = 1000
    calls_of_one: int = 20
    calls_of_client: int = 500
    mixers: int = 1000
    mixers_of_client: int = 500
    joins: int = 10_000
    joins_of_client: int = 5_000
    components: int = 2_000
    components_of_one: int = 32
    registrations: int = 2_000
    registrations_of_client: int = 1_000
    subscriptions: int = 20_000
    subscriptions_of_client: int = 1_000
    load: float = 0.85
    dial_timeout: float = 60.0


class Quotas:
    """`Limits` held against what there is. Applications of ours have none of those for clients."""

    def __init__(
        self,
        limits: Limits,
        directory: Directory,
        plane: MediaPlane,
        is_ours: Callable[[JID], bool],
        account: Callable[[JID], JID],
    ) -> None:
        """`account`: whose calls a caller's are."""
        self._limits = limits
        self._directory = directory
        self._plane = plane
        self._is_ours = is_ours
        self._account = account

    def check_call(self, room: str | None = None) -> None:
        """Raises `ResourceConstraint` where there cannot be a further call, to `room` or to none."""
        self._check_load(self._plane.load(room=room))
        if sum(1 for _ in self._directory.calls()) >= self._limits.calls:
            raise ResourceConstraint(f"all {self._limits.calls} lines are in use")

    def check_caller(self, caller: JID) -> None:
        """Raises `ResourceConstraint` where the account of `caller` cannot call once more."""
        account = self._account(caller)
        peers = [call.session.peer for call in self._directory.calls() if call.session is not None]
        if sum(self._account(peer) == account for peer in peers) >= self._limits.calls_of_one:
            raise ResourceConstraint(f"there are {self._limits.calls_of_one} calls of yours already")

    def check_dial(self, client: JID) -> None:
        """Raises `ResourceConstraint` where `client` cannot make a further call."""
        self.check_call()
        if not self._is_ours(client) and sum(1 for _ in self._calls_of(client)) >= self._limits.calls_of_client:
            raise ResourceConstraint(f"you control {self._limits.calls_of_client} calls already")

    def check_join(self, client: JID, *, new_mixer: bool) -> None:
        """Raises `ResourceConstraint` where `client` cannot have one more join, with a mixer of which it would be the
        first, or with what there is."""
        mixers = list(self._directory.mixers())
        if new_mixer and len(mixers) >= self._limits.mixers:
            raise ResourceConstraint(f"there are {self._limits.mixers} mixers already")
        joined = sum([len(actor.joins) for actor in (*self._directory.calls(), *mixers)]) // 2
        if joined >= self._limits.joins:
            raise ResourceConstraint(f"there are {self._limits.joins} joins already")
        if self._is_ours(client):
            return
        own = [mixer for mixer in mixers if mixer.zone == str(client.bare)]
        of_calls = sum([len(call.joins) for call in self._calls_of(client)])
        of_mixers = len({frozenset((mixer, party)) for mixer in own for party in mixer.joins if party.is_mixer})
        if of_calls + of_mixers >= self._limits.joins_of_client:
            raise ResourceConstraint(f"your calls and mixers have {self._limits.joins_of_client} joins already")
        if new_mixer and len(own) >= self._limits.mixers_of_client:
            raise ResourceConstraint(f"you have {self._limits.mixers_of_client} mixers already")

    def check_component(self, client: JID, target: Joinable) -> None:
        """Raises `ResourceConstraint` where `client` cannot have one more component on `target`. Its load is no reason
        to refuse what a room says to whom it has let in, as that it is recorded, or the parts of a prompt.
        """
        if not self._is_ours(client):
            self._check_load(self._plane.load(near=target.node))
        if len(target.components) >= self._limits.components_of_one:
            raise ResourceConstraint(f"{target.address} has {self._limits.components_of_one} components already")
        targets = (*self._directory.calls(), *self._directory.mixers())
        if sum([len(each.components) for each in targets]) >= self._limits.components:
            raise ResourceConstraint(f"there are {self._limits.components} components already")

    def _check_load(self, load: float) -> None:
        if load > self._limits.load:
            raise ResourceConstraint("there is as much sound as this machine can carry")

    def _calls_of(self, client: JID) -> Iterator[Call]:
        account = client.bare
        calls = self._directory.calls()
        return (call for call in calls if call.controller is not None and call.controller.is_of(account))
