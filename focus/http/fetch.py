"""Fetches what clients name, and nothing that only we can reach (XEP-0327 section 11.3, OWASP's server-side request
forgery).

A URL leads to addresses of the public internet or to hosts that the operator has named, looked at after the name has
been resolved and held on to while it is connected to; a redirect is a URL like any other. Files are those below the
operator's folders. Everything has a size and a time in which it must be there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import mimetypes
import os
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from focus.engines.fetching import Fetched, FetchError

log = logging.getLogger(__name__)

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_REDIRECTS = 3
#: What is larger waits on the disk.
IN_MEMORY = 1 << 20
CHUNK = 1 << 16
#: A port below 1024 belongs to a service that is no web server, whatever it answers.
WEB_PORTS = (80, 443)

#: IPv6 addresses that stand for IPv4 ones: where the four bytes are (RFC 4291, RFC 6052, RFC 3056).
_EMBEDDED = (
    (ipaddress.IPv6Network("::/96"), 12),
    (ipaddress.IPv6Network("::ffff:0:0/96"), 12),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 12),
    (ipaddress.IPv6Network("64:ff9b::/96"), 12),
    (ipaddress.IPv6Network("2002::/16"), 2),
)
#: Nor is what has these prefixes for others to reach: Teredo, NAT64 of one's own (RFC 4380, RFC 8215).
_NEVER = (ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("64:ff9b:1::/48"))


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be fetched. `hosts`: by these names, or in these networks, also where the address is not public;
    `folders`: that `file:` URIs may lead into. `max_size` in bytes, of what comes by HTTP; `timeout` in seconds."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    folders: tuple[Path, ...] = ()
    max_size: int = 50_000_000
    timeout: float = 10.0


def is_public(address: IpAddress) -> bool:
    """Whether `address` can be anybody's, so that fetching from it tells nothing that only we may know."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NEVER):
            return False
        for network, at in _EMBEDDED:
            if address in network:
                return is_public(ipaddress.IPv4Address(address.packed[at : at + 4]))
    return address.is_global and not address.is_multicast


class _Resolver(AbstractResolver):
    """The addresses of a host that may be connected to; those that are checked are those that are used."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        except (OSError, UnicodeError) as error:
            raise FetchError(f"{host[:100]}: {getattr(error, 'strerror', None) or error}", temporary=True) from None
        results: list[ResolveResult] = []
        for kind, _, protocol, _, where in found:
            if kind not in (socket.AF_INET, socket.AF_INET6):
                continue
            address = ipaddress.ip_address(str(where[0]).partition("%")[0])
            if not self._may_reach(host, address):
                log.info("%s is not fetched from: %s is not public, and not in [fetch] allow", host[:100], address)
                raise FetchError(f"{host[:100]} is not on the public internet")
            result = ResolveResult(
                hostname=host, host=str(address), port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            results.append(result)
        if not results:
            raise FetchError(f"{host[:100]} has no address", temporary=True)
        return results

    def _may_reach(self, host: str, address: IpAddress) -> bool:
        plain = getattr(address, "ipv4_mapped", None) or address
        is_allowed = host.lower().rstrip(".") in self._reach.hosts or any(
            plain in network for network in self._reach.networks if network.version == plain.version
        )
        return is_allowed or is_public(address)

    async def close(self) -> None:
        pass


class SafeFetch:
    """The `Fetch` of the service."""

    def __init__(self, reach: Reach | None = None) -> None:
        self._reach = reach or Reach()

    async def __call__(self, uri: str) -> Fetched:
        """Raises `FetchError`; its text does not tell what answers at an address that may not be reached."""
        scheme = uri.partition(":")[0].lower()
        if scheme == "file":
            return await asyncio.to_thread(self._open, uri)
        if scheme not in ("http", "https"):
            raise FetchError(f"only http, https and file URIs are fetched, not {uri[:100]!r}")
        try:
            async with asyncio.timeout(self._reach.timeout):
                return await self._get(uri)
        except TimeoutError:
            raise FetchError(f"{uri[:200]} was not there in {self._reach.timeout:g} s", temporary=True) from None
        except aiohttp.ClientError as error:
            refused = error.__cause__ if isinstance(error.__cause__, FetchError) else None
            raise refused or FetchError(f"{uri[:200]}: {type(error).__name__}", temporary=True) from None

    async def _get(self, uri: str) -> Fetched:
        resolver = _Resolver(self._reach)
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
        headers = {"Accept-Encoding": "identity", "User-Agent": "focus"}
        async with aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            url = _checked(uri)
            for _ in range(MAX_REDIRECTS + 1):
                await _look_at(url, resolver)
                async with session.get(url, allow_redirects=False) as response:
                    if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                        url = _checked(response.headers["Location"], url)
                        continue
                    if response.status != 200:
                        raise FetchError(f"{uri[:200]}: HTTP {response.status}", temporary=response.status >= 500)
                    return await self._body(str(url), response)
        raise FetchError(f"{uri[:200]} redirects more than {MAX_REDIRECTS} times")

    async def _body(self, uri: str, response: aiohttp.ClientResponse) -> Fetched:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchError(f"{uri[:200]} comes compressed, although that was not asked for")
        too_large = FetchError(f"{uri[:200]} has more than {self._reach.max_size} bytes")
        if (response.content_length or 0) > self._reach.max_size:
            raise too_large
        # A file of our own: closed with what is fetched, or where that fails.
        file = cast(BinaryIO, SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115
        try:
            length = 0
            async for chunk in response.content.iter_chunked(CHUNK):
                length += len(chunk)
                if length > self._reach.max_size:
                    raise too_large
                file.write(chunk)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        kind = response.content_type if "Content-Type" in response.headers else ""
        return Fetched(uri, kind.lower(), response.charset or "", file)

    def _open(self, uri: str) -> Fetched:
        rest = uri.partition(":")[2]
        if rest.startswith("//"):
            host, slash, path = rest[2:].partition("/")
            if host not in ("", "localhost"):
                raise FetchError(f"files of other machines cannot be had: {uri[:200]!r}")
            rest = slash + path
        refused = FetchError(f"{uri[:200]} is no file below a folder that may be read here ([fetch] folders)")
        try:
            found = Path(unquote(rest.partition("?")[0].partition("#")[0])).resolve(strict=True)
            if not any(found.is_relative_to(folder.resolve()) for folder in self._reach.folders):
                log.info("%s is not below any of [fetch] folders", uri[:200])
                raise refused
            descriptor = os.open(found, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (OSError, ValueError, RuntimeError) as error:  # whether it is there is told to nobody
            log.info("%s cannot be read: %s", uri[:200], getattr(error, "strerror", None) or error)
            raise refused from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise refused
        file = os.fdopen(descriptor, "rb")
        return Fetched(uri, mimetypes.guess_type(found.name)[0] or "", "", file)


def _checked(uri: str, base: URL | None = None) -> URL:
    try:
        url = base.join(URL(uri)) if base else URL(uri)
        port = url.port
    except ValueError:
        raise FetchError(f"not a URL: {uri[:200]!r}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise FetchError(f"only http and https are fetched, not {uri[:200]!r}")
    if port is not None and port < 1024 and port not in WEB_PORTS:
        raise FetchError(f"port {port} is no web server's")
    return url


async def _look_at(url: URL, resolver: _Resolver) -> None:
    """A host that is an address already is not asked for by the connector."""
    host = url.raw_host or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    await resolver.resolve(host, url.port or 0)


def networks(names: Sequence[str]) -> tuple[frozenset[str], tuple[Network, ...]]:
    """Of what an operator allows the names of hosts, and the addresses and networks."""
    hosts, found = set(), []
    for name in names:
        try:
            found.append(ipaddress.ip_network(name, strict=False))
        except ValueError:
            hosts.add((URL.build(scheme="http", host=name).raw_host or name).lower().rstrip("."))
    return frozenset(hosts), tuple(found)
