"""`focus phone`: call somebody, or take calls, from the terminal.

One line for each event, for people, or as JSON. What a call came to is the exit code. What is heavy to import, as the
media stack is, is imported by the command that needs it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from focus.service.ready import ExitCode

if TYPE_CHECKING:
    from focus.client.connection import Account
    from focus.service.phone.phone import Phone
    from focus.service.phone.sound import Source
    from focus.wire.jid import JID
    from focus.wire.jingle_message import Dialect

EXIT_CODES = (
    f"Exit codes: 0 the call was made and ended, {ExitCode.USAGE} wrong usage, {ExitCode.UNAVAILABLE} the server is "
    f"unreachable or refuses us, {ExitCode.NOT_TAKEN} the call was not taken (busy, declined, nobody there), "
    f"{ExitCode.FAILED} the call failed."
)

app = typer.Typer(
    name="phone",
    help="A Jingle phone for the terminal: call a room or a person, or take calls.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

AccountOption = Annotated[
    str,
    typer.Option(
        envvar="FOCUS_PHONE_ACCOUNT", metavar="JID", help="Who to be. A domain alone (guest.example.org) is a guest."
    ),
]
PasswordOption = Annotated[str | None, typer.Option(envvar="FOCUS_PHONE_PASSWORD", help="The account's password.")]
PasswordFileOption = Annotated[Path | None, typer.Option(help="Read the password from this file.")]
ServerOption = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The XMPP server, if DNS does not tell.")]
CaFileOption = Annotated[Path | None, typer.Option(help="Trust the certificates in this file (PEM).")]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Trust any server. A server on this machine is trusted anyway.")
]
PlayOption = Annotated[
    str | None, typer.Option(metavar="tone:HZ|speech:TEXT|FILE", help="What to say; silence by default.")
]
LoopOption = Annotated[bool, typer.Option("--loop/--no-loop", help="Say it again and again, or once.")]
VoiceOption = Annotated[str | None, typer.Option(help="The voice of espeak-ng that speaks the text.")]
LanguageOption = Annotated[str | None, typer.Option(help="The language of the text, if no voice is named.")]
RecordOption = Annotated[Path | None, typer.Option(metavar="FILE.wav", help="Write down what is heard.")]
SecondsOption = Annotated[float | None, typer.Option(min=0, help="Hang up so long after the call has connected.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object for each event, a line each.")]
CoinOption = Annotated[bool, typer.Option("--coin/--no-coin", help="Say that we read who is in a conference.")]
JoinOption = Annotated[
    str | None, typer.Option(metavar="ROOM/NICK", help="Be in this multi-user chat room, too (ROOM is its JID).")
]
TrickleOption = Annotated[bool, typer.Option("--trickle", help="Send candidates one by one.")]
DtxOption = Annotated[bool, typer.Option("--dtx", help="Send nothing in silence. Steady tones count as silence.")]
MediaOption = Annotated[
    list[str] | None, typer.Option(metavar="IP", help="Have audio come to this address; by default to all.")
]
MuteOption = Annotated[bool, typer.Option("--mute", help="Be muted, and say so.")]
KeysOption = Annotated[
    str | None,
    typer.Option(metavar="KEYS", help="Press these keys (0-9 * # A-D) when connected; a comma waits for a second."),
]
LogOption = Annotated[str, typer.Option(help="Log to standard error: debug, info, warning, error or critical.")]


@app.command(epilog=EXIT_CODES)
def call(
    jid: Annotated[str, typer.Argument(metavar="JID", help="Whom to call, for example ROOM@focus.example.org.")],
    account: AccountOption,
    password: PasswordOption = None,
    password_file: PasswordFileOption = None,
    server: ServerOption = None,
    ca_file: CaFileOption = None,
    insecure: InsecureOption = False,
    play: PlayOption = None,
    loop: LoopOption = True,
    voice: VoiceOption = None,
    language: LanguageOption = None,
    record: RecordOption = None,
    seconds: SecondsOption = None,
    json: JsonOption = False,
    dialect: Annotated[
        str,
        typer.Option(metavar="0|1|none", help="The invitation to send (XEP-0353); none calls a full JID without one."),
    ] = "0",
    coin: CoinOption = True,
    join: JoinOption = None,
    trickle: TrickleOption = False,
    dtx: DtxOption = False,
    media: MediaOption = None,
    mute: MuteOption = False,
    keys: KeysOption = None,
    answer_timeout: Annotated[float, typer.Option(min=1, help="Seconds to let it ring.")] = 60.0,
    log_level: LogOption = "critical",
) -> int:
    """Call JID; hang up after --seconds, at ctrl-C, or when the other side does."""
    from focus.jingle.peer import Timeouts
    from focus.service.phone.call import Sound
    from focus.service.phone.desk import Desk, run
    from focus.service.phone.phone import Settings

    _log_to_stderr(log_level)
    settings = Settings(
        account=_account(account, password, password_file, server, ca_file, insecure),
        sound=Sound(_source(play, loop, voice, language), _recording(record)),
        media=_addresses(media),
        coin=coin,
        trickle=trickle,
        dtx=dtx,
        join=_occupant(join),
        muted=mute,
        keys=_keys(keys),
        timeouts=Timeouts(answer=answer_timeout),
    )
    target, invitation = _jid("JID", jid), _dialect(dialect)
    if invitation is None and target.local and not target.resource:
        raise typer.BadParameter(f"without an invitation a full JID must be called: {target}/RESOURCE")

    async def make(phone: Phone) -> None:
        await phone.call(target, dialect=invitation)

    return asyncio.run(run(settings, make, Desk(seconds, json=json, once=True)))


@app.command(epilog=EXIT_CODES)
def listen(
    account: AccountOption,
    password: PasswordOption = None,
    password_file: PasswordFileOption = None,
    server: ServerOption = None,
    ca_file: CaFileOption = None,
    insecure: InsecureOption = False,
    play: PlayOption = None,
    loop: LoopOption = True,
    voice: VoiceOption = None,
    language: LanguageOption = None,
    record: RecordOption = None,
    seconds: SecondsOption = None,
    json: JsonOption = False,
    reject: Annotated[bool, typer.Option("--reject", help="Decline every call.")] = False,
    busy: Annotated[bool, typer.Option("--busy", help="Be busy, whoever calls.")] = False,
    answer_delay: Annotated[float, typer.Option(min=0, help="Seconds to ring before that, or before it is taken.")] = 0,
    once: Annotated[bool, typer.Option("--once", help="Take one call, and let it be the exit code.")] = False,
    coin: CoinOption = True,
    join: JoinOption = None,
    trickle: TrickleOption = False,
    dtx: DtxOption = False,
    media: MediaOption = None,
    mute: MuteOption = False,
    keys: KeysOption = None,
    log_level: LogOption = "critical",
) -> int:
    """Take calls, one at a time, until ctrl-C."""
    from focus.service.phone.call import Sound
    from focus.service.phone.desk import Desk, run
    from focus.service.phone.phone import Answering, Settings

    _log_to_stderr(log_level)
    if reject and busy:
        raise typer.BadParameter("--reject and --busy exclude each other")
    settings = Settings(
        account=_account(account, password, password_file, server, ca_file, insecure),
        sound=Sound(_source(play, loop, voice, language), _recording(record)),
        media=_addresses(media),
        coin=coin,
        trickle=trickle,
        dtx=dtx,
        join=_occupant(join),
        muted=mute,
        keys=_keys(keys),
    )
    answering = Answering("busy" if busy else "decline" if reject else None, answer_delay)

    async def take(phone: Phone) -> None:
        phone.listen(answering)

    return asyncio.run(run(settings, take, Desk(seconds, json=json, once=once)))


# --- what the options mean --------------------------------------------------------------------------------------------


def _log_to_stderr(level: str) -> None:
    if level.upper() not in logging.getLevelNamesMapping():
        raise typer.BadParameter(f"--log-level must be debug, info, warning, error or critical, not {level!r}")
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def _jid(option: str, text: str) -> JID:
    from focus.client.parties import address_of

    try:
        return address_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def _dialect(name: str) -> Dialect | None:
    from focus.wire.jingle_message import JMI_0, JMI_1

    dialects: dict[str, Dialect | None] = {"0": JMI_0, "1": JMI_1, "none": None}
    if name not in dialects:
        raise typer.BadParameter(f"--dialect must be 0, 1 or none, not {name!r}")
    return dialects[name]


def _account(
    account: str,
    password: str | None,
    password_file: Path | None,
    server: str | None,
    ca_file: Path | None,
    insecure: bool,
) -> Account:
    from focus.client.connection import Account
    from focus.service.values import Address

    jid = _jid("--account", account)
    if password_file is not None:
        try:
            password = password_file.read_text().rstrip("\r\n")
        except OSError as error:
            raise typer.BadParameter(f"--password-file {password_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise typer.BadParameter(f"--password-file {password_file}: it is not UTF-8") from None
    if jid.local and not password:
        raise typer.BadParameter(f"--account {jid} needs --password, --password-file or FOCUS_PHONE_PASSWORD")
    address = None
    if server is not None:
        try:
            address = Address.parse(server)
        except ValueError as error:
            raise typer.BadParameter(f"--server {error}, not {server!r}") from None
    trusted = insecure or (address is not None and ca_file is None and _is_this_machine(address.host))
    return Account(jid, password, address, ca_file, trusted)


def _is_this_machine(host: str) -> bool:
    """Whether nobody can be between us and `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _source(play: str | None, loop: bool, voice: str | None, language: str | None) -> Source | None:
    if play is None:
        return None
    from focus.engines.espeak import Espeak
    from focus.engines.synthesizer import SynthesisError
    from focus.media.files import AudioFileError
    from focus.service.phone.sound import file, speech, tone

    kind, colon, what = play.partition(":")
    try:
        if colon and kind == "tone":
            return tone(*map(_hertz, what.split("+")))
        if colon and kind == "speech":
            asyncio.run(Espeak().choose(voice, language))
            return speech(what, loop=loop, voice=voice, language=language)
        return file(Path(play), loop=loop)
    except (ValueError, AudioFileError, SynthesisError) as error:
        raise typer.BadParameter(f"--play {error}") from None


def _hertz(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"tone: needs frequencies in Hz, as in tone:440 or tone:440+660, not {text!r}") from None


def _recording(path: Path | None) -> Path | None:
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise typer.BadParameter(f"--record {path} is not a file that can be written")
    return path


def _keys(keys: str | None) -> str:
    from focus.wire.dtmf import KEYS

    pressed = (keys or "").upper()
    if strange := next((key for key in pressed if key not in KEYS | {","}), None):
        raise typer.BadParameter(f"--keys: {strange!r} is no key of a telephone")
    return pressed


def _addresses(media: list[str] | None) -> Sequence[str]:
    from focus.service.phone.phone import Settings

    for address in media or ():
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise typer.BadParameter(f"--media {error}") from None
    return media or Settings.media


def _occupant(join: str | None) -> JID | None:
    if join is None:
        return None
    occupant = _jid("--join", join)
    if not occupant.local or not occupant.resource:
        raise typer.BadParameter(f"--join must be ROOM@SERVICE/NICK, not {join!r}")
    return occupant
