"""Which route a called address takes."""

import pytest

from focus.rayo.routing import TO_ITS_ROOM, Route, is_of_faxes, route_of
from focus.wire.jid import JID

JULIET, ROMEO = JID.parse("juliet@capulet.lit"), JID.parse("romeo@montague.lit")
ROUTES = (
    Route("room-*"),
    Route("help", conference="tea"),
    Route("+39[0-9]*", clients=(JULIET,)),
    Route("agent?", clients=(JULIET, ROMEO), staged=True),
)


@pytest.mark.parametrize(
    ("local", "route"),
    [
        ("room-1", ROUTES[0]),
        ("help", ROUTES[1]),
        ("help2", TO_ITS_ROOM),
        ("+390451234", ROUTES[2]),
        ("+39x", TO_ITS_ROOM),
        ("agent7", ROUTES[3]),
        ("agent", TO_ITS_ROOM),
        ("", TO_ITS_ROOM),
    ],
)
def test_the_first_route_that_matches_is_taken(local: str, route: Route) -> None:
    assert route_of(local, ROUTES) is route


def test_a_catch_all_takes_the_bare_domain_too() -> None:
    route = Route("*", clients=(JULIET,))
    assert route_of("", [route]) is route


def test_calls_to_and_from_a_fax_machine_are_of_faxes() -> None:
    routes = (Route("fax-*", fax=True), Route("*"))
    assert is_of_faxes(routes, "fax-1", "")
    assert is_of_faxes(routes, "desk", "fax-1")
    assert not is_of_faxes(routes, "desk", "")
    assert not is_of_faxes((Route("*", fax=True),), "", "")
    assert not is_of_faxes((), "fax-1", "fax-2")


def test_clients_are_asked_at_once_or_one_after_the_other() -> None:
    assert [list(stage) for stage in Route("*", clients=(JULIET, ROMEO)).stages] == [[JULIET, ROMEO]]
    assert [list(stage) for stage in ROUTES[3].stages] == [[JULIET], [ROMEO]]
