"""What the peer says of its media, carried out on a leg."""

import pytest

from focus.jingle.leg_driver import MAX_CANDIDATES, LegDriver, NoRestart
from focus.jingle.negotiation import Settled, answer
from focus.jingle.session import Party
from focus.wire.dtls import Fingerprint
from focus.wire.ice import Transport
from focus.wire.jingle import Content

from .pair import Air, FakeLeg, candidate
from .test_negotiation import LOCAL, REMOTE, audio, bundle, initiate, video


class Nobody:
    """Who is not interested."""

    def leg_connected(self) -> None: ...

    def leg_failed(self, reason: str) -> None: ...

    def leg_closed(self) -> None: ...

    def leg_speaking(self, speaking: bool) -> None: ...

    def leg_pressed(self, key: str, duration: float) -> None: ...


@pytest.fixture
def leg(air: Air) -> FakeLeg:
    return air.leg(controlling=False, observer=Nobody())


def settled(transport: Transport = REMOTE, **changes: object) -> Settled:
    other = video(transport=Transport())
    return answer(initiate(audio(transport=transport, **changes), other, group=bundle("0", "1")), LOCAL).settled


def news(name: str, transport: Transport) -> tuple[Content, ...]:
    return (Content(name=name, transport=transport),)


async def test_a_leg_connects_when_the_credentials_have_come(leg: FakeLeg) -> None:
    driver = LegDriver(Party.RESPONDER)
    await driver.settle(leg, settled(REMOTE.model_copy(update={"ufrag": None, "pwd": None})))
    assert leg.remote is None
    await driver.trickle(news("0", Transport(candidates=(candidate(7000),))))
    assert leg.remote is None
    await driver.trickle(news("0", Transport(ufrag="them", pwd="their-password-22-chars")))
    assert leg.remote is not None
    assert (leg.remote.ufrag, leg.remote.pwd) == ("them", "their-password-22-chars")
    assert 7000 in {each.port for each in leg.candidates}
    await driver.trickle(news("0", Transport(ufrag="them", candidates=(candidate(7001),))))
    assert leg.candidates[-1].port == 7001
    assert await driver.trickle(news("0", Transport(ufrag="else", candidates=(candidate(7002),)))) is None
    assert leg.candidates[-1].port == 7001, "nothing can be done with half of other credentials"


async def test_news_before_there_is_a_leg_are_kept_and_news_of_other_transports_dropped(leg: FakeLeg) -> None:
    driver = LegDriver(Party.RESPONDER)
    await driver.trickle(news("1", Transport(candidates=(candidate(7000),))))
    await driver.trickle(news("2", Transport(ufrag="else", candidates=(candidate(7001),))))
    await driver.trickle((Content(name="0"),))
    await driver.settle(leg, settled())
    ports = [each.port for each in leg.candidates]
    assert 7000 in ports
    assert 7001 not in ports


async def test_a_flood_of_candidates_is_cut_off(leg: FakeLeg) -> None:
    driver = LegDriver(Party.RESPONDER)
    for number in range(4):
        many = tuple(candidate(8000 + 100 * number + each) for each in range(100))
        await driver.trickle(news("0", Transport(candidates=many)))
    for _ in range(2 * MAX_CANDIDATES):
        await driver.trickle(news("0", Transport()))
    await driver.settle(leg, settled(REMOTE.model_copy(update={"candidates": ()})))
    assert len(leg.candidates) == MAX_CANDIDATES


@pytest.mark.parametrize(("role", "sending"), [(Party.INITIATOR, "initiator"), (Party.RESPONDER, "responder")])
async def test_hold_and_senders_both_decide_whether_we_send(leg: FakeLeg, role: Party, sending: str) -> None:
    driver = LegDriver(role)
    driver.hold(True)
    driver.modify((audio(senders="none"),))
    await driver.settle(leg, settled())
    assert leg.sending is False
    driver.hold(False)
    assert leg.sending is True
    driver.modify((audio(senders="none"), video(senders="both")))
    assert leg.sending is False
    driver.modify((audio(senders=sending),))
    assert leg.sending is True
    driver.hold(True)
    driver.modify((audio(senders="both"),))
    assert leg.sending is False


async def test_a_restart_may_name_again_what_cannot_be_checked(leg: FakeLeg) -> None:
    """XEP-0320: the fingerprints of before, of which we read those that we know a digest for."""
    old = Fingerprint(hash="sha-1", setup="actpass", value=":".join(["CD"] * 20))
    both = REMOTE.model_copy(update={"fingerprints": (*REMOTE.fingerprints, old)})
    again = {"ufrag": "again", "pwd": "another-password-22-ch"}
    driver = LegDriver(Party.RESPONDER)
    await driver.settle(leg, settled(both))
    assert await driver.trickle(news("0", both.model_copy(update=again))) is not None
    other_hash = REMOTE.fingerprints[0].model_copy(update={"hash": "sha-512"})
    for fingerprint in (old, other_hash):
        once_more = both.model_copy(update={"ufrag": "more", "fingerprints": (fingerprint,)})
        with pytest.raises(NoRestart):
            await driver.trickle(news("0", once_more))


async def test_a_restart_that_comes_after_the_end_of_the_media_is_nothing(leg: FakeLeg) -> None:
    driver = LegDriver(Party.RESPONDER)
    await driver.settle(leg, settled())
    await leg.close()
    again = REMOTE.model_copy(update={"ufrag": "again", "pwd": "another-password-22-ch"})
    assert await driver.trickle(news("0", again)) is None


async def test_the_announced_source_names_the_leg_in_the_mix(leg: FakeLeg) -> None:
    await LegDriver(Party.RESPONDER).settle(leg, settled(ssrc=77))
    assert leg.source_id == 77


async def test_what_was_trickled_goes_with_the_content_where_somebody_else_connects() -> None:
    """New credentials make older candidates worthless."""
    driver = LegDriver(Party.RESPONDER)
    (content,) = news("audio", REMOTE)

    def gathered() -> Transport:
        (each,) = driver.with_candidates([content])
        assert each.transport is not None
        return each.transport

    assert gathered() == REMOTE
    await driver.trickle(news("audio", Transport(candidates=(candidate(1),))))
    await driver.trickle(news("other", Transport(candidates=(candidate(2),))))
    assert gathered() == REMOTE.model_copy(update={"candidates": (*REMOTE.candidates, candidate(1))})
    await driver.trickle(news("audio", Transport(ufrag="new", pwd="n" * 22, candidates=(candidate(3),))))
    assert (gathered().ufrag, gathered().candidates) == ("new", (candidate(3),))
    assert gathered().fingerprints == REMOTE.fingerprints
