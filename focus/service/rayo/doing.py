"""What the commands of `focus rayo` do, with a client that is there."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from focus.client import (
    JID,
    About,
    Answered,
    Call,
    ConnectionFailed,
    Credentials,
    End,
    Event,
    Join,
    Joined,
    Listed,
    Mixer,
    NoAnswer,
    NoService,
    RayoClient,
    RayoError,
    SessionLost,
)
from focus.client.parties import HeaderPairs, address_of
from focus.service.rayo.report import Report
from focus.service.ready import ExitCode, ServiceError
from focus.wire.nodeprep import prepared
from focus.wire.rayo import JoinDirection, JoinMedia

#: Questions that `list` has waiting for their answers.
AT_ONCE = 20

_ONE_WAY = {"send": ", is heard there, and does not hear it", "recv": ", hears it, and is not heard there"}

_NOT_OURS = frozenset({"not-allowed", "conflict", "forbidden"})
#: What calls are called unless a controller has chosen otherwise.
_CALL_NAME = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

T = TypeVar("T")

Work = Callable[[RayoClient], Awaitable[int]]


def run(credentials: Credentials, patience: float, work: Work, *, register: bool = False) -> int:
    """Log in and do `work`, waiting at most `patience` seconds for each answer; the exit code.

    `register`: whether we must be known to the service for that. Who has a say in a room only by being its moderator
    need not be, and commands all the same. Raises `ServiceError` for whatever can be expected to go wrong.
    """
    try:
        return asyncio.run(_run(credentials, patience, work, register))
    except ConnectionFailed as error:
        raise ServiceError(str(error), ExitCode.UNAVAILABLE) from None
    except (NoService, NoAnswer, SessionLost) as error:
        raise ServiceError(error.text, ExitCode.UNAVAILABLE) from None
    except RayoError as error:
        is_ours = error.type != "auth" and error.condition not in _NOT_OURS
        raise ServiceError(
            f"the service refuses: {error}", ExitCode.FAILED if is_ours else ExitCode.NOT_ALLOWED
        ) from None


async def _run(credentials: Credentials, patience: float, work: Work, register: bool) -> int:
    async with RayoClient.of(credentials, ready=None, timeout=patience) as client:
        if register:
            await _register(client)
        return await work(client)


async def _register(client: RayoClient) -> None:
    """Wanting no calls. Raises `ServiceError` where the service does not know us."""
    try:
        await client.register(ready=False)
    except RayoError as error:
        if error.type != "auth":
            raise
        hint = f"{client.jid.bare} is neither in [rayo] clients nor in controllers there"
        raise ServiceError(f"{client.service} does not know us: {error} ({hint})", ExitCode.NOT_ALLOWED) from None


@contextmanager
def interruptible() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set; the second of them ends the program at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def ask_to_stop() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, ask_to_stop)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


# --- list -------------------------------------------------------------------------------------------------------------


async def list_all(client: RayoClient, report: Report) -> int:
    """The calls and mixers that we may know of. Who sees none because the service does not know us is told so.

    Of each it asks what it is joined with, and what is known of it: not all at once.
    """
    calls, mixers = await client.calls(), await client.mixers()
    if not calls and not mixers:
        await _register(client)
    turn = asyncio.Semaphore(AT_ONCE)

    async def joined(party: Listed) -> list[str]:
        async with turn:
            return [other.uri for other in await _if_there(client.joined(party.address), [])]

    async def about(party: Listed) -> About:
        async with turn:
            return await _if_there(client.about(party.address), About())

    joins = await asyncio.gather(*map(joined, [*calls, *mixers]))
    known = await asyncio.gather(*map(about, [*calls, *mixers]))
    of_calls: list[dict[str, Any]] = [
        {"call": one.uri, "peer": one.name, "state": it.state, "joined": others, "directions": it.directions}
        | ({"nick": it.nick} if it.nick else {})
        for one, it, others in zip(calls, known, joins, strict=False)
    ]
    if not report.is_json:
        of_calls = [row | {"peer": named(row.get("nick"), row["peer"])} for row in of_calls]
    of_mixers = [
        {"mixer": one.name, "uri": one.uri, "joined": others, "directions": it.directions}
        for one, it, others in zip(mixers, known[len(calls) :], joins[len(calls) :], strict=True)
    ]
    report.table(of_calls, "no calls", ("call", "peer", "state", "joined"), {one.uri: one.name for one in mixers})
    report.table(of_mixers, "no mixers", ("mixer", "joined"))
    return ExitCode.OK


async def _if_there(asking: Awaitable[T], nothing: T) -> T:
    """What the service says of something, and `nothing` of what has gone meanwhile. Raises `RayoError` where it does
    not answer."""
    try:
        return await asking
    except (NoAnswer, SessionLost):
        raise
    except RayoError:
        return nothing


def named(name: str | None, jid: str | None) -> str:
    """Somebody, for people: by what they know, and what tells two of that name from each other."""
    return f"{name} ({jid})" if name and jid else name or jid or ""


# --- commands ---------------------------------------------------------------------------------------------------------


async def party(client: RayoClient, text: str) -> Call | Mixer:
    """What `text` names: a call by its address, or what of it stands before the @; a mixer by its name or address.

    Who lives there decides; where nobody does, what looks like the address of a call is none that could be made.
    """
    address = _address(client, text)
    kind = await client.kind(address)
    is_mixer_name = not text.lower().startswith("xmpp:") and not _CALL_NAME.fullmatch(address.local)
    if kind == "mixer" or (kind == "" and is_mixer_name):
        return _mixer(client, text)
    return client.call(address)


def _mixer(client: RayoClient, text: str) -> Mixer:
    address = _address(client, text)
    return client.mixer(address.local if "@" in text else text)


def _address(client: RayoClient, text: str) -> JID:
    """Raises `ServiceError` where nothing of the service is meant."""
    with in_own_words():
        address = address_of(text) if "@" in text else JID(prepared(text), client.service.domain)
    if not address.local or address.resource or address.domain != client.service.domain:
        raise ServiceError(f"{text!r} is no call or mixer of {client.service}", ExitCode.USAGE)
    return address


@contextmanager
def in_own_words() -> Iterator[None]:
    """What cannot be made of the words of the command line is wrong usage. Raises `ServiceError`."""
    try:
        yield
    except ValueError as error:
        raise ServiceError(in_a_line(error), ExitCode.USAGE) from None


def url_of(file: str) -> str:
    """Of a file on this machine, or as it is. Raises `ServiceError` where there is no such file."""
    if "://" in file or file.startswith("file:"):
        return file
    path = Path(file)
    if not path.is_file():
        raise ServiceError(f"there is no file {file}", ExitCode.USAGE)
    return path.resolve().as_uri()


def in_a_line(error: ValueError) -> str:
    """What is wrong with the first thing that is; pydantic tells it in several lines."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _target(other: Call | Mixer) -> dict[str, Any]:
    return {"call": other} if isinstance(other, Call) else {"mixer": other}


async def join(
    client: RayoClient, report: Report, names: tuple[str, str], direction: JoinDirection, media: JoinMedia
) -> int:
    one, other = [await party(client, name) for name in names]
    await one.join(**_target(other), direction=direction, media=media)
    text = f"{names[0]} is joined with {names[1]}{_ONE_WAY.get(direction, '')}"
    report.say("join", text, party=one.uri, other=other.uri, direction=direction)
    return ExitCode.OK


async def unjoin(client: RayoClient, report: Report, name: str, from_: str | None) -> int:
    one = await party(client, name)
    other = await party(client, from_) if from_ is not None else None
    await one.unjoin(**(_target(other) if other is not None else {}))
    text = f"{name} is no longer joined with {from_ or 'anything'}"
    report.say("unjoin", text, party=one.uri, other=other.uri if other is not None else None)
    return ExitCode.OK


async def hangup(client: RayoClient, report: Report, names: Sequence[str], headers: HeaderPairs) -> int:
    for name in names:
        call = client.call(_address(client, name))
        await call.hangup(headers=headers)
        report.say("hangup", f"{name} is hung up", call=call.uri)
    return ExitCode.OK


# --- dial -------------------------------------------------------------------------------------------------------------


async def dial(
    client: RayoClient,
    report: Report,
    to: str,
    *,
    from_: str | None,
    joins: Sequence[str],
    direction: JoinDirection,
    media: JoinMedia,
    headers: Sequence[tuple[str, str]],
    ring: float | None,
    follow: bool,
) -> int:
    """Call `to`, and tell how it goes: until it is answered, or to the end if we `follow`. An interruption hangs up."""
    parties = [await party(client, name) for name in joins]
    with interruptible() as stop:
        with in_own_words():
            call = await client.dial(
                to,
                from_=from_,
                headers=headers,
                joins=[_joined_from_the_start(one, direction, media) for one in parties],
                timeout=ring,
            )
        report.say("dialled", f"calling {to} as {call.address.local}", call=call.uri, to=to)
        telling = asyncio.create_task(_tell(call, report, follow=follow))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not telling.done():
                await call.hangup()
            return await telling
        finally:
            stopping.cancel()
            telling.cancel()
            await asyncio.gather(telling, stopping, return_exceptions=True)


def _joined_from_the_start(one: Call | Mixer, direction: JoinDirection, media: JoinMedia) -> Join:
    if isinstance(one, Call):
        return Join(call_uri=one.uri, direction=direction, media=media)
    return Join(mixer_name=one.name, direction=direction, media=media)


async def _tell(call: Call, report: Report, *, follow: bool) -> int:
    is_answered = False
    async for event in call.events:
        report.event(event, call.events.at, call=call.uri)
        is_answered = is_answered or isinstance(event, Answered)
        if is_answered and not follow:
            return ExitCode.OK
        if isinstance(event, End):
            return _exit_code(event, is_answered)
    return ExitCode.FAILED


def _exit_code(end: End, is_answered: bool) -> int:
    if end.reason == "error":
        return ExitCode.FAILED
    return ExitCode.OK if is_answered else ExitCode.NOT_TAKEN


# --- watch ------------------------------------------------------------------------------------------------------------


async def watch(client: RayoClient, report: Report, room: str) -> int:
    """Who comes to the room, or the mixer of ours, who goes, and who speaks, until we are interrupted."""
    with interruptible() as stop:
        mixer = _mixer(client, room)
        is_new = await mixer.subscribe()
        is_there = await client.kind(mixer.address) == "mixer"
        nobody = "" if is_there else ": there is no such mixer now, or it is not for us"
        report.say("watching", f"watching {room}{nobody}", mixer=mixer.name, uri=mixer.uri, there=is_there)
        telling = asyncio.create_task(_tell_of(client, mixer, report))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                await telling
            if is_new:
                await mixer.unsubscribe()
        finally:
            stopping.cancel()
            telling.cancel()
            await asyncio.gather(telling, stopping, return_exceptions=True)
    return ExitCode.OK


async def _tell_of(client: RayoClient, mixer: Mixer, report: Report) -> None:
    peers: dict[str, str] = {}
    nicks: dict[str, str] = {}
    async for event in mixer.events:
        uri = getattr(event, "call_uri", None)
        if uri is not None and uri not in peers:
            peers |= {one.uri: one.name for one in await client.joined(mixer) if one.name}
        if uri is not None and (uri not in nicks or isinstance(event, Joined)):
            with suppress(RayoError):  # it has gone meanwhile
                nicks[uri] = (await client.about(JID.from_uri(uri))).nick
        peer, nick = (peers.get(uri), nicks.get(uri)) if uri is not None else (None, None)
        who = named(nick, peer) or _short(event)
        report.event(event, mixer.events.at, who=who, peer=peer, nick=nick or None, mixer=mixer.name, uri=mixer.uri)


def _short(event: Event) -> str:
    uri = getattr(event, "call_uri", None)
    return JID.from_uri(uri).local if uri else str(getattr(event, "mixer_name", ""))
