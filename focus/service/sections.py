"""The sections of the configuration: the one place where an option is named, described, given a default and a range."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from focus.rayo.addresses import mixer_name
from focus.service.values import (
    Account,
    Address,
    BareJID,
    Domain,
    Listen,
    Origins,
    account_or_all,
    any_jid,
    bare_jid,
    existing_folder,
    host_or_network,
    ip_or_auto,
    is_ip,
    listed,
    page_url,
    possible_folder,
    program,
    public_address,
    room_or_service,
    tel_uri,
    typed,
    websocket_url,
)


class Section(BaseModel):
    """A table of the file; its docstring is the comment above it in the example."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _typed(cls, value: object, info: ValidationInfo) -> object:
        return typed(value, cls.model_fields[info.field_name or ""].annotation)


class XmppSettings(Section):
    """The XMPP server, where focus is a component (XEP-0114)."""

    jid: Domain = Field(
        description="The component's domain. A room R is called at R@ this domain.", examples=["focus.example.org"]
    )
    secret_file: Path | None = Field(
        default=None,
        description="A file that holds the secret, in place of the key `secret`.",
        examples=["/etc/focus/component-secret"],
    )
    secret: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="The component's secret, as the XMPP server has it.",
        examples=["change-me"],
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Where the server takes components.")
    port: int = Field(default=5347, ge=1, le=65535, description="The server's port for components.")
    muc: Domain = Field(
        description="The multi-user chat service (XEP-0045) whose rooms are the meeting rooms.",
        examples=["rooms.example.org"],
    )
    nick: str = Field(
        default="focus", min_length=1, max_length=64, description="The nickname of focus in the rooms that it serves."
    )

    @field_validator("secret", mode="before")
    @classmethod
    def _from_file(cls, value: object, info: ValidationInfo) -> object:
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        if "secret_file" not in info.data:
            return value or "faulty file"  # reported there
        file: Path | None = info.data["secret_file"]
        if file is None:
            if not given:
                raise ValueError("must be given, here or as secret_file")
            return value
        if given:
            raise ValueError("is given twice, here and as secret_file")
        try:
            content = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            raise ValueError(f"cannot be read from secret_file {file}: {why}") from None
        if not content:
            raise ValueError(f"cannot be read from secret_file {file}: it is empty")
        return content


class MediaSettings(Section):
    """Audio: one UDP port for all calls, or one for each shard, to be open in the firewall."""

    addresses: Annotated[tuple[Annotated[str, AfterValidator(ip_or_auto)], ...], BeforeValidator(listed)] = Field(
        default=("auto",),
        min_length=1,
        description="Addresses of this machine to take audio on; 'auto' is every one that it has.",
    )
    port: int = Field(default=10000, ge=0, le=65535, description="The UDP port; 0 is any free one.")
    shards: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Threads for audio, each with a port: 'port', the next one, and so on. One carries 1000 calls.",
    )
    realtime: bool = Field(
        default=True,
        description="Whether audio goes before all other work of the machine, where the system allows it to.",
    )
    loudest: int = Field(
        default=8,
        ge=0,
        le=64,
        description="How many of those who speak at once in a conference are heard, the loudest; 0 for all.",
    )
    agc: bool = Field(
        default=False,
        description="Whether who speaks too quietly is slowly made louder, and who speaks too loudly quieter.",
    )
    codecs: Annotated[tuple[Literal["opus", "PCMU", "PCMA"], ...], BeforeValidator(listed)] = Field(
        default=("opus", "PCMU", "PCMA"),
        description="Encodings to talk to callers in, best first; of those that a caller knows, the first is taken.",
    )
    public_addresses: Annotated[tuple[Annotated[str, AfterValidator(public_address)], ...], BeforeValidator(listed)] = (
        Field(
            default=(),
            description="Further addresses by which callers reach this machine, where NAT maps the ports one to one: "
            "IPs, or names, which are looked up at the start.",
        )
    )

    @field_validator("codecs")
    @classmethod
    def _once(cls, codecs: tuple[str, ...]) -> tuple[str, ...]:
        if not codecs:
            raise ValueError("must not be empty")
        if len(set(codecs)) < len(codecs):
            raise ValueError("must name each once")
        return codecs

    @field_validator("public_addresses")
    @classmethod
    def _lead_somewhere(cls, public: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        own = info.data.get("addresses", ("auto",))
        families = {":" in address for address in own}
        for address in public:
            if "auto" not in own and is_ip(address) and (":" in address) not in families:
                raise ValueError(
                    f"has {address}, and addresses none of the same version, to which it could lead; add one there, or "
                    "leave this one out"
                )
        return public

    @field_validator("shards")
    @classmethod
    def _have_ports(cls, shards: int, info: ValidationInfo) -> int:
        if info.data.get("port", 0) + shards > 65536:
            raise ValueError("leaves the last without a port; the highest is 65535")
        return shards


class HttpSettings(Section):
    """The meeting page, and the websocket that it talks to the XMPP server through."""

    enabled: bool = Field(default=True, description="Whether to serve the page at all.")
    listen: Listen = Field(
        default=Address("127.0.0.1", 8080),
        description="Where to serve it. Put a web server with HTTPS in front: browsers give a microphone only to HTTPS "
        "pages, and to localhost.",
    )
    domain: Domain | None = Field(
        default=None,
        description="The XMPP domain of the people here; by default the part of the component's domain after the "
        "first dot.",
        examples=["example.org"],
    )
    guests: Domain | None = Field(
        default=None,
        description="The XMPP host that lets the page in anonymously; by default guest. before the domain.",
        examples=["guest.example.org"],
    )
    websocket: Annotated[str, AfterValidator(websocket_url)] = Field(
        default="ws://127.0.0.1:5280/xmpp-websocket",
        description="The XMPP server's websocket (RFC 7395).",
    )
    url: Annotated[str, AfterValidator(page_url)] | None = Field(
        default=None,
        max_length=1000,
        description="Where people find the page. Participants are told it as an address to join by.",
        examples=["https://meet.example.org"],
    )
    title: str = Field(default="Meeting", min_length=1, max_length=100, description="What the page calls itself.")
    origins: Origins = Field(
        default=(),
        description="Other web sites whose pages may use the websocket; this page itself always may.",
    )
    frame_ancestors: Origins = Field(
        default=(), description="Other web sites that may show the page in a frame; '*' is every one."
    )


class MetricsSettings(Section):
    """Health and figures, on a listener of their own: /healthz, /readyz, /metrics (Prometheus)."""

    enabled: bool = Field(default=True, description="Whether to serve them at all.")
    listen: Listen = Field(default=Address("127.0.0.1", 9110), description="Where to serve them. They hold no secrets.")


class ConferenceSettings(Section):
    """Meeting rooms."""

    strangers: bool = Field(
        default=False,
        description="Whether somebody may call a room without being an occupant of it: to listen, where it is "
        "moderated, and not where it is for members, has a password, or has banned them.",
    )
    several_devices: bool = Field(
        default=False,
        description="Whether somebody may take part from several devices at once. Otherwise they go on from the one "
        "that has called last, and the call with the other one ends.",
    )
    linger: float = Field(
        default=15.0, ge=0, le=3600, description="Seconds that focus stays in a room after its last call has ended."
    )
    maximum_participants: int = Field(
        default=100, ge=1, le=10000, description="How many calls a room takes; further ones are refused as busy."
    )
    invite: Annotated[tuple[Account, ...], BeforeValidator(listed)] = Field(
        default=(),
        max_length=100,
        description="Accounts that are called into every conference as soon as it has its first participant.",
    )
    telephone: Annotated[str, AfterValidator(tel_uri)] | None = Field(
        default=None,
        max_length=200,
        description="The number of a gateway that leads to the rooms, as a tel: URI. Participants are told it as an "
        "address to join by.",
        examples=["tel:+49-30-123456"],
    )
    announce: bool = Field(
        default=True,
        description="Whether to say in a room that a conference has begun, by an invite (XEP-0482) with the address "
        "for calls and the page; only where the room gives messages ids, as those with an archive do.",
    )
    coalesce: float = Field(
        default=0.2,
        ge=0,
        le=10,
        description="Seconds over which changes in a room are gathered before its participants are told.",
    )


class SummoningSettings(Section):
    """By whom focus can be called into rooms: by an invitation (XEP-0045, XEP-0249), a conference request of Jitsi's
    clients, or a call."""

    rooms: Annotated[tuple[Annotated[str, AfterValidator(room_or_service)], ...], BeforeValidator(listed)] = Field(
        default=(),
        description="Rooms elsewhere that focus serves, too, or chat services all of whose rooms it serves. The rooms "
        "of `[xmpp] muc` always are.",
    )
    users: Annotated[tuple[Annotated[str, AfterValidator(account_or_all)], ...], BeforeValidator(listed)] | None = (
        Field(
            default=None,
            description="Accounts, or domains of accounts, that may invite focus or request it; '*' is everybody. By "
            "default those of `[http] domain` and `guests`. Who is in a room always may have the room invite it.",
            examples=[["example.org"]],
        )
    )


class RingingSettings(Section):
    """How people are called into conferences: those of `invite`, and those whom a moderator of the room wants."""

    patience: float = Field(default=45.0, ge=1, le=300, description="Seconds for which it rings each time.")
    pauses: Annotated[tuple[Annotated[float, Field(ge=1, le=86_400)], ...], BeforeValidator(listed)] = Field(
        default=(60.0, 180.0, 600.0),
        max_length=20,
        description="Seconds until it rings again, and then again, where somebody has not answered or was busy; who "
        "declines is left alone.",
    )
    call_invites: bool = Field(
        default=False,
        description="Whether who is called is also sent a message: an invite (XEP-0482), and words that say where the "
        "page is. Clients that know such invites may show both as calls.",
    )
    users: Annotated[tuple[Annotated[str, AfterValidator(account_or_all)], ...], BeforeValidator(listed)] | None = (
        Field(
            default=None,
            description="Accounts, or domains of accounts, that moderators may have called; '*' is everybody. By "
            "default those of `[http] domain`.",
            examples=[["example.org", "juliet@example.net"]],
        )
    )


class RoomSettings(Section):
    """A room that is special. This table may be given any number of times."""

    name: str = Field(
        min_length=1,
        max_length=1023,
        description="The room: the part of its address before the @, or the whole address, if it is elsewhere.",
        examples=["tea"],
    )
    stay: bool = Field(default=False, description="Whether focus is in the room all the time, not only for calls.")
    invite: Annotated[tuple[Account, ...], BeforeValidator(listed)] = Field(
        default=(),
        max_length=100,
        description="Further accounts that are called into each conference in this room; a hundred with those of all.",
    )

    @field_validator("name")
    @classmethod
    def _room(cls, value: str) -> str:
        try:
            if "@" in value:
                mixer_name(value.partition("@")[0])
                return bare_jid(value)
            return mixer_name(value)
        except ValueError:
            raise ValueError("must be the name of a room, or its address") from None


class RayoSettings(Section):
    """Control by Rayo clients (XEP-0327)."""

    controllers: Annotated[tuple[BareJID, ...], BeforeValidator(listed)] = Field(
        default=(),
        description="JIDs whose clients may command everybody's calls and rooms, registered or not. They may also do "
        "what `clients` may.",
    )
    clients: Annotated[tuple[BareJID, ...], BeforeValidator(listed)] = Field(
        default=(),
        description="JIDs whose clients may register, with presence sent to the component's domain; then they may make "
        "calls, and take those that a route gives them. A domain is everybody who has an account there.",
    )
    call_ids: bool = Field(
        default=False,
        description="Whether to name who speaks by `call-id`, too, which clients from before `call-uri` read.",
    )


class LimitsSettings(Section):
    """How much there may be at once. What is too much is refused with resource-constraint, callers as busy."""

    calls: int = Field(default=1000, ge=0, le=100_000, description="Calls, overall.")
    calls_of_caller: int = Field(
        default=20, ge=1, le=100_000, description="Calls that one account, or one occupant of a room, makes to us."
    )
    calls_of_client: int = Field(
        default=500, ge=0, le=100_000, description="Calls that the Rayo clients of one account control."
    )
    mixers: int = Field(default=1000, ge=0, le=100_000, description="Mixers, overall; each room in use has one.")
    mixers_of_client: int = Field(
        default=500, ge=0, le=100_000, description="Mixers that the calls of one account's Rayo clients are in."
    )
    joins: int = Field(default=10_000, ge=0, le=100_000, description="Joins of a call or mixer with another, overall.")
    joins_of_client: int = Field(
        default=5_000, ge=0, le=100_000, description="Joins of the calls of one account's Rayo clients."
    )
    components: int = Field(
        default=2_000, ge=0, le=100_000, description="Components (output, input, record and so on), overall."
    )
    components_of_one: int = Field(
        default=32, ge=0, le=100_000, description="Components at work on one call or mixer at the same time."
    )
    registrations: int = Field(default=2_000, ge=0, le=100_000, description="Rayo clients that are registered.")
    registrations_of_client: int = Field(
        default=1_000, ge=0, le=100_000, description="Rayo clients of one account that are registered."
    )
    events: int = Field(
        default=1_000,
        ge=0,
        le=100_000,
        description="Events for one Rayo client that are kept while the XMPP server cannot be reached. With one more, "
        "all are forgotten, and the client has to register again.",
    )
    events_timeout: float = Field(
        default=60.0,
        ge=1,
        le=86_400,
        description="Seconds for which they are kept when the XMPP server is back and the client is not.",
    )
    subscriptions: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Subscriptions to the presence of mixers that are remembered. With more, who has the most loses "
        "its oldest.",
    )
    subscriptions_of_client: int = Field(default=1_000, ge=1, le=100_000, description="The same, of one account.")
    summoned: int = Field(
        default=100, ge=0, le=100_000, description="Rooms that focus has been invited to, and in which nobody calls."
    )
    summoned_of_account: int = Field(
        default=10,
        ge=0,
        le=100_000,
        description="The same, by one account, or by all guests together. Calling a room brings focus there all the "
        "same.",
    )
    dial_timeout: float = Field(
        default=60.0,
        ge=1,
        le=3_600,
        description="Seconds in which a call that a Rayo client makes must be answered, if it does not say how many.",
    )


class FetchSettings(Section):
    """What components may fetch for their clients: by HTTP from the public internet, and from here."""

    allow: Annotated[tuple[Annotated[str, AfterValidator(host_or_network)], ...], BeforeValidator(listed)] = Field(
        default=(),
        description="Names, addresses and networks that documents may come from although they are not public, as "
        '"files.example.org" or "10.0.5.0/24".',
    )
    folders: Annotated[tuple[Annotated[Path, AfterValidator(existing_folder)], ...], BeforeValidator(listed)] = Field(
        default=(), description="Folders that file: URIs may lead into."
    )
    max_size: int = Field(
        default=50_000_000, ge=1_000, le=10_000_000_000, description="Bytes of a document that comes by HTTP."
    )
    timeout: float = Field(default=10.0, gt=0, le=600, description="Seconds in which it must be there.")


class RecordingSettings(Section):
    """Where the recordings of Rayo's `<record/>` go, and the faxes of its `<receivefax/>`. Without a folder nothing is
    recorded or received. Whoever knows the URI of a recording can hear it, at `[http] url` below /recordings/; without
    a `url` it is a file: URI."""

    folder: Annotated[Path, AfterValidator(possible_folder)] | None = Field(
        default=None,
        description="Where they are written. Those that a crash has cut short are made whole at the next start.",
        examples=["/var/lib/focus/recordings"],
    )
    days: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        description="Days after which they are deleted; without it they are kept.",
        examples=[30],
    )
    hook: Annotated[Path, AfterValidator(program)] | None = Field(
        default=None,
        description="A program that is run for each recording that is whole, with its path and its URI: to upload it.",
        examples=["/usr/local/bin/upload-recording"],
    )

    @field_validator("days", "hook")
    @classmethod
    def _have_a_folder(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.data.get("folder", value) is None:
            raise ValueError("needs folder")
        return value


class SpeechSettings(Section):
    """Recognition of what callers say, for Rayo's `<input/>`: US English, by pocketsphinx, where that is installed
    (focus-conference[speech])."""

    processes: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Processes that it is done in, each for one utterance at a time. Each is started when it is "
        "needed, and takes 50 MB then. With 0 no speech is recognized.",
    )
    timeout: float = Field(
        default=20.0, ge=1, le=300, description="Seconds in which an utterance must be recognized, once it is over."
    )


class PiperSettings(Section):
    """Speech by piper, for Rayo clients that ask for renderer='piper': a program of its own (GPL), which sounds more
    natural than espeak-ng, and takes seconds to begin and 250 MB."""

    program: Annotated[Path, AfterValidator(program)] | None = Field(
        default=None,
        description="Where it is; without it, `piper` on the path.",
        examples=["/opt/piper/bin/piper"],
    )
    voices: Annotated[tuple[Annotated[Path, AfterValidator(existing_folder)], ...], BeforeValidator(listed)] = Field(
        default=(),
        description='Folders with voices, as "/usr/share/piper": a NAME.onnx and a NAME.onnx.json for each.',
    )


class RouteSettings(Section):
    """Where a call goes whose address is like `match`: to a room, or to Rayo clients. The first route that matches is
    taken; a call that none matches goes to the room which has the called address. This table may be given any number
    of times."""

    match: str = Field(
        min_length=1,
        max_length=1023,
        description="The part of the called address before the @, with * for any characters, ? for one, and [...] for "
        "one of several.",
        examples=["support-*"],
    )
    conference: str | None = Field(default=None, description="The room that such calls come to.", examples=["tea"])
    clients: Annotated[tuple[Annotated[str, AfterValidator(any_jid)], ...], BeforeValidator(listed)] = Field(
        default=(),
        description="Accounts, single clients or whole domains of Rayo clients that such calls are offered to. Not "
        "together with `conference`; without either, such calls come to the room that has the called address.",
        examples=[["agents@example.org", "night@example.org"]],
    )
    distribution: Literal["simultaneous", "staged"] = Field(
        default="simultaneous",
        description="Whether all of `clients` are offered the call at once, or one after the other, in this order.",
    )
    timeout: float = Field(
        default=20.0,
        ge=0.1,
        le=300,
        description="Seconds in which a client must take the call: in each stage, if they are staged.",
    )

    fax: bool = Field(
        default=False,
        description="Whether such calls are answered with G.711 (PCMU or PCMA) where the caller offers that, as a fax "
        "wants it, and with Opus only where not.",
    )

    @field_validator("conference")
    @classmethod
    def _room(cls, value: str | None) -> str | None:
        try:
            return None if value is None else mixer_name(value)
        except ValueError:
            raise ValueError("must be the name of a room: the part of its address before the @") from None

    @field_validator("clients")
    @classmethod
    def _one_of_both(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and info.data.get("conference") is not None:
            raise ValueError("cannot be given together with conference")
        return value


class LogSettings(Section):
    """Logs, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")
    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or one JSON object per line."
    )
