"""The commands of `focus rayo`, and their options. What is heavy to import is imported by the command that needs it."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from focus.service.ready import ExitCode

if TYPE_CHECKING:
    from focus.client import RayoClient
    from focus.client.parties import HeaderPairs
    from focus.service.rayo.report import Report

HELP = "Command the calls and rooms of a Rayo service."
EXIT_CODES = (
    f"Exit codes: 0 done, {ExitCode.USAGE} wrong usage or no such file, {ExitCode.UNAVAILABLE} the server or the "
    f"service is not there, refuses the login, or does not answer, {ExitCode.NOT_TAKEN} the call was not taken "
    "(busy, rejected, no answer), or what was asked has not been answered, "
    f"{ExitCode.FAILED} the service refuses, or the call failed, {ExitCode.NOT_ALLOWED} we may not do that, "
    f"{ExitCode.CONFIGURATION} the file with the account is wrong."
)

app = typer.Typer(
    name="rayo",
    short_help=HELP,
    help=f"{HELP}\n\nCalls are named as `list` shows them, or by their xmpp: URI, mixers and rooms by their name. "
    "Who is a controller of the service commands all calls; others those that they have made, under the same full JID, "
    "and those in rooms that they moderate.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

AccountOption = Annotated[
    str | None,
    typer.Option(envvar="FOCUS_RAYO_ACCOUNT", metavar="JID", help="Who to be, such as operator@example.org."),
]
# These two, of which each stands for the other, are not taken from the environment here: `credentials` does.
PasswordOption = Annotated[str | None, typer.Option(help="The account's password; also FOCUS_RAYO_PASSWORD.")]
PasswordFileOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Read the password from this file; also FOCUS_RAYO_PASSWORD_FILE."),
]
ServiceOption = Annotated[
    str | None,
    typer.Option(
        envvar="FOCUS_RAYO_SERVICE", metavar="DOMAIN", help="The service; by default focus. and the account's domain."
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(envvar="FOCUS_RAYO_SERVER", metavar="HOST:PORT", help="The XMPP server, if DNS does not tell."),
]
CaFileOption = Annotated[
    str | None,
    typer.Option(envvar="FOCUS_RAYO_CA_FILE", metavar="FILE", help="Trust the certificates in this file (PEM)."),
]
InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure",
        envvar="FOCUS_RAYO_INSECURE",
        help="Trust any server. A server on this machine is trusted anyway.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        envvar="FOCUS_RAYO_CONFIG",
        metavar="FILE",
        help="What is said nowhere else, in TOML: account, password or password_file, service, server, ca_file, "
        "insecure. By default ~/.config/focus/rayo.toml, if there is one.",
    ),
]
#: Milliseconds are 32 bits wide in Rayo; this is so long in seconds.
LONGEST = 2_147_483

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object for each line, for programs.")]


def _a_number(seconds: float | None) -> float | None:
    """Which `nan` is not, and `min` and `max` let it pass."""
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter(f"must be a number of seconds, not {seconds:g}")
    return seconds


TimeoutOption = Annotated[
    float, typer.Option(min=0.1, callback=_a_number, help="Seconds in which the service answers each command.")
]
LogOption = Annotated[str, typer.Option(help="Log to standard error: debug, info, warning, error or critical.")]
DirectionOption = Annotated[
    Literal["duplex", "send", "recv"],
    typer.Option(help="From the first party's view: send is heard by the second, recv hears it."),
]
MediaOption = Annotated[
    Literal["bridge", "direct"],
    typer.Option(help="Through the service, or between the two ends, if neither call is answered yet."),
]


@dataclass(frozen=True)
class Session:
    """What the options mean that all commands have."""

    said: Mapping[str, str | None]
    config: Path | None
    json: bool
    timeout: float

    def run(self, work: Callable[[RayoClient, Report], Awaitable[int]], *, register: bool = False) -> int:
        """See `doing.run`."""
        from focus.service.rayo import doing
        from focus.service.rayo.report import Report
        from focus.service.rayo.who import credentials

        who, report = credentials(self.said, self.config), Report(json=self.json)
        return doing.run(who, self.timeout, lambda client: work(client, report), register=register)


def _session(
    account: AccountOption = None,
    password: PasswordOption = None,
    password_file: PasswordFileOption = None,
    service: ServiceOption = None,
    server: ServerOption = None,
    ca_file: CaFileOption = None,
    insecure: InsecureOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    timeout: TimeoutOption = 10,
    log_level: LogOption = "critical",
) -> Session:
    _log_to_stderr(log_level)
    said = {
        "account": account,
        "password": password,
        "password_file": password_file,
        "service": service,
        "server": server,
        "ca_file": ca_file,
        "insecure": "yes" if insecure else None,
    }
    return Session(said, config, json, timeout)


def session_command(
    name: str | None = None, *, group: typer.Typer = app
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A command of `group`, of a function that is given a session first: with the options of that behind its own."""

    def register(function: Callable[..., int]) -> Callable[..., int]:
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        common = inspect.signature(_session, eval_str=True).parameters

        def command(**values: Any) -> int:
            session = _session(**{option: values.pop(option) for option in common})
            return function(session, **values)

        parameters = [*own, *common.values()]
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        group.command(name or function.__name__, epilog=EXIT_CODES)(command)
        return function

    return register


@session_command("list")
def list_(session: Session) -> int:
    """The calls and mixers that we may know of: who is at the other end, how far it has come, what is joined."""
    from focus.service.rayo import doing

    return session.run(lambda client, report: doing.list_all(client, report))


@session_command()
def dial(
    session: Session,
    to: Annotated[str, typer.Argument(metavar="TO", help="Whom to call: a JID or an xmpp: URI.")],
    join: Annotated[
        list[str] | None,
        typer.Option(metavar="MIXER", help="Join it with this mixer, room or call from the start; may be repeated."),
    ] = None,
    direction: DirectionOption = "duplex",
    media: MediaOption = "bridge",
    from_: Annotated[
        str | None, typer.Option("--from", metavar="JID", help="Who calls, as they see it: a room, for example.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A header for the other end; may be repeated.")
    ] = None,
    ring: Annotated[
        float | None,
        typer.Option(min=0.001, max=LONGEST, callback=_a_number, help="Seconds to let it ring."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay until it ends, and hang up at ctrl-C; else until it is answered.")
    ] = False,
) -> int:
    """Call TO, and tell how it goes. The call goes on when the command has ended; ctrl-C before that hangs up."""
    from focus.service.rayo import doing

    headers = [_header(text) for text in header or ()]
    return session.run(
        lambda client, report: doing.dial(
            client,
            report,
            to,
            from_=from_,
            joins=join or (),
            direction=direction,
            media=media,
            headers=headers,
            ring=ring,
            follow=follow,
        ),
        register=True,
    )


@session_command()
def join(
    session: Session,
    one: Annotated[str, typer.Argument(metavar="A", help="A call or a mixer.")],
    other: Annotated[str, typer.Argument(metavar="B", help="A call or a mixer, made if it is not there.")],
    direction: DirectionOption = "duplex",
    media: MediaOption = "bridge",
) -> int:
    """Join A with B; again, to change the direction of the join there is."""
    from focus.service.rayo import doing

    return session.run(lambda client, report: doing.join(client, report, (one, other), direction, media))


@session_command()
def unjoin(
    session: Session,
    one: Annotated[str, typer.Argument(metavar="A", help="A call or a mixer.")],
    other: Annotated[
        str | None, typer.Argument(metavar="[B]", help="What to part it from; from all by default.")
    ] = None,
) -> int:
    """Undo the join of A with B, or all joins of A."""
    from focus.service.rayo import doing

    return session.run(lambda client, report: doing.unjoin(client, report, one, other))


@session_command()
def hangup(
    session: Session,
    call: Annotated[list[str], typer.Argument(metavar="CALL...", help="The calls to end.")],
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="The reason to give, in Jingle's words; success by default.")
    ] = None,
) -> int:
    """End calls."""
    from focus.service.rayo import doing

    headers = {"jingle-reason": reason} if reason else {}
    _check_headers("--reason", headers)
    return session.run(lambda client, report: doing.hangup(client, report, call, headers))


@session_command()
def watch(
    session: Session,
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The name of a room, or of a mixer of ours.")],
) -> int:
    """Tell who comes to ROOM, who goes and who speaks, until ctrl-C; also if nobody is there yet."""
    from focus.service.rayo import doing

    return session.run(lambda client, report: doing.watch(client, report, room), register=True)


def _some_text(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("TEXT is empty")
    return text


VoiceOption = Annotated[str | None, typer.Option(help="A voice of the renderer, such as de or en-us+f3 of espeak-ng.")]
RendererOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Who speaks: espeak, as by default, or piper, where that is installed."),
]
PlaceArgument = Annotated[str, typer.Argument(metavar="WHERE", help="A call, which alone hears it, or a mixer.")]


@session_command()
def say(
    session: Session,
    to: PlaceArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", callback=_some_text, help="What to say.")],
    voice: VoiceOption = None,
    renderer: RendererOption = None,
) -> int:
    """Say TEXT, and wait until it has been said; ctrl-C ends it."""
    from focus.service.rayo import working

    return session.run(lambda client, report: working.say(client, report, to, text, voice=voice, renderer=renderer))


@session_command()
def play(
    session: Session,
    to: PlaceArgument,
    url: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A sound: a URL that the service can fetch, or a file on its machine, in one of its "
            "\\[fetch] folders.",
        ),
    ],
    times: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="How often; 0 is for ever.")] = 1,
) -> int:
    """Play a sound, and wait until it is over; ctrl-C ends it."""
    from focus.service.rayo import working

    return session.run(lambda client, report: working.play(client, report, to, url, times))


@session_command()
def ask(
    session: Session,
    to: PlaceArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", callback=_some_text, help="What to ask.")],
    grammar: Annotated[
        str, typer.Option(metavar="FILE|URL", help="What is an answer: an SRGS grammar, here or there.")
    ] = "builtin:dtmf/digits?length=1",
    mode: Annotated[
        Literal["dtmf", "voice", "any"],
        typer.Option(help="How it is given: by keys, by voice, or as the grammar says."),
    ] = "any",
    wait: Annotated[
        float, typer.Option(min=0, max=LONGEST, callback=_a_number, help="Seconds for it, and between keys.")
    ] = 10,
    voice: VoiceOption = None,
    renderer: RendererOption = None,
) -> int:
    """Ask TEXT, wait for an answer, and tell what it means; ctrl-C ends it."""
    from focus.service.rayo import working

    if mode == "voice" and grammar.startswith("builtin:"):
        raise typer.BadParameter(f"--mode voice needs a --grammar of words: {grammar} is one of keys")
    return session.run(
        lambda client, report: working.ask(
            client, report, to, text, grammar=grammar, mode=mode, wait=wait, voice=voice, renderer=renderer
        )
    )


@session_command()
def record(
    session: Session,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A call, or a mixer: all who are in it.")],
    format_: Annotated[str, typer.Option("--format", help="wav, flac, ogg or mp3.")] = "ogg",
    seconds: Annotated[
        float | None,
        typer.Option(min=0.001, max=LONGEST, callback=_a_number, help="For so long; else until ctrl-C."),
    ] = None,
    tracks: Annotated[
        bool, typer.Option("--tracks", help="Besides, a file for each who speaks, as long as the whole.")
    ] = False,
) -> int:
    """Record WHAT until ctrl-C, or until nobody is there any more, and tell where the recording is."""
    from focus.service.rayo import working

    return session.run(
        lambda client, report: working.record(client, report, what, format_, seconds=seconds, tracks=tracks)
    )


# --- what the options mean --------------------------------------------------------------------------------------------


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"--header must be NAME=VALUE, not {text!r}")
    _check_headers("--header", [(name, value)])
    return name, value


def _check_headers(option: str, headers: HeaderPairs) -> None:
    from focus.client.parties import headers_of
    from focus.service.rayo.doing import in_a_line

    try:
        headers_of(headers)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {in_a_line(error)}") from None


def _log_to_stderr(level: str) -> None:
    if level.upper() not in logging.getLevelNamesMapping():
        raise typer.BadParameter(f"--log-level must be debug, info, warning, error or critical, not {level!r}")
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
