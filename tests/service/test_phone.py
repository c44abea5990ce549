"""Phones that call each other through a real Prosody, with real media between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import pytest_asyncio

from focus.client.connection import Account, LoginRefused, Unreachable
from focus.jingle.peer import Timeouts
from focus.media.files import WavWriter, read_audio
from focus.media.tones import SAMPLE_RATE, Tone
from focus.service.phone import Answering, Phone, Settings
from focus.service.phone.call import Sound
from focus.service.phone.events import CallOver
from focus.service.phone.sound import file, speech, tone
from focus.service.prosody import Prosody
from focus.wire.conditions import ItemNotFound, ServiceUnavailable, StanzaError
from focus.wire.jid import JID
from focus.wire.jingle_message import JMI_0, JMI_1, Dialect
from focus.xmpp.discovery import CAPS, INFO_QUERY, verification_string
from tests.client.sessions import Recorder, online
from tests.interop.callers import AiortcCallee
from tests.interop.running import PATIENCE, StanzaClient
from tests.media.peers import level
from tests.service.phones import SECONDS, hears, listened

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

ALICE = JID.parse("alice@localhost/phone")
BOB = JID.parse("bob@localhost/phone")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(lasting_prosody: Prosody) -> Prosody:
    for jid in (ALICE, BOB):
        await lasting_prosody.add_user(str(jid.bare), "secret")
    return lasting_prosody


def account(server: Prosody, jid: JID) -> Account:
    return Account(jid, "secret", server.c2s, insecure=True)


def settings(server: Prosody, jid: JID, *frequencies: float, **others: Any) -> Settings:
    sound = Sound(tone(*frequencies)) if frequencies else Sound()
    return Settings(**{"account": account(server, jid), "sound": sound, "media": ["127.0.0.1"], **others})


@contextlib.asynccontextmanager
async def two_phones(
    server: Prosody, answering: Answering | None = None, **others: Any
) -> AsyncIterator[tuple[Phone, Phone]]:
    """Alice, who plays 440 Hz, and Bob, who plays 660 Hz and takes calls."""
    async with (
        Phone(settings(server, ALICE, 440, **others)) as alice,
        Phone(settings(server, BOB, 660, **others)) as bob,
    ):
        bob.listen(answering)
        yield alice, bob


async def connected(*phones: Phone) -> None:
    for phone in phones:
        await phone.wait_for("connected")


@pytest.mark.parametrize("trickle", [False, True], ids=["inline", "trickled"])
@pytest.mark.parametrize("dialect", [JMI_0, JMI_1, None], ids=["jmi-0", "jmi-1", "jingle"])
async def test_each_hears_the_other_and_not_itself(server: Prosody, dialect: Dialect | None, trickle: bool) -> None:
    async with two_phones(server, trickle=trickle) as (alice, bob):
        await alice.call(BOB if dialect is None else BOB.bare, dialect=dialect)
        await connected(alice, bob)
        for phone, theirs, own in ((alice, 660, 440), (bob, 440, 660)):
            await hears(phone, theirs, without=[own])
        alice.hangup()
        ended = await bob.wait_for("ended")
        assert (ended["reason"], ended["by"], ended["connected"]) == ("success", "peer", True)
        names = [event.name for event in alice.events.history if event.name != "speaking"]
        steps = ["connecting", "online", "calling", "ringing"] + (["proceeding"] if dialect else [])
        assert names[: len(steps)] == steps
        assert names[len(steps) : len(steps) + 2] == ["accepted", "connected"]


async def test_whoever_was_called_can_hang_up(server: Prosody) -> None:
    async with two_phones(server) as (alice, bob):
        await alice.call(BOB.bare)
        await connected(alice, bob)
        await listened(alice, 0.2)
        bob.hangup()
        ended = await alice.wait_for("ended")
        assert (ended["reason"], ended["by"]) == ("success", "peer")
        assert (await bob.wait_for("ended"))["by"] == "us"
        assert (await alice.wait_for("stats"))["sent"] > 0


async def test_being_muted_is_heard_and_told(server: Prosody) -> None:
    async with two_phones(server) as (alice, bob):
        await alice.call(BOB.bare)
        await connected(alice, bob)
        await listened(bob, 0.2)
        alice.mute()
        muted = await bob.wait_for("info", info="mute")
        await hears(bob, without=[440])
        await hears(alice, 660)
        alice.mute(False)
        await bob.wait_for("info", since=muted, info="unmute")
        await hears(bob, 440)


async def test_who_takes_no_keys_is_not_pressed_any(server: Prosody, monkeypatch: pytest.MonkeyPatch) -> None:
    # aiortc offers no loopback addresses by itself
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    client = StanzaClient(account(server, BOB))
    await client.connect()
    callee = AiortcCallee(client, 660)  # which knows nothing but Opus
    try:
        async with Phone(settings(server, ALICE, 440, keys="1")) as alice:
            await alice.call(BOB.bare)
            await callee.rings()
            await callee.answers()
            ended = await alice.wait_for("ended")
            assert (ended["reason"], ended["text"]) == ("media-error", "the other side takes no keys (telephone-event)")
            assert "pressed" not in {event.name for event in alice.events.history}
    finally:
        await callee.connection.close()
        await client.close()


async def test_a_phone_can_be_muted_from_the_beginning(server: Prosody) -> None:
    async with two_phones(server, muted=True) as (alice, bob):
        await alice.call(BOB.bare)
        await connected(alice, bob)
        for phone in (alice, bob):
            await phone.wait_for("info", info="mute")
            assert np.abs(await listened(phone)).max() < 50


@pytest.mark.parametrize("reason", ["decline", "busy"])
@pytest.mark.parametrize("dialect", [JMI_0, JMI_1, None], ids=["jmi-0", "jmi-1", "jingle"])
async def test_a_call_can_be_refused(server: Prosody, dialect: Dialect | None, reason: str) -> None:
    async with two_phones(server, Answering(reject=reason)) as (alice, _):
        await alice.call(BOB if dialect is None else BOB.bare, dialect=dialect)
        ended = await alice.wait_for("ended")
        assert (ended["reason"], ended["by"], ended["connected"]) == (reason, "peer", False)


async def test_during_a_call_one_is_busy(server: Prosody) -> None:
    async with two_phones(server) as (alice, bob):
        await alice.call(BOB.bare)
        await connected(alice, bob)
        async with Phone(settings(server, ALICE.with_resource("second"), 300)) as second:
            await second.call(BOB.bare)
            assert (await second.wait_for("ended"))["reason"] == "busy"
            await bob.wait_for("refused", reason="busy")
        await hears(bob, 440, without=[300])


async def test_nobody_answers(server: Prosody) -> None:
    patience = Timeouts(answer=1.5)
    async with two_phones(server, Answering(delay=3600), timeouts=patience) as (alice, bob):
        await alice.call(BOB.bare)
        ended = await alice.wait_for("ended")
        assert (ended["reason"], ended["by"]) == ("timeout", "us")
        assert (await bob.wait_for("ended"))["by"] == "peer"


async def test_the_caller_gives_up(server: Prosody) -> None:
    async with two_phones(server, Answering(delay=3600)) as (alice, bob):
        await alice.call(BOB.bare)
        await alice.wait_for("ringing")
        alice.hangup()
        ended = await bob.wait_for("ended")
        assert (ended["reason"], ended["by"]) == ("cancel", "peer")


@pytest.mark.parametrize("whom", ["nobody@localhost", "bob@localhost", "bob@elsewhere.invalid"])
async def test_calling_somebody_who_is_not_there_ends_at_once(server: Prosody, whom: str) -> None:
    async with Phone(settings(server, ALICE)) as alice:
        await alice.call(whom)
        ended = await alice.wait_for("ended")
        assert ended["reason"] == "gone"
        assert not ended["connected"]


async def test_calling_a_device_that_is_not_there_ends_at_once(server: Prosody) -> None:
    async with two_phones(server) as (alice, _):
        await alice.call(BOB.with_resource("elsewhere"), dialect=None)
        assert (await alice.wait_for("ended"))["reason"] == "gone"


async def test_waiting_for_more_ends_with_the_call(server: Prosody) -> None:
    async with two_phones(server, Answering(reject="decline")) as (alice, _):
        await alice.call(BOB.bare)
        with pytest.raises(CallOver, match="decline"):
            await alice.wait_for("connected")


async def test_one_phone_makes_several_calls(server: Prosody, tmp_path: Path) -> None:
    recording = tmp_path / "heard.wav"
    async with (
        Phone(settings(server, ALICE, sound=Sound(tone(440), recording))) as alice,
        Phone(settings(server, BOB, 660)) as bob,
    ):
        bob.listen()
        ended = None
        for _ in range(2):
            await alice.call(BOB.bare)
            await alice.wait_for("connected", since=ended)
            await listened(alice, 1.5)
            with pytest.raises(RuntimeError, match="already"):
                await alice.call(BOB.bare)
            alice.hangup()
            ended = await alice.wait_for("ended", since=ended)
    for path in (recording, tmp_path / "heard-2.wav"):
        samples = np.concatenate(list(read_audio(path)))
        assert len(samples) >= SECONDS * SAMPLE_RATE
        halves = [samples[at : at + SAMPLE_RATE // 2] for at in range(0, len(samples) - SAMPLE_RATE // 2 + 1, 4800)]
        assert max(level(each, 660) for each in halves) > -20


async def test_a_file_is_played_once_or_again_and_again(server: Prosody, tmp_path: Path) -> None:
    with WavWriter(tmp_path / "short.wav") as writer:
        writer.write(Tone(520).samples(SAMPLE_RATE // 4))
    once = Sound(file(tmp_path / "short.wav", loop=False))
    always = Sound(file(tmp_path / "short.wav", loop=True))
    async with (
        Phone(settings(server, ALICE, sound=once)) as alice,
        Phone(settings(server, BOB, sound=always)) as bob,
    ):
        bob.listen()
        await alice.call(BOB.bare)
        await connected(alice, bob)
        await listened(bob, 2.0)
        await hears(bob, without=[520])
        await hears(alice, 520, seconds=0.5)


async def test_a_text_is_spoken(server: Prosody) -> None:
    sound = Sound(speech("one two three four five six seven", loop=True, language="en"))
    async with (
        Phone(settings(server, ALICE, sound=sound)) as alice,
        Phone(settings(server, BOB)) as bob,
    ):
        bob.listen()
        await alice.call(BOB.bare)
        await connected(alice, bob)
        await bob.wait_for("speaking", speaking=True)
        async with asyncio.timeout(PATIENCE):
            while np.sqrt(np.mean((await listened(bob)).astype(np.float64) ** 2)) < 300:
                pass


async def test_a_source_that_fails_ends_the_call_and_says_why(server: Prosody) -> None:
    sound = Sound(speech("hello", loop=False, voice="nonesuch"))
    async with Phone(settings(server, ALICE, sound=sound)) as alice, Phone(settings(server, BOB)) as bob:
        bob.listen()
        await alice.call(BOB.bare)
        ended = await alice.wait_for("ended")
        assert ended["reason"] == "media-error"
        assert "nonesuch" in ended["text"]
        assert (await bob.wait_for("ended"))["reason"] == "media-error"


async def test_guests_can_call(server: Prosody) -> None:
    guest = Account(JID.parse(server.guests), server=server.c2s, insecure=True)
    async with (
        Phone(settings(server, ALICE, 440, account=guest)) as alice,
        Phone(settings(server, BOB, 660, account=guest)) as bob,
    ):
        bob.listen()
        await alice.call(bob.jid, dialect=JMI_0)
        await connected(alice, bob)
        await hears(alice, 660)


async def test_a_call_outlives_the_server(server: Prosody) -> None:
    async with two_phones(server) as (alice, bob):
        await alice.call(BOB.bare)
        await connected(alice, bob)
        await listened(alice, 0.2)
        server.kill()
        offline = [await phone.wait_for("offline") for phone in (alice, bob)]
        await hears(alice, 660)
        await server.start()
        for phone, since in zip((alice, bob), offline, strict=True):
            await phone.wait_for("online", since=since)
        alice.mute()
        await bob.wait_for("info", info="mute")
        bob.hangup()
        assert (await alice.wait_for("ended"))["by"] == "peer"


async def test_without_a_server_and_without_patience_a_call_is_lost(server: Prosody) -> None:
    async with two_phones(server, reconnect=False) as (alice, bob):
        await alice.call(BOB.bare)
        await connected(alice, bob)
        server.kill()
        try:
            assert "connection to the server" in (await alice.wait_for("ended"))["text"]
            await alice.wait_for("lost")
        finally:
            await server.wait()
            await server.start()  # for the others


async def test_a_wrong_password_is_told(server: Prosody) -> None:
    wrong = Account(ALICE, "guess", server.c2s, insecure=True)
    with pytest.raises(LoginRefused):
        await Phone(settings(server, ALICE, account=wrong)).connect()


async def test_a_server_that_is_not_there_is_told(server: Prosody, free_tcp_port: Callable[[], int]) -> None:
    nowhere = Account(ALICE, "secret", ("127.0.0.1", free_tcp_port()))
    with pytest.raises(Unreachable):
        await Phone(settings(server, ALICE, account=nowhere)).connect()


@pytest.mark.parametrize("coin", [True, False])
async def test_it_says_what_it_can_do(server: Prosody, coin: bool) -> None:
    watcher = Recorder()
    async with (
        online(account(server, ALICE.with_resource("desk")), watcher) as connection,
        Phone(settings(server, ALICE, coin=coin)) as phone,
    ):
        connection.send(ET.Element("{jabber:client}presence"))
        while (presence := await watcher.presences.get()).get("from") != str(ALICE):
            pass
        caps = presence.find(f"{{{CAPS}}}c")
        assert caps is not None
        node = f"{caps.get('node')}#{caps.get('ver')}"
        for asked in ({}, {"node": node}):
            query = (await connection.iq(phone.jid, "get", ET.Element(INFO_QUERY, asked)))[0]
            assert verification_string(query, "sha-1") == caps.get("ver")
            features = {feature.get("var") for feature in query}
            assert {"urn:xmpp:jingle:1", "urn:xmpp:jingle-message:0", "urn:xmpp:jingle-message:1"} <= features
            assert ("urn:xmpp:coin:1" in features) == coin
        with pytest.raises(ItemNotFound):
            await connection.iq(phone.jid, "get", ET.Element(INFO_QUERY, {"node": "urn:other#1"}))
        await connection.iq(phone.jid, "get", ET.Element("{urn:xmpp:ping}ping"))
        with pytest.raises(ServiceUnavailable):
            await connection.iq(phone.jid, "get", ET.Element("{urn:example:0}what"))


CONFERENCE = """
<conference-info xmlns='urn:ietf:params:xml:ns:conference-info' entity='xmpp:tea@localhost' state='full' version='1'>
  <conference-description><subject>Tea</subject></conference-description>
  <users state='full'>
    <user entity='xmpp:alice@localhost' state='full'><display-text>Alice</display-text>
      <endpoint entity='xmpp:alice@localhost/phone' state='full'><status>connected</status>
        <media id='1'><type>audio</type><src-id>4711</src-id><status>recvonly</status></media>
      </endpoint>
    </user>
  </users>
</conference-info>"""


async def test_documents_about_the_conference_come_from_whom_it_called_alone(server: Prosody) -> None:
    document = ET.fromstring(CONFERENCE)
    async with (
        two_phones(server) as (alice, bob),
        online(account(server, BOB.with_resource("desk")), Recorder()) as stranger,
    ):
        await alice.call(BOB.bare)
        await connected(alice, bob)
        await bob._ask(alice.jid, "set", document)
        event = await alice.wait_for("coin")
        assert (event["version"], event["state"], event["subject"]) == (1, "full", "Tea")
        (user,) = event["users"]
        assert user["display"] == "Alice"
        (endpoint,) = user["endpoints"]
        assert endpoint["status"] == "connected"
        assert endpoint["media"] == [{"id": "1", "type": "audio", "status": "recvonly", "source": "4711"}]
        with pytest.raises(ItemNotFound):
            await stranger.iq(alice.jid, "set", document)
        document.set("sid", "another")
        with pytest.raises(ItemNotFound):
            await bob._ask(alice.jid, "set", document)
        document.set("version", "many")
        with pytest.raises(StanzaError):
            await bob._ask(alice.jid, "set", document)
    assert sum(event.name == "coin" for event in alice.events.history) == 1


async def test_a_phone_without_coin_knows_no_such_documents(server: Prosody) -> None:
    async with two_phones(server, coin=False) as (alice, bob):
        await alice.call(BOB.bare)
        await connected(alice, bob)
        with pytest.raises(ServiceUnavailable):
            await bob._ask(alice.jid, "set", ET.fromstring(CONFERENCE))
