"""Who may register, who has, and what commands to the service come to then."""

import pytest

from focus.rayo.registration import Availability, Registrations, Security
from focus.wire.conditions import NotAuthorized, RegistrationRequired, ResourceConstraint, StanzaError
from focus.wire.jid import JID

READY, BUSY = Availability.READY, Availability.BUSY
JULIET = JID.parse("juliet@capulet.lit/balcony")
COURTYARD = JULIET.with_resource("courtyard")
ROMEO = JID.parse("romeo@montague.lit/orchard")
PARIS = JID.parse("paris@verona.lit/gate")
ADMIN = JID.parse("prince@verona.lit/palace")

SECURITY = Security(clients=frozenset({JULIET.bare, JID("", "montague.lit")}), controllers=frozenset({ADMIN.bare}))


@pytest.fixture
def registrations() -> Registrations:
    return Registrations(SECURITY, maximum=3, maximum_of_one=2)


def lost_by(registrations: Registrations) -> list[JID]:
    lost: list[JID] = []
    registrations.lost = lost.append
    return lost


@pytest.mark.parametrize(
    ("show", "availability"), [("chat", READY), ("", READY), ("dnd", BUSY), ("away", BUSY), ("xa", BUSY)]
)
def test_only_who_does_not_mind_is_ready(show: str, availability: Availability) -> None:
    assert Availability.of(show) is availability


def test_accounts_and_domains_may_register_and_controllers_too(registrations: Registrations) -> None:
    for client in (JULIET, ROMEO, ADMIN):
        registrations.update(client, READY)
    assert list(registrations) == [JULIET, ROMEO, ADMIN]
    with pytest.raises(NotAuthorized):
        registrations.update(PARIS, READY)


def test_those_are_ready_who_are_wanted_and_want_to(registrations: Registrations) -> None:
    registrations.update(JULIET, READY)
    registrations.update(COURTYARD, BUSY)
    registrations.update(ROMEO, READY)
    assert registrations.ready([JULIET.bare]) == [JULIET]
    assert registrations.ready([COURTYARD]) == []
    assert registrations.ready([JID("", "montague.lit"), JULIET]) == [JULIET, ROMEO]
    assert registrations.ready([]) == []


def test_who_can_be_offered_nothing_any_more_or_goes_is_lost(registrations: Registrations) -> None:
    lost = lost_by(registrations)
    registrations.update(JULIET, READY)
    registrations.update(JULIET, BUSY)
    registrations.update(JULIET, BUSY)
    registrations.remove(JULIET)
    registrations.update(ROMEO, READY)
    registrations.remove(ROMEO)
    registrations.remove(ROMEO)
    assert lost == [JULIET, JULIET, ROMEO]
    assert len(registrations) == 0


def test_it_is_told_whose_clients_come_and_go(registrations: Registrations) -> None:
    changed: list[JID] = []
    registrations.changed = changed.append
    registrations.update(JULIET, BUSY)
    registrations.update(JULIET, READY)
    registrations.update(COURTYARD, READY)
    assert registrations.of(JULIET.bare) == [JULIET, COURTYARD]
    assert registrations.of(ROMEO.bare) == []
    registrations.remove(JULIET)
    registrations.remove(ROMEO)
    assert changed == [JULIET.bare] * 3
    assert registrations.of(JULIET.bare) == [COURTYARD]


def test_who_goes_makes_room_for_another_of_the_account(registrations: Registrations) -> None:
    tomb = JULIET.with_resource("tomb")
    registrations.update(JULIET, READY)
    registrations.update(COURTYARD, READY)
    with pytest.raises(ResourceConstraint):
        registrations.update(tomb, READY)
    for client in (JULIET, COURTYARD):
        registrations.remove(client)
    assert registrations.of(JULIET.bare) == []
    for client in (tomb, JULIET):
        registrations.update(client, READY)
    assert registrations.of(JULIET.bare) == [tomb, JULIET]


@pytest.mark.parametrize(
    ("client", "refusal"),
    [(JULIET, RegistrationRequired), (ROMEO, RegistrationRequired), (PARIS, NotAuthorized), (ADMIN, None)],
)
def test_what_the_service_says_to_whom_it_does_not_know(
    registrations: Registrations, client: JID, refusal: type[StanzaError] | None
) -> None:
    if refusal is None:
        registrations.check(client)
        return
    with pytest.raises(refusal) as refused:
        registrations.check(client)
    assert refused.value.type == "auth"


def test_a_busy_client_is_known(registrations: Registrations) -> None:
    registrations.update(JULIET, BUSY)
    registrations.check(JULIET)
    with pytest.raises(RegistrationRequired):
        registrations.check(COURTYARD)


def test_there_may_be_so_many_clients(registrations: Registrations) -> None:
    registrations.update(JULIET, READY)
    registrations.update(COURTYARD, READY)
    with pytest.raises(ResourceConstraint):
        registrations.update(JULIET.with_resource("tomb"), READY)
    registrations.update(JULIET, BUSY)
    registrations.update(ROMEO, READY)
    with pytest.raises(ResourceConstraint):
        registrations.update(ADMIN, READY)
    assert list(registrations) == [JULIET, COURTYARD, ROMEO]
