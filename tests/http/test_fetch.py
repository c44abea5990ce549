"""What may be fetched, from real servers on loopback, and what must not."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from focus.engines.fetching import FetchError
from focus.http.fetch import Reach, SafeFetch, is_public, networks

LOOPBACK = Reach(networks=networks(["127.0.0.0/8"])[1], max_size=100_000, timeout=60)
Serve = Callable[..., Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts web servers on loopback: `await serve({"/path": handler})` is where one listens."""
    runners = []

    async def start(paths: dict[str, Any], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> str:
        application = web.Application()
        for path, handler in paths.items():
            application.router.add_get(path, handler)
        runners.append(web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1))
        await runners[-1].setup()
        site = web.TCPSite(runners[-1], host, 0, ssl_context=tls)
        await site.start()
        return f"http://{host}:{runners[-1].addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


def says(body: bytes = b"hello", **how: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, **how)

    return answer


def to(location: str, status: int = 302) -> Callable[[web.Request], Awaitable[web.Response]]:
    return says(b"", status=status, headers={"Location": location})


async def refusal(fetch: SafeFetch, uri: str) -> FetchError:
    with pytest.raises(FetchError) as refused:
        (await fetch(uri)).file.close()
    return refused.value


async def test_a_document_comes_with_its_type(serve: Serve) -> None:
    base = await serve(
        {"/a": says(b"gr\xfc\xdf", content_type="text/plain", charset="latin-1"), "/b": says(b"\0" * 90_000)}
    )
    fetch = SafeFetch(LOOPBACK)
    text = await fetch(f"{base}/a?x=1")
    assert (text.content_type, text.charset, text.text()) == ("text/plain", "latin-1", "grüß")
    text.file.close()
    sound = await fetch(f"{base}/b")
    assert (sound.content_type, sound.charset, len(sound.file.read())) == ("application/octet-stream", "", 90_000)
    sound.file.close()


async def test_text_that_is_none_is_said_to_be_none(serve: Serve) -> None:
    base = await serve({"/a": says(b"\xff\xfe\xff", content_type="text/plain")})
    found = await SafeFetch(LOOPBACK)(f"{base}/a")
    with pytest.raises(FetchError, match="not text"):
        found.text()
    found.file.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:0:192.168.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::",
        "2002:c0a8:101::1", "2001:0:4136:e378::1",
    ],
)  # fmt: skip
async def test_an_address_that_is_not_public_is_not_reached(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert "public" in str(await refusal(SafeFetch(), f"http://{host}:8080/"))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "①②⑦.⓪.⓪.①"]
)
async def test_other_ways_of_writing_loopback_are_seen_through(serve: Serve, host: str) -> None:
    reached: list[str] = []

    async def note(request: web.Request) -> web.Response:
        reached.append(request.host)
        return web.Response(text="secret")

    base = await serve({"/": note})
    error = await refusal(SafeFetch(), f"http://{host}:{base.rpartition(':')[2]}/")
    assert not reached
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://example.org/x", "gopher://127.0.0.1/x", "concat:/etc/passwd", "data:text/plain,x", "xmpp:a@b",
        "/etc/passwd",
        "", "http://", "http:///x", "https:", "http://[::1", "http://a:999999/", "http://example.org:25/", "file://host/x",
        "HTTP:example.org", "unix:/run/x", "http+unix://%2frun/x",
    ],
)  # fmt: skip
async def test_what_is_no_address_of_a_web_server_is_refused(uri: str) -> None:
    assert str(await refusal(SafeFetch(LOOPBACK), uri))


def _resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Name servers that answer so, the last of it again and again. Who is asked for."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


async def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    assert "public" in str(await refusal(SafeFetch(), "http://both.example/"))


async def test_the_address_that_was_looked_at_is_the_one_that_is_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = await serve({"/": says(b"once")})
    port = base.rpartition(":")[2]
    asked = _resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])  # where nobody listens
    found = await SafeFetch(Reach(hosts=frozenset({"rebind.example"})))(f"http://rebind.example:{port}/")
    assert (found.file.read(), asked) == (b"once", ["rebind.example"])
    found.file.close()


async def test_an_allowed_host_is_allowed_by_that_name_only(serve: Serve) -> None:
    base = await serve({"/": says()})
    fetch = SafeFetch(Reach(hosts=networks(["LocalHost."])[0]))
    (await fetch(base.replace("127.0.0.1", "localhost") + "/")).file.close()
    assert "public" in str(await refusal(fetch, base + "/"))


async def test_what_is_not_allowed_is_logged_with_the_option(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "focus.http.fetch")
    await refusal(SafeFetch(), await serve({"/": says()}))
    assert caplog.messages[-1] == "127.0.0.1 is not fetched from: 127.0.0.1 is not public, and not in [fetch] allow"
    fetch = SafeFetch(Reach(folders=(tmp_path / "in",)))
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("secret")
    within, outside = [(tmp_path / name).as_uri() for name in ("in/none.wav", "out")]
    texts = {str(await refusal(fetch, uri)).removeprefix(uri) for uri in (within, outside)}
    assert len(texts) == 1
    assert caplog.messages[-2:] == [
        f"{within} cannot be read: No such file or directory",
        f"{outside} is not below any of [fetch] folders",
    ]


def test_a_name_beyond_ascii_is_allowed_as_it_is_asked_for() -> None:
    assert networks(["Bücher.example", "10.0.5.7/24"]) == (
        frozenset(["xn--bcher-kva.example"]),
        (ipaddress.ip_network("10.0.5.0/24"),),
    )


async def test_a_redirect_is_followed_three_times_and_looked_at_each_time(serve: Serve) -> None:
    inner = await serve({"/": says(b"secret")}, host="127.0.0.2")
    reach = Reach(networks=networks(["127.0.0.1"])[1])
    base = await serve(
        {
            "/end": says(b"end"),
            **{f"/{n}": to(f"/{n - 1}" if n > 1 else "/end", 307) for n in range(1, 5)},
            "/loop": to("/loop"),
            "/inner": to(f"{inner}/"),
            "/file": to("file:///etc/passwd"),
            "/odd": to("http://[oops/"),
            "/ftp": to("ftp://example.org/"),
        }
    )
    fetch = SafeFetch(reach)
    found = await fetch(f"{base}/3")
    assert (found.uri, found.file.read()) == (f"{base}/end", b"end")  # relative URIs are so to where it has been found
    found.file.close()
    assert "redirects" in str(await refusal(fetch, f"{base}/4"))
    assert "redirects" in str(await refusal(fetch, f"{base}/loop"))
    assert "public" in str(await refusal(fetch, f"{base}/inner"))
    for path in ("file", "odd", "ftp"):
        await refusal(fetch, f"{base}/{path}")


async def test_what_is_too_large_or_never_ends_is_refused(serve: Serve) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 50_000)

    async def liar(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "5000000000"})
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    base = await serve(
        {"/endless": endless, "/large": says(b"x" * 100_001), "/all": says(b"x" * 100_000), "/liar": liar}
    )
    fetch = SafeFetch(LOOPBACK)
    (await fetch(f"{base}/all")).file.close()
    for path in ("endless", "large", "liar"):
        assert "100000 bytes" in str(await refusal(fetch, f"{base}/{path}"))


async def test_who_does_not_answer_is_given_up(serve: Serve) -> None:
    asked = asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    base = await serve({"/silent": silent, "/slow": slow})
    fetch = SafeFetch(Reach(networks=LOOPBACK.networks, timeout=0.3))
    for path in ("silent", "slow"):
        error = await refusal(fetch, f"{base}/{path}")
        assert error.temporary
        assert "0.3 s" in str(error)
    assert asked.is_set()


@pytest.mark.parametrize(("status", "temporary"), [(404, False), (500, True), (204, False), (302, False)])
async def test_an_answer_that_is_no_document_is_an_error(serve: Serve, status: int, temporary: bool) -> None:
    base = await serve({"/": says(b"", status=status)})
    error = await refusal(SafeFetch(LOOPBACK), f"{base}/")
    assert (error.temporary, str(status) in str(error)) == (temporary, True)


async def test_what_comes_compressed_is_refused(serve: Serve) -> None:
    base = await serve({"/": says(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})})
    assert "compressed" in str(await refusal(SafeFetch(LOOPBACK), f"{base}/"))


async def test_a_server_that_is_none_is_an_error_that_may_pass(unused_tcp_port: int) -> None:
    error = await refusal(SafeFetch(LOOPBACK), f"http://127.0.0.1:{unused_tcp_port}/")
    assert error.temporary


async def test_files_come_from_the_operators_folders_alone(tmp_path: Path) -> None:
    sounds, other = tmp_path / "sounds", tmp_path / "sounds-of-others"
    sounds.mkdir()
    other.mkdir()
    (sounds / "hello world.wav").write_bytes(b"RIFF")
    (other / "secret").write_bytes(b"secret")
    (sounds / "link").symlink_to(other / "secret")
    (sounds / "inside").symlink_to(sounds / "hello world.wav")
    os.mkfifo(sounds / "pipe")
    fetch = SafeFetch(Reach(folders=(sounds,)))
    for uri in (
        f"file://{sounds}/hello%20world.wav",
        f"file:{sounds}/inside",
        f"file://localhost{sounds}/hello%20world.wav",
    ):
        found = await fetch(uri)
        assert (found.content_type, found.file.read()) == ("audio/x-wav", b"RIFF")
        found.file.close()
    hidden = [f"{sounds}/{name}" for name in ("link", "../sounds-of-others/secret", "pipe", "none", "%00", "", ".")]
    for path in (*hidden, f"{other}/secret", "/etc/passwd", f"{sounds}/%2e%2e/sounds-of-others/secret", ""):
        assert "no file below a folder" in str(await refusal(fetch, f"file://{path}"))
    assert "that may be read here ([fetch] folders)" in str(
        await refusal(SafeFetch(), f"file://{sounds}/hello%20world.wav")
    )
