"""What the commands of `focus rayo` do that start components: say, play, ask and record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from focus.client import (
    Call,
    Complete,
    Component,
    Failed,
    Grammar,
    HungUp,
    InputComponent,
    Mixer,
    RayoClient,
    RecordComponent,
)
from focus.service.rayo.doing import in_own_words, interruptible, named, party, url_of
from focus.service.rayo.report import Report
from focus.service.ready import ExitCode, ServiceError
from focus.wire.base import local_name
from focus.wire.rayo_record import TrackFile

AnswerMode = Literal["dtmf", "voice", "any"]


async def say(
    client: RayoClient, report: Report, to: str, text: str, *, voice: str | None = None, renderer: str | None = None
) -> int:
    """Until it has been said."""
    place = await party(client, to)
    with interruptible() as stop:
        with in_own_words():
            output = await place.output(text=text, voice=voice, renderer=renderer)
        return await _tell(report, place, output, stop)


async def play(client: RayoClient, report: Report, to: str, url: str, times: int) -> int:
    """Until it, a URL or a file, has been played so often; 0 is until somebody interrupts."""
    place = await party(client, to)
    with interruptible() as stop:
        with in_own_words():
            output = await place.output(url=url_of(url), repeat_times=times)
        return await _tell(report, place, output, stop)


async def ask(
    client: RayoClient,
    report: Report,
    to: str,
    text: str,
    *,
    grammar: str,
    mode: AnswerMode,
    wait: float,
    voice: str | None = None,
    renderer: str | None = None,
) -> int:
    """Until it has been answered, or not. `grammar` is a URI, or a file; `wait`: seconds for the answer, and between
    two keys."""
    place = await party(client, to)
    with interruptible() as stop:
        with in_own_words():
            prompt = await place.prompt(
                text=text,
                voice=voice,
                renderer=renderer,
                grammars=[_grammar(grammar)],
                mode=mode,
                initial_timeout=wait,
                inter_digit_timeout=wait,
            )
        report.say("asking", f"asking {to}", **_named(place))
        code = await _tell(report, place, prompt, stop)
    return code if code or prompt.interpretation is not None else ExitCode.NOT_TAKEN


async def record(
    client: RayoClient, report: Report, what: str, format_: str, *, seconds: float | None = None, tracks: bool = False
) -> int:
    """Until somebody interrupts, it has been so long, or there is nobody to be heard any more. `tracks`: each who
    speaks in a file of their own, too."""
    hints = {"tracks": "speaker"} if tracks else None
    place = await party(client, what)
    with interruptible() as stop:
        with in_own_words():
            recording = await place.record(format=format_, max_duration=seconds, hints=hints)
        report.say("recording", f"recording {what}", **_named(place))
        return await _tell(report, place, recording, stop)


async def _tell(report: Report, place: Call | Mixer, component: Component, stop: asyncio.Event) -> int:
    """How it ends, which an interruption makes it do; the exit code."""
    ending, stopping = asyncio.create_task(component.completed()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            await component.stop()
        complete = await ending
    finally:
        stopping.cancel()
        ending.cancel()
        await asyncio.gather(ending, stopping, return_exceptions=True)
    lines, details = _result(component)
    reason = local_name(complete.reason.to_element().tag)
    report.say("complete", *(lines or [_words(complete)]), **_named(place), reason=reason, **details)
    if isinstance(complete.reason, Failed) or (isinstance(complete.reason, HungUp) and not lines):
        return ExitCode.FAILED
    return ExitCode.OK


def _result(component: Component) -> tuple[list[str], dict[str, Any]]:
    """What it has brought, in lines for people and for programs."""
    match component:
        case RecordComponent(recording=recording) if recording is not None:
            known: dict[str, Any] = {
                "recording": recording.uri,
                "duration": recording.duration,
                "size": recording.size,
                "tracks": [_track(each) for each in component.tracks] or None,
            }
            alone = [f"{named(each.name, each.jid) or 'somebody'} alone is in {each.uri}" for each in component.tracks]
            return [f"{recording.duration / 1000:.1f} s are in {recording.uri}", *alone], known
        case InputComponent(interpretation=found) if found is not None:
            known = {"meaning": found.meaning, "input": found.input, "confidence": found.confidence}
            return [f"the answer is {found.meaning}"], known
    return [], {}


def _track(track: TrackFile) -> dict[str, str | int]:
    known: dict[str, str | int | None] = {
        "recording": track.uri,
        "size": track.size,
        "name": track.name,
        "jid": track.jid,
    }
    return {key: value for key, value in known.items() if value is not None}


def _words(complete: Complete) -> str:
    """How it ended."""
    if isinstance(complete.reason, Failed):
        return f"it failed: {complete.reason.text}"
    name = local_name(complete.reason.to_element().tag)
    return {
        "finish": "done",
        "stop": "stopped",
        "hangup": "nobody is there any more",
        "noinput": "no answer",
        "nomatch": "the answer is none of those asked for",
    }.get(name, name)


def _named(place: Call | Mixer) -> dict[str, Any]:
    return {"mixer": place.name, "uri": place.uri} if isinstance(place, Mixer) else {"call": place.uri}


def _grammar(where: str) -> Grammar:
    """Raises `ServiceError`."""
    if urlsplit(where).scheme:
        return Grammar(url=where)
    try:
        return Grammar(content_type="application/srgs+xml", body=Path(where).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ServiceError(f"{where}: {why}", ExitCode.USAGE) from None
