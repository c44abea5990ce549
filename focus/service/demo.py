"""The demo: a private XMPP server, the service and the page, all on this machine, gone without a trace at the end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import json
import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from focus.service.comfort import ComfortSettings
from focus.service.config import Settings
from focus.service.prosody import LOOPBACK, Prosody, free_port, keep_running
from focus.service.ready import Runnable, ServiceError, ServiceReady, told_to_stop
from focus.service.sections.components import FetchSettings, RecordingSettings
from focus.service.sections.conference import ConferenceSettings
from focus.service.sections.http import HttpSettings
from focus.service.sections.media import MediaSettings
from focus.service.sections.monitoring import LogSettings, MetricsSettings
from focus.service.sections.rayo import RayoSettings, RouteSettings
from focus.service.sections.xmpp import XmppSettings
from focus.service.values import Address

log = logging.getLogger(__name__)

# Together with Prosody's own: all is over three seconds after the signal.
SERVICE_STOP_TIMEOUT = 1.2
CANCEL_TIMEOUT = 0.3

EVERY_ADDRESS = "auto"

#: Ports for audio, the one that was asked for and the next: what focus calls itself, as to try a fax, takes two.
SHARDS = 2

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What `focus demo` was asked for; every port may be 0, any free one, and the host of `media` may be "auto"."""

    http: Address
    c2s: Address
    media: Address
    log: LogSettings
    domain: str = "localhost"
    accounts: tuple[tuple[str, str], ...] = ()
    admins: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    fax_routes: tuple[tuple[str, str], ...] = ()
    certificate: tuple[Path, Path] | None = None
    state_dir: Path | None = None
    ready_file: Path | None = None


@dataclass(frozen=True)
class DemoReady:
    """What one needs to know to use the demo."""

    domain: str
    focus: str
    rooms: str
    guests: str
    c2s: tuple[str, int]
    media: tuple[str, int]
    http: str
    files: str
    pid: int

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(vars(self))


async def run(
    options: DemoOptions,
    load: Callable[[], Callable[[Settings], Runnable]],
    ready: Callable[[DemoReady], None],
) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP. `load` imports and returns the service's class (it runs in a thread while
    Prosody starts); `ready` is called when everything is up. Raises ServiceError if something cannot be."""
    stop = told_to_stop()
    options = _with_ports(options)
    with _state(options.state_dir) as state, _ready_file(options.ready_file) as announce:
        files = state.absolute() / "files"
        files.mkdir(exist_ok=True)
        server = Prosody(
            state / "prosody",
            domain=options.domain,
            c2s=options.c2s,
            admins=options.admins,
            certificate=options.certificate,
        )

        def up(service: ServiceReady) -> None:
            facts = _facts(server, service, files)
            announce(facts)
            ready(facts)

        try:
            service = await _unless(stop, _prepare(server, options, files, load))
            if service is not None:
                await _serve(service, server, stop, up)
        finally:
            await server.stop()


async def _prepare(
    server: Prosody,
    options: DemoOptions,
    files: Path,
    load: Callable[[], Callable[[Settings], Runnable]],
) -> Runnable:
    """Start the server and make the service for it."""
    loading = asyncio.create_task(asyncio.to_thread(load))
    try:
        for jid, password in options.accounts:
            await server.add_user(jid, password)
        await server.start()
    finally:
        make = await loading
    settings = _settings(server, options, files)
    return await _abandonable(lambda: make(settings))  # it tries the fax engine, which may take a minute


async def _serve(
    service: Runnable, server: Prosody, stop: asyncio.Event, ready: Callable[[ServiceReady], None]
) -> None:
    """Run the service until `stop`, and Prosody again whenever it falls."""
    keeping = asyncio.create_task(keep_running(server), name="prosody supervisor")
    serving = asyncio.create_task(service.run(stop, ready), name="service")
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await asyncio.wait({serving}, timeout=SERVICE_STOP_TIMEOUT)
        if serving.done():
            serving.result()
            if not stop.is_set():
                raise ServiceError("the service has ended by itself")
        else:
            log.warning("the service did not end in time")
    finally:
        for task in (keeping, serving, stopped):
            task.cancel()
        await asyncio.wait({keeping, serving, stopped}, timeout=CANCEL_TIMEOUT)


async def _unless(stop: asyncio.Event, work: Coroutine[object, object, T]) -> T | None:
    """The result of the work, or None if `stop` comes first; then the work is cancelled."""
    working = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopped):
            task.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


async def _abandonable(work: Callable[[], T]) -> T:
    """As `asyncio.to_thread`; but where this is cancelled nobody waits for the thread, and it ends with the process."""
    done: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # it is raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(result)

    threading.Thread(target=run, name="abandonable", daemon=True).start()
    return await asyncio.shield(asyncio.wrap_future(done))


# --- what it is made of -----------------------------------------------------------------------------------------------


def _settings(server: Prosody, options: DemoOptions, files: Path) -> Settings:
    """The service's configuration: what belongs to the demo's nature, and what can be tried in it without further ado,
    recordings in `files` and keys among it; the rest has its default."""
    host, port = server.component
    routes = (
        *(RouteSettings(match=match, clients=(client,)) for match, client in options.routes),
        *(RouteSettings(match=match, clients=(client,), fax=True) for match, client in options.fax_routes),
    )
    return Settings(
        xmpp=XmppSettings(jid=server.focus, secret=SecretStr(server.secret), host=host, port=port, muc=server.rooms),
        media=MediaSettings(addresses=(options.media.host,), port=options.media.port, shards=SHARDS),
        http=HttpSettings(
            listen=options.http,
            domain=options.domain,
            guests=server.guests,
            websocket=server.websocket,
            url=f"http://{_reachable(options.http)}",
        ),
        metrics=MetricsSettings(listen=Address(LOOPBACK, 0)),
        conference=ConferenceSettings(strangers=True),
        rayo=RayoSettings(controllers=options.admins, clients=tuple({route.clients[0] for route in routes})),
        routes=routes,
        recordings=RecordingSettings(folder=files),
        fetch=FetchSettings(folders=(files,)),
        comfort=(ComfortSettings(),) if shutil.which("espeak-ng") is not None else (),  # which says what keys do
        log=options.log,
    )


def _facts(server: Prosody, service: ServiceReady, files: Path) -> DemoReady:
    if service.http is None or not service.media:
        raise ServiceError("the service has come up without a page or without audio")
    return DemoReady(
        domain=server.domain,
        focus=server.focus,
        rooms=server.rooms,
        guests=server.guests,
        c2s=_reachable(server.c2s),
        media=_reachable(service.media[0]),
        http=f"http://{_reachable(service.http)}",
        files=str(files),
        pid=os.getpid(),
    )


def _reachable(address: tuple[str, int]) -> Address:
    """By what to reach, from this machine, what listens there: nobody connects to 0.0.0.0."""
    host, port = address
    return Address({"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host), port)


def _with_ports(options: DemoOptions) -> DemoOptions:
    """Say by its option which port is taken, before anything is started. The options with names resolved, and with
    ports for media, which must be the same on every address, and one for the page, which others are told."""
    host, port = options.media
    probed = "0.0.0.0" if host == EVERY_ADDRESS else host
    port = port or free_port(probed, socket.SOCK_DGRAM, in_a_row=SHARDS)
    if port + SHARDS > 65536:
        raise ServiceError(f"--media {options.media} leaves no port for the other {SHARDS - 1}; the highest is 65535")
    bound = [_bindable("--media", Address(probed, port + n), socket.SOCK_DGRAM) for n in range(SHARDS)]
    media = Address(host if host == EVERY_ADDRESS else bound[0].host, port)
    return dataclasses.replace(
        options,
        media=media,
        http=_with_port(_bindable("--http", options.http, socket.SOCK_STREAM)),
        c2s=_bindable("--c2s", options.c2s, socket.SOCK_STREAM),
    )


def _with_port(address: Address) -> Address:
    return Address(address.host, address.port or free_port(address.host))


def _bindable(option: str, address: Address, kind: socket.SocketKind) -> Address:
    """The address, its host as IP, if one can listen there now. IPv4 comes first: localhost is 127.0.0.1."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=kind)
        family, _, _, _, resolved = min(found, key=lambda one: one[0] != socket.AF_INET)
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(resolved)
    except OSError as error:
        raise ServiceError(
            f"cannot listen on {address}: {error.strerror}; choose another with {option} HOST:PORT "
            "(port 0 is any free one)"
        ) from None
    return Address(str(resolved[0]), address.port)


# --- state ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _state(given: Path | None) -> Iterator[Path]:
    """The folder for everything that the demo writes: the one asked for, which is kept, or one that goes with us."""
    if given is None:
        folder = Path(tempfile.mkdtemp(prefix="focus-demo-"))
        folder.chmod(0o755)  # Prosody, as another user, has its own folder in it
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        given.mkdir(parents=True, exist_ok=True)
        lock = open(given / "lock", "w")  # noqa: SIM115  # closed below
    except OSError as error:
        raise ServiceError(
            f"the state directory {given} cannot be used: {error.strerror}; choose another with --state-dir"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ServiceError(f"the state directory {given} is in use by another demo") from None
        yield given


@contextlib.contextmanager
def _ready_file(file: Path | None) -> Iterator[Callable[[DemoReady], None]]:
    """Gives what writes the file, whole or not at all. There is one only while the demo is up."""

    def announce(facts: DemoReady) -> None:
        if file is None:
            return
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            draft.write_text(facts.line() + "\n")
            draft.replace(file)
        except OSError as error:
            raise ServiceError(f"the ready file {file} cannot be written: {error.strerror}") from None

    try:
        if file is not None:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise ServiceError(f"the ready file {file} cannot be written: {error.strerror}") from None
    try:
        yield announce
    finally:
        if file is not None:
            file.unlink(missing_ok=True)
