"""Configuration: a TOML file, over it the environment (`FOCUS_SECTION__KEY`), secrets also from files of their own.

What can be configured is in `sections`, and the example file (config_text.py) is written from that.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from focus.service.comfort import ComfortSettings
from focus.service.faxing import FaxSettings
from focus.service.ready import ExitCode, ServiceError
from focus.service.sections.components import FetchSettings, PiperSettings, RecordingSettings, SpeechSettings
from focus.service.sections.conference import ConferenceSettings, RingingSettings, RoomSettings, SummoningSettings
from focus.service.sections.http import HttpSettings
from focus.service.sections.limits import LimitsSettings
from focus.service.sections.media import MediaSettings
from focus.service.sections.monitoring import LogSettings, MetricsSettings
from focus.service.sections.rayo import RayoSettings, RouteSettings
from focus.service.sections.section import Section
from focus.service.sections.xmpp import XmppSettings
from focus.service.values import Address

PREFIX = "FOCUS_"
#: Of a variable and an option, for one to be meant by the other. All begin with PREFIX, so it is much.
LIKENESS = 0.8


class ConfigurationError(ServiceError):
    """What is wrong with the configuration: one line per fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults), ExitCode.CONFIGURATION)
        self.faults = faults


class Settings(BaseModel):
    """Everything that can be configured."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    xmpp: XmppSettings
    media: MediaSettings = MediaSettings()
    http: HttpSettings = Field(default=HttpSettings(), validate_default=True)
    metrics: MetricsSettings = Field(default=MetricsSettings(), validate_default=True)
    conference: ConferenceSettings = ConferenceSettings()
    summoning: SummoningSettings = SummoningSettings()
    ringing: RingingSettings = RingingSettings()
    rooms: tuple[RoomSettings, ...] = ()
    comfort: tuple[ComfortSettings, ...] = ()
    rayo: RayoSettings = RayoSettings()
    limits: LimitsSettings = LimitsSettings()
    fetch: FetchSettings = FetchSettings()
    recordings: RecordingSettings = RecordingSettings()
    speech: SpeechSettings = SpeechSettings()
    piper: PiperSettings = PiperSettings()
    fax: FaxSettings = FaxSettings()
    routes: tuple[RouteSettings, ...] = ()
    log: LogSettings = LogSettings()

    @field_validator("http")
    @classmethod
    def _others(cls, http: HttpSettings, info: ValidationInfo) -> HttpSettings:
        if "xmpp" in info.data:
            xmpp: XmppSettings = info.data["xmpp"]
            used = Settings.model_construct(xmpp=xmpp, http=http)
            for key, given, value in (("domain", http.domain, used.domain), ("guests", http.guests, used.guests)):
                is_one_label = key == "domain" and not given and value == xmpp.jid
                if value in (xmpp.jid, xmpp.muc) and not is_one_label:
                    got = "got" if given else "the default is"
                    raise ValueError(f"{key} must be another domain than jid and muc of [xmpp] ({got} {value!r})")
        return http

    @field_validator("metrics")
    @classmethod
    def _apart(cls, metrics: MetricsSettings, info: ValidationInfo) -> MetricsSettings:
        http = info.data.get("http")
        if http and http.enabled and metrics.enabled and metrics.listen.meets(http.listen):
            raise ValueError(f"cannot listen on {metrics.listen}, as [http] listens on {http.listen}")
        return metrics

    @field_validator("rooms")
    @classmethod
    def _once(cls, rooms: tuple[RoomSettings, ...], info: ValidationInfo) -> tuple[RoomSettings, ...]:
        if "xmpp" in info.data:
            named = [room.name.removesuffix(f"@{info.data['xmpp'].muc}") for room in rooms]
            for name in named:
                if named.count(name) > 1:
                    raise ValueError(f"{name} is given more than once")
        return rooms

    @field_validator("comfort")
    @classmethod
    def _reached(cls, tables: tuple[ComfortSettings, ...]) -> tuple[ComfortSettings, ...]:
        for number, table in enumerate(tables[:-1], 1):
            if "*" in table.rooms:
                raise ValueError(f"table {number} is for all rooms, so that those behind it are never reached")
        return tables

    @property
    def domain(self) -> str:
        """The people's XMPP domain."""
        return self.http.domain or self.xmpp.jid.partition(".")[2] or self.xmpp.jid

    @property
    def guests(self) -> str:
        """The host for anonymous logins of the page."""
        return self.http.guests or f"guest.{self.domain}"


class _WithEnvironment(Settings, BaseSettings):
    """Settings whose fields the environment may give; it wins over what the constructor is given."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        enable_decoding=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


# --- loading ----------------------------------------------------------------------------------------------------------


def load(file: Path) -> Settings:
    """Read file and environment. Raises ConfigurationError with one line for each fault."""
    try:
        document = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigurationError([f"{file}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{file}: is not TOML: {error}"]) from None
    faults = [
        f"{file}: {name}: is outside of any section; known sections are {_sections()}"
        for name, value in document.items()
        if not isinstance(value, dict) and not _is_repeated(name, value)
    ]
    if faults:
        raise ConfigurationError(faults)
    faults = _of_no_section()
    try:
        loaded = _WithEnvironment.of(document)
    except ValidationError as error:
        raise ConfigurationError(faults + [_fault(file, details) for details in error.errors()]) from None
    if faults:
        raise ConfigurationError(faults)
    return Settings(**{section: getattr(loaded, section) for section in Settings.model_fields})


def _of_no_section() -> list[str]:
    """A line for each variable `FOCUS_SECTION__KEY` where there is no such section; those of others have been read."""
    return [
        f"environment: {name}: is not a known option{_nearest(name)}"
        for name, section, delimiter in _variables()
        if delimiter and section not in Settings.model_fields
    ]


def unread() -> list[str]:
    """A line for each variable that would be an option but for its underscores. It is no fault, as other programs have
    names of their own: to FOCUS_MEDIA_PORT Kubernetes gives the address of a service focus-media."""
    options = {option.replace("_", ""): option for option in _options()}
    return [
        f"environment: {name}: is not read; is it {option}?"
        for name, _, delimiter in _variables()
        if not delimiter
        and (option := options.get(name.upper().replace("_", "")))
        and not os.environ[name].startswith(("tcp://", "udp://"))
    ]


def _variables() -> list[tuple[str, str, str]]:
    """Those of the environment that begin like ours and say something, with their section and what is behind it."""
    names = sorted(name for name, value in os.environ.items() if name.upper().startswith(PREFIX) and value)
    return [(name, *name.lower().removeprefix(PREFIX.lower()).partition("__")[:2]) for name in names]


def _nearest(variable: str) -> str:
    """In words, the option that it is much like, where there is one."""
    close = difflib.get_close_matches(variable.upper(), _options(), n=1, cutoff=LIKENESS)
    return f"; is it {close[0]}?" if close else ""


def _options() -> list[str]:
    """What the environment may give, as it is written there."""
    sections = {name: section_model(name) for name in Settings.model_fields}
    return [
        f"{PREFIX}{section}__{key}".upper()
        for section, (model, repeated) in sections.items()
        for key in model.model_fields
        if not repeated
    ]


def _is_repeated(name: str, value: object) -> bool:
    """Whether this is a section that is given as often as one likes: `[[name]]`."""
    tables = isinstance(value, list) and all(isinstance(each, dict) for each in value)
    return tables and name in Settings.model_fields and section_model(name)[1]


def section_model(name: str) -> tuple[type[Section], bool]:
    """The model of the section `name`, and whether it may be repeated."""
    annotation = Settings.model_fields[name].annotation
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, False
    model: type[Section] = get_args(annotation)[0]
    return model, True


def _sections() -> str:
    names = {name: section_model(name)[1] for name in Settings.model_fields}
    return ", ".join(f"[[{name}]]" if repeated else f"[{name}]" for name, repeated in names.items())


# pydantic's words for its checks are about types; these are about what to write instead.
_WORDS = {
    "missing": "must be given",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text in quotes",
    "path_type": "must be a file name in quotes",
    "tuple_type": "must be a list",
    "greater_than": "must be more than {gt:.15g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "less_than_equal": "must be at most {le:.15g}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be one of {expected}",
}
_SECRET = {("xmpp", "secret")}


def _fault(file: Path, details: ErrorDetails) -> str:
    """One line: where, what is wrong, what was given."""
    location = details["loc"]
    section = str(location[0]) if location else ""
    number = f" {location[1] + 1}" if len(location) > 1 and isinstance(location[1], int) else ""
    keys = location[2:] if number else location[1:]
    key = str(keys[0]) if keys else ""
    variable = f"{PREFIX}{section}__{key}".upper()
    is_known = section in Settings.model_fields
    is_repeated = is_known and section_model(section)[1]
    given = [name for name, of, _ in _variables() if of == section]
    where = f"{file}: {f'[[{section}]]' if is_repeated else f'[{section}]'}{number}{f' {key}' if key else ''}"
    if key and variable in map(str.upper, given):
        where = f"environment: {variable}"
    elif is_known and not is_repeated and not key and (whole := f"{PREFIX}{section}".upper()) in map(str.upper, given):
        return f"environment: {whole}: is a section; its keys are {whole}__KEY"
    elif is_repeated and not key and details["type"] == "tuple_type":
        if given:
            return f"environment: {', '.join(given)}: [[{section}]] can only be given in the file"
        return f"{file}: [{section}]: must be written [[{section}]], as there may be several"
    return f"{where}: {_words(details, section, key)}"


def _words(details: ErrorDetails, section: str, key: str) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = list(Settings.model_fields)
        if key:
            known = list(section_model(section)[0].model_fields)
        close = difflib.get_close_matches(key or section, known, n=1)
        return f"is not a known {'key' if key else 'section'}" + (f"; is it {close[0]!r}?" if close else "")
    if kind == "missing":
        return "must be given" if key else "this section must be given"
    words = str(context["error"]) if kind == "value_error" else _WORDS.get(kind, details["msg"]).format(**context)
    if (section, key) in _SECRET or not key:
        return words
    return f"{words} (got {_shown(details['input'])})"


def _shown(value: object) -> str:
    text = repr(str(value)) if isinstance(value, Path | Address) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
