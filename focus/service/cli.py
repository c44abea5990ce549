"""The command line. What is heavy to import is imported by the command that needs it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from focus import __version__
from focus.service.ready import ExitCode, Runnable, ServiceError, ServiceReady, told_to_stop

if TYPE_CHECKING:
    from focus.service.config import Settings
    from focus.service.demo import DemoReady
    from focus.service.values import Address


#: Commands of commands, and where they are.
GROUPS = {"phone": "focus.service.phone_cli", "rayo": "focus.service.rayo.cli", "fax": "focus.service.fax.cli"}


class Commands(TyperGroup):
    """The commands, with `GROUPS` imported only when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in GROUPS:
            return super().get_command(ctx, cmd_name)
        command = typer.main.get_command(import_module(GROUPS[cmd_name]).app)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="focus",
    cls=Commands,
    help="A conference focus for XMPP: a meeting room that every Jingle client can call.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Write and check the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. Whatever can be expected to go wrong is one line, not a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = app(args=words, prog_name="focus", standalone_mode=False)
    except ServiceError as error:
        _complain(error)
        return error.exit_code
    except typer.TyperException as error:
        message = error.format_message().removeprefix("Invalid value: ").replace("Value error, ", "").rstrip(".")
        if message:  # nothing, where the help has been printed for want of a command
            print(f"focus: {message} (see {_command(words)} --help)", file=sys.stderr)
        return ExitCode.USAGE
    except (typer.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return result if isinstance(result, int) else ExitCode.OK


def _command(words: Sequence[str]) -> str:
    """What of the words is the command."""
    named: list[str] = ["focus"]
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.get_command(typer.Context(command), word) if isinstance(command, TyperGroup) else None
        if command is None:
            break
        named.append(word)
    return " ".join(named)


def _complain(error: ServiceError) -> None:
    """Faults of configurations and grammars begin with their place, as a compiler's; all else with our name."""
    prefix = "" if error.exit_code in (ExitCode.CONFIGURATION, ExitCode.DATA) else "focus: "
    for line in error.message.splitlines():
        print(f"{prefix}{line}", file=sys.stderr)


def _version(asked: bool) -> None:
    if asked:
        print(f"focus {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and stop.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A conference focus for XMPP: a meeting room that every Jingle client can call."""


# --- serve ------------------------------------------------------------------------------------------------------------

# readable=False: that a file cannot be read is found, and said, where it is read.
ConfigFile = Annotated[
    Path, typer.Option("--config", readable=False, help="The configuration file (focus config example).")
]


@app.command()
def serve(config: ConfigFile) -> None:
    """Serve an XMPP server's rooms, until SIGTERM, SIGHUP or ctrl-C."""
    from focus.service import config as configuration
    from focus.service import logs
    from focus.service.missing import missing

    settings = configuration.load(config)
    logs.configure(settings.log.level, settings.log.format)
    for line in (*configuration.unread(), *missing(settings)):
        logging.getLogger("focus.service").warning("%s", line)
    service = _load_service()(settings)
    asyncio.run(_serve(service))


def _load_service() -> Callable[[Settings], Runnable]:
    from focus.service.wiring import Service

    return Service


async def _serve(service: Runnable) -> None:
    stop = told_to_stop()

    def ready(listening: ServiceReady) -> None:
        logging.getLogger("focus.service").info("ready: %s", listening)

    await service.run(stop, ready)


# --- demo -------------------------------------------------------------------------------------------------------------


@app.command()
def demo(
    state_dir: Annotated[
        Path | None, typer.Option(help="Where to keep its files; without it they go when it ends.")
    ] = None,
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to serve the page.")] = "127.0.0.1:8080",
    c2s: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where XMPP clients connect.")] = "127.0.0.1:5222",
    media: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Where audio comes in by UDP, and by the next port too; host 'auto' is every address.",
        ),
    ] = "auto:10000",
    domain: Annotated[str, typer.Option(help="The XMPP domain.")] = "localhost",
    account: Annotated[
        list[str] | None, typer.Option(metavar="JID:PASSWORD", help="An account to make; may be repeated.")
    ] = None,
    admin: Annotated[
        list[str] | None, typer.Option(metavar="JID", help="An owner of every room, who may command calls too.")
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=JID",
            help="Calls to NAME (or a pattern with *) are for programs of this account (docs/rayo.md), not for a room; "
            "may be repeated.",
        ),
    ] = None,
    fax_route: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=JID",
            help="The same for faxes, which a program of this account takes, such as focus fax receive; may be "
            "repeated.",
        ),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="A certificate for the domain (PEM), with --key.")] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Written when everything is up, with the JSON line.")] = None,
    friendly: Annotated[bool, typer.Option("--friendly", help="Say on standard error what to do now.")] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="The least to log; by default info, or warning when --friendly.", show_choices=True),
    ] = None,
) -> None:
    """Try it: an XMPP server, focus and the page on this machine. Port 0 is any free one.

    When everything is up, one line of JSON on standard output says where.
    """
    from focus.service import demo as demonstration
    from focus.service import logs
    from focus.service.sections.monitoring import LogSettings
    from focus.service.values import domain_name

    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key belong together")
    options = demonstration.DemoOptions(
        http=_address("--http", http),
        c2s=_address("--c2s", c2s),
        media=_address("--media", media),
        domain=_checked("--domain", domain_name, domain),
        accounts=tuple(_account(text, domain.lower()) for text in account or ()),
        admins=tuple(_person("--admin", text) for text in admin or ()),
        routes=tuple(_route("--route", text) for text in route or ()),
        fax_routes=tuple(_route("--fax-route", text) for text in fax_route or ()),
        certificate=(certificate, key) if certificate is not None and key is not None else None,
        state_dir=state_dir,
        ready_file=ready_file,
        log=LogSettings(level=log_level or ("warning" if friendly else "info")),
    )
    logs.configure(options.log.level, options.log.format)

    def ready(facts: DemoReady) -> None:
        print(facts.line(), flush=True)
        if friendly:
            _welcome(facts)

    asyncio.run(demonstration.run(options, _load_service, ready))


def _checked(option: str, check: Any, text: str) -> Any:
    """The option's value, or a usage error."""
    try:
        return check(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {error}, not {text!r}") from None


def _address(option: str, text: str) -> Address:
    from focus.service.values import Address

    address: Address = _checked(option, Address.parse, text)
    return address


def _account(text: str, domain: str) -> tuple[str, str]:
    from focus.service.values import bare_jid

    jid, _, password = text.partition(":")
    jid = _checked("--account", bare_jid, jid)
    if not password or not jid.endswith(f"@{domain}"):
        raise typer.BadParameter(f"--account must be NAME@{domain}:PASSWORD, not {text!r}")
    return jid, password


def _person(option: str, text: str) -> str:
    from focus.service.values import bare_jid

    jid: str = _checked(option, bare_jid, text)
    if "@" not in jid:
        raise typer.BadParameter(f"{option} needs an account, such as me@localhost, not {text!r}")
    return jid


def _route(option: str, text: str) -> tuple[str, str]:
    match, equals, client = text.rpartition("=")
    if not match or not equals:
        raise typer.BadParameter(f"{option} must be NAME=JID, not {text!r}")
    return match, _person(option, client)


def _welcome(facts: DemoReady) -> None:
    """For people, on standard error: standard output has the JSON line."""
    from rich.console import Console
    from rich.table import Table

    host, port = facts.c2s
    table = Table.grid(padding=(0, 2))
    table.add_row("open", f"[bold]{facts.http.replace('127.0.0.1', 'localhost')}/tea[/]  in two tabs, and talk")
    table.add_row("call", f"[bold]tea@{facts.focus}[/]  with an XMPP client that is logged in at {host}:{port}")
    table.add_row("", f"(accounts: ./dev run --account you@{facts.domain}:PASSWORD)")
    table.add_row("files", f"{facts.files}  has what is recorded, and what is to be played or faxed")
    table.add_row("stop", "ctrl-C")
    console = Console(stderr=True, highlight=False)
    console.print("\n[bold green]focus is up.[/]")
    console.print(table)


# --- config -----------------------------------------------------------------------------------------------------------

OptionalConfigFile = Annotated[
    Path | None,
    typer.Option("--config", readable=False, help="Take names and secret from this file, not from an example."),
]


@config_app.command("example")
def config_example() -> None:
    """Print a complete configuration file with comments."""
    from focus.service import config_text

    print(config_text.example(), end="")


@config_app.command("check")
def config_check(
    file: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="The configuration file.")],
) -> None:
    """Say what is wrong with a configuration file (and the environment), a line for each fault."""
    from focus.service import config as configuration
    from focus.service.missing import missing

    settings = configuration.load(file)
    for line in (*configuration.unread(), *missing(settings)):
        print(f"warning: {line}", file=sys.stderr)
    print(f"{file}: ok")


@config_app.command("prosody")
def config_prosody(config: OptionalConfigFile = None) -> None:
    """Print what Prosody's configuration needs."""
    from focus.service import config_text

    print(config_text.prosody(_settings(config)), end="")


@config_app.command("ejabberd")
def config_ejabberd(config: OptionalConfigFile = None) -> None:
    """Print what ejabberd's configuration needs."""
    from focus.service import config_text

    print(config_text.ejabberd(_settings(config)), end="")


def _settings(file: Path | None) -> Settings:
    from focus.service import config as configuration
    from focus.service import config_text

    return configuration.load(file) if file is not None else config_text.placeholder()


# --- grammar ----------------------------------------------------------------------------------------------------------


@app.command(
    epilog=f"Exit codes: 0 done, {ExitCode.USAGE} wrong usage, {ExitCode.DATA} a grammar is faulty (one line says "
    f"where and what), {ExitCode.NO_INPUT} no such file."
)
def grammar(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="SRGS XML, or builtin:dtmf/TYPE; several count together.")
    ],
    mode: Annotated[
        Literal["dtmf", "voice"] | None,
        typer.Option(help="What the tokens are, where the grammar does not say it.", show_choices=True),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="TOKENS", help="Words, or keys, with or without space; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each input.")] = False,
) -> None:
    """Check a grammar, and say what inputs are to it: nomatch, partial, match or match-end, and what they mean."""
    from focus.engines.grammar import Mode
    from focus.service.grammar import run

    for line in run(files, Mode(mode) if mode is not None else None, inputs or (), as_json):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
