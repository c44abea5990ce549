"""Faxes by those who command them: `focus fax` and the programs in docs/rayo.md send each other some, over a real
Prosody, in calls of the service with itself."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest

from focus.service.config import Settings
from focus.service.prosody import Prosody
from focus.service.sections.rayo import RayoSettings, RouteSettings
from focus.wire.jid import JID
from tests.client.conftest import RayoFactory
from tests.client.test_rayo_examples import PROGRAMS, running
from tests.engines.faxes import page, pages_of, write
from tests.interop.running import PASSWORD, ClientFactory, RunningFocus, serve
from tests.rayo.test_fax_line import NO_TIME
from tests.service.test_rayo_cli import begun, command

#: Seconds that a fax of a few lines may take, however busy the processor is.
PATIENCE = 110.0


def of_faxes(settings: Settings, domain: str) -> Settings:
    """Calls to program-… are for juliet's programs, to fax-… for romeo's; each of two calls has two ports."""
    routes = tuple(
        RouteSettings(match=f"{match}-*", clients=(f"{name}@{domain}",), timeout=60, fax=True)
        for match, name in (("program", "juliet"), ("fax", "romeo"))
    )
    everybody = tuple(f"{name}@{domain}" for name in ("juliet", "romeo", "controller", "sender"))
    shards = settings.media.model_copy(update={"shards": 4})
    return settings.model_copy(update={"routes": routes, "media": shards, "rayo": RayoSettings(clients=everybody)})


def is_at(url: str, sent: Path) -> bool:
    """Whether the fax at `url` is what was sent, under a line."""
    (here,), (there,) = pages_of(Path(unquote(urlparse(url).path))), pages_of(sent)
    rows = np.asarray(here.convert("1"))
    return bool(np.array_equal(rows[-there.height :], np.asarray(there.convert("1"))))


async def until_whole(
    focus: RunningFocus, log: pytest.LogCaptureFixture, attempt: Callable[[], Awaitable[None]]
) -> None:
    """Fax, and again where the machine has been too busy for it: not every fax survives that."""
    for number in range(3):
        try:
            return await attempt()
        except (AssertionError, TimeoutError):
            is_busy = NO_TIME in log.text or focus.service._plane.snapshot()["missed_ticks"] > 5
            if number == 2 or not is_busy:
                raise


@pytest.mark.timeout(900)  # where it is sent three times
async def test_the_command_line_and_the_programs_send_each_other_faxes(
    prosody: Prosody, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the same time, as each takes twenty seconds."""
    for name in ("controller", "romeo"):
        await prosody.add_user(f"{name}@{prosody.domain}", PASSWORD)
    letter, other = (
        write(tmp_path / "letter.tiff", [page(1, height=120)]),
        write(tmp_path / "b.tiff", [page(2, height=90)]),
    )
    async with (
        serve(prosody, of_faxes(settings, prosody.domain)) as focus,
        running(prosody, "juliet", "faxes_in.py") as program,
    ):
        await program.says("ready")

        async def by_command_line() -> None:
            to = str(focus.mixer("program-1"))
            arguments = ("send", to, str(letter), "--header", "From Verona", "--json")
            async with begun(prosody, *arguments, group="fax") as sender:
                code, output, errors = await sender.end(within=PATIENCE)
            lines = [json.loads(line) for line in output.splitlines()]
            assert (code, errors) == (0, "")
            assert [line["event"] for line in lines] == ["dialled", "answered", "page", "done"]
            assert lines[2]["number"] == lines[2]["pages"] == lines[3]["pages"] == 1
            said = await program.says("1 pages whole from")
            assert is_at(said.split()[-1], letter)

        async def by_program() -> None:
            account = f"romeo@{prosody.domain}"
            async with begun(prosody, "receive", "--json", group="fax", FOCUS_RAYO_ACCOUNT=account) as machine:
                await machine.event("waiting")
                to = str(focus.mixer("fax-1"))
                async with running(prosody, "sender", "fax_out.py", to, other.as_uri()) as sender:
                    assert await sender.says("", within=PATIENCE) == "page 1 of 1"
                    assert await sender.says("") == "sent"
                done = await machine.event("done")
                assert (done["pages"], done["remote-station-id"]) == (1, "+39 045 8077500")
                assert is_at(done["url"], other)
                assert (await machine.end())[0] == 0

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(until_whole(focus, caplog, by_command_line))
            tasks.create_task(until_whole(focus, caplog, by_program))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_fax_is_received_and_sent_in_the_words_of_the_listings(
    prosody: Prosody, settings: Settings, client: ClientFactory, tmp_path: Path
) -> None:
    """Listings 1 to 4 of XEP-0342, the one end of a call sending what the other receives."""
    letter = write(tmp_path / "my_fax.tiff", [page(1, height=90)])
    async with serve(prosody, of_faxes(settings, prosody.domain)) as focus:
        juliet, romeo = await client("juliet"), await client("romeo")
        service = focus.mixer("fax-1").domain
        for each in (juliet, romeo):
            each.send(f"<presence to='{service}'><show>chat</show></presence>")
            await each.ask(JID("", service), "get", "<ping xmlns='urn:xmpp:ping'/>")
        dial = f"<dial xmlns='urn:xmpp:rayo:1' to='{focus.mixer('fax-1').uri}'/>"
        made = await juliet.ask(JID("", service), "set", dial)
        offer = await romeo.expect_child("{urn:xmpp:rayo:1}offer")
        calls = [JID.from_uri(made[0].get("uri", "")), JID.parse(offer.get("from", ""))]
        await romeo.ask(calls[1], "set", "<answer xmlns='urn:xmpp:rayo:1'/>")
        await juliet.expect_child("{urn:xmpp:rayo:1}answered")
        document = f"<document xmlns='urn:xmpp:rayo:fax:1' url='{letter.as_uri()}'/>"
        components = []
        commands = (
            f"<sendfax xmlns='urn:xmpp:rayo:fax:1'>{document}</sendfax>",
            "<receivefax xmlns='urn:xmpp:rayo:fax:1'/>",
        )
        for each, call, command_ in zip((juliet, romeo), calls, commands, strict=True):
            made = await each.ask(call, "set", command_)
            assert made[0].tag == "{urn:xmpp:rayo:1}ref"
            component = JID.from_uri(made[0].get("uri", ""))
            assert component.bare == call
            components.append(component)
        fax, completes = "{urn:xmpp:rayo:fax:complete:1}", []
        for each, component in zip((romeo, juliet), reversed(components), strict=True):
            presence = await each.expect_child("{urn:xmpp:rayo:ext:1}complete")
            assert presence.get("type") == "unavailable"
            assert presence.get("from") == str(component)
            complete = presence.find("{urn:xmpp:rayo:ext:1}complete")
            assert complete is not None
            completes.append(complete)
        assert [child.tag for child in completes[0]][:2] == [f"{fax}finish", f"{fax}fax"]
        came = completes[0][1]
        path = Path(unquote(urlparse(came.get("url", "")).path))
        (here,) = pages_of(path)
        assert came.attrib == {
            "url": came.get("url"), "resolution": f"{here.width}x{here.height}",
            "size": str(path.stat().st_size), "pages": "1",
        }  # fmt: skip
        assert is_at(came.get("url", ""), letter)
        assert completes[1][0].tag == f"{fax}finish"
        for metadata in ([*completes[0]][2:], [*completes[1]][1:]):
            assert {child.tag for child in metadata} == {f"{fax}metadata"}
            assert {"name": "fax-success", "value": "1"} in [child.attrib for child in metadata]


async def test_who_interrupts_a_fax_is_told_what_has_come_until_then(
    prosody: Prosody, settings: Settings, rayo: RayoFactory
) -> None:
    await prosody.add_user(f"romeo@{prosody.domain}", PASSWORD)
    async with (
        serve(prosody, of_faxes(settings, prosody.domain)) as focus,
        begun(prosody, "receive", "--json", group="fax", FOCUS_RAYO_ACCOUNT=f"romeo@{prosody.domain}") as machine,
    ):
        await machine.event("waiting")
        juliet = await rayo("juliet")
        call = await juliet.dial(focus.mixer("fax-1"))
        await machine.event("answered")
        machine.process.send_signal(signal.SIGINT)
        failed = await machine.event("failed")
        assert (failed["pages"], failed["result-code"]) == (0, "49")
        assert (await machine.end())[0] == 76
        async with asyncio.timeout(PATIENCE):
            await call.ended()


async def test_why_nothing_was_sent_is_told(
    prosody: Prosody, settings: Settings, rayo: RayoFactory, tmp_path: Path
) -> None:
    letter = write(tmp_path / "letter.tiff", [page(1, height=90)])
    elsewhere = settings.fetch.model_copy(update={"folders": ()})
    for name in ("controller", "romeo"):
        await prosody.add_user(f"{name}@{prosody.domain}", PASSWORD)
    service = of_faxes(settings, prosody.domain).model_copy(update={"fetch": elsewhere})
    async with serve(prosody, service) as focus:
        romeo = await rayo("romeo")
        to = str(focus.mixer("fax-1"))
        for is_taken in (False, True):
            sending = asyncio.create_task(command(prosody, "send", to, str(letter), "--json", group="fax"))
            async with asyncio.timeout(PATIENCE):
                call = await anext(romeo.offers)
            await (call.answer() if is_taken else call.reject("busy"))
            code, output, errors = await sending
            last = json.loads(output.splitlines()[-1])["event"]
            if is_taken:
                assert (code, last) == (76, "answered")
                assert f"the service does not send {letter}" in errors
                assert "is no file below a folder that may be read here ([fetch] folders)" in errors
            else:
                assert (code, last, errors) == (75, "end", "")


def test_both_programs_are_there() -> None:
    assert {"faxes_in.py", "fax_out.py"} <= PROGRAMS.keys()
