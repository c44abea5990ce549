"""The section [[comfort]] of the configuration, and what becomes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from focus.conference.comfort import NAME, TEXTS, Action, Comfort
from focus.engines.espeak import Espeak
from focus.engines.synthesizer import EngineMissing, SynthesisError
from focus.media.files import FORMATS, AudioFileError, read_audio
from focus.service.sections.section import Section
from focus.service.values import absolute, existing_folder, listed
from focus.wire.dtmf import KEYS
from focus.wire.jid import JID

#: What an entry and an exit sound like, where nothing else is wanted.
TONES = {"entry": Path(__file__).parent / "sounds" / "entry.wav", "exit": Path(__file__).parent / "sounds" / "exit.wav"}
#: Sounds of one folder.
MAX_SOUNDS = 100
#: Keys for one thing to do.
MAX_KEYS = 8

_PLACE = re.compile(r"\{(\w+)\}")


def telephone_keys(value: str) -> str:
    """Keys of a telephone, or nothing. Raises ValueError."""
    if len(value) > MAX_KEYS or not set(value.upper()) <= set(KEYS):
        raise ValueError(f"must be keys of a telephone, such as *6, {MAX_KEYS} at most; or empty")
    return value.upper()


def sound(path: Path) -> Path:
    """The absolute path of a file with sound in it. Raises ValueError."""
    if not absolute(path).is_file():
        raise ValueError(f"{path} is not a file" if path.exists() else f"{path} is not there")
    try:
        has_sound = next(read_audio(path, formats=FORMATS), None) is not None
    except (AudioFileError, OSError) as error:
        raise ValueError(f"{path} cannot be played: {error}") from None
    if not has_sound:
        raise ValueError(f"there is no sound in {path}")
    return path


def sounds_in(folder: Path) -> Path:
    """The same of a folder of such files. Raises ValueError, also where there is none, or are too many."""
    found = list(islice(_files(existing_folder(folder)), MAX_SOUNDS + 1))
    if not found:
        raise ValueError(f"there are no sounds in {folder}")
    if len(found) > MAX_SOUNDS:
        raise ValueError(f"there are more than {MAX_SOUNDS} sounds in {folder}")
    try:
        for path in found:
            sound(path)
    except ValueError as error:
        raise ValueError(f"{error}; there must be nothing but sounds") from None
    return folder


def named_sounds_in(folder: Path) -> Path:
    """The same, by whose names they are told apart. Raises ValueError."""
    names = [path.stem for path in _files(sounds_in(folder))]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"there are several sounds with the name {twice} in {folder}")
    return folder


def sound_or_folder(path: Path) -> Path:
    """A sound, or a folder of sounds. Raises ValueError."""
    return sounds_in(path) if absolute(path).is_dir() else sound(path)


def passage(value: str) -> str:
    """What is heard when somebody comes or goes. Raises ValueError."""
    if value in ("none", "tone", NAME):
        return value
    if not value.startswith("/"):
        raise ValueError("must be 'none', 'tone', 'name', or the absolute path of a sound")
    return str(sound(Path(value)))


def known_texts(value: dict[str, str]) -> dict[str, str]:
    """Raises ValueError where one is not known, or has a place for what is not known."""
    for name, text in value.items():
        if name not in TEXTS:
            raise ValueError(f"has {name!r}, which is no text; there are {', '.join(TEXTS)}")
        if unknown := set(_PLACE.findall(text)) - set(_PLACE.findall(TEXTS[name])):
            raise ValueError(f"has {{{unknown.pop()}}} in {name!r}, where nothing is put")
    return value


class ComfortSettings(Section):
    """What callers of rooms can do by the keys of a telephone, and what they hear. Each room has the first of these
    tables that its name matches; without any, nothing of this. This table may be given any number of times."""

    rooms: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        default=("*",),
        min_length=1,
        description="The rooms: parts of their addresses before the @, or whole addresses of those elsewhere, with * "
        "for any characters; '*' is all.",
    )
    keys: bool = Field(default=True, description="Whether callers do the following by keys. What has no keys is not.")
    mute: Annotated[str, AfterValidator(telephone_keys)] = Field(
        default="*6", description="Mute oneself, and be heard again."
    )
    hand: Annotated[str, AfterValidator(telephone_keys)] = Field(
        default="*9", description="Raise one's hand, which all are shown, and lower it."
    )
    quieter: Annotated[str, AfterValidator(telephone_keys)] = Field(
        default="*7", description="Hear others more quietly."
    )
    louder: Annotated[str, AfterValidator(telephone_keys)] = Field(default="*8", description="Hear others louder.")
    count: Annotated[str, AfterValidator(telephone_keys)] = Field(
        default="*2", description="Be told how many are here."
    )
    help: Annotated[str, AfterValidator(telephone_keys)] = Field(default="*1", description="Be told these keys.")
    leave: Annotated[str, AfterValidator(telephone_keys)] = Field(default="*3", description="Leave.")
    music: Annotated[Path, AfterValidator(sound_or_folder)] | None = Field(
        default=None,
        description="What somebody hears who is alone: a sound, or a folder of sounds.",
        examples=["/usr/share/sounds/focus/music.ogg"],
    )
    music_after: float = Field(default=5.0, ge=0, le=3600, description="After how many seconds.")
    entry: Annotated[str, AfterValidator(passage)] = Field(
        default="none",
        description="What all hear when somebody comes: 'none', a 'tone', the 'name', or the path of a sound.",
    )
    exit: Annotated[str, AfterValidator(passage)] = Field(default="none", description="The same when somebody goes.")
    tones_up_to: int = Field(
        default=20, ge=1, le=10_000, description="Of more people than that is not heard who comes and goes."
    )
    notices: bool = Field(
        default=True, description="Whether somebody is told that a moderator has muted them, or lets them speak again."
    )
    recordings: bool = Field(
        default=True, description="Whether all are told that the room is being recorded, also who comes later."
    )
    sounds: Annotated[Path, AfterValidator(named_sounds_in)] | None = Field(
        default=None,
        description="A folder of sounds that moderators can have played to all, beside what they have said.",
        examples=["/usr/share/sounds/focus/announcements"],
    )
    texts: Annotated[dict[str, str], AfterValidator(known_texts)] = Field(
        default={},
        description="What is said instead of the English texts, by their names (docs/rooms.md).",
        examples=[{"muted": "Sie sind stumm.", "count": "Es sind {count} Leute hier."}],
    )
    voice: str | None = Field(
        default=None,
        max_length=100,
        description="The voice of espeak-ng; by default the best one for the language.",
        examples=["en-us"],
    )
    language: str = Field(
        default="en", min_length=1, max_length=35, validate_default=True, description="The language of the texts."
    )

    @field_validator(*Action)
    @classmethod
    def _once(cls, value: str, info: ValidationInfo) -> str:
        given = {name: known for name, known in info.data.items() if name in set(Action)}
        same = next((name for name, known in given.items() if known == value and value), None)
        if same is not None:
            raise ValueError(f"is the same as {same}")
        return value

    @field_validator("voice")
    @classmethod
    def _speaks(cls, voice: str | None) -> str | None:
        """Where nothing can be said, no faults of single words need be looked for."""
        if voice:
            _check_voice(voice, "")
        return voice

    @field_validator("language")
    @classmethod
    def _is_spoken(cls, language: str, info: ValidationInfo) -> str:
        if info.data.get("voice", language) is None:
            _check_voice(None, language)
        return language

    @property
    def _keys(self) -> dict[Action, str]:
        wanted = {action: getattr(self, action) for action in Action} if self.keys else {}
        return {action: keys for action, keys in wanted.items() if keys}

    def comfort(self) -> Comfort:
        return Comfort(
            keys=self._keys,
            music=_uris(self.music),
            music_after=self.music_after,
            entry=_passage("entry", self.entry),
            exit=_passage("exit", self.exit),
            tones_up_to=self.tones_up_to,
            notices=self.notices,
            recordings=self.recordings,
            sounds={path.stem: path.as_uri() for path in _files(self.sounds)} if self.sounds is not None else {},
            language=self.language,
            voice=self.voice,
            texts=self.texts,
        )

    def is_for(self, room: JID, service: str) -> bool:
        """`service`: whose rooms have short names."""
        short = room.local if room.domain == service else ""
        return any(
            pattern == "*" or fnmatchcase(str(room) if "@" in pattern else short, pattern.lower())
            for pattern in self.rooms
        )


def comforts(tables: Iterable[ComfortSettings], service: str) -> Callable[[JID], Comfort | None]:
    """What each room has; `service` is the one of ours."""
    known = [(table, table.comfort()) for table in tables]
    return lambda room: next((comfort for table, comfort in known if table.is_for(room, service)), None)


def sound_files(tables: Iterable[ComfortSettings]) -> list[Path]:
    """The files that are played: not their folders, in which there may be others, now or later."""
    found: list[Path] = []
    for table in tables:
        for path in (table.music, table.sounds):
            if path is not None:
                found += _files(path) if path.is_dir() else [path]
        for name, value in (("entry", table.entry), ("exit", table.exit)):
            found += [TONES[name]] if value == "tone" else [Path(value)] if value.startswith("/") else []
    return found


def _check_voice(voice: str | None, language: str) -> None:
    """Raises ValueError where there is none."""
    with ThreadPoolExecutor(1) as thread:  # there may be a loop at work here
        choosing = thread.submit(lambda: asyncio.run(Espeak().choose(voice, language)))
        try:
            choosing.result()
        except EngineMissing as error:
            raise ValueError(f"nothing can be said: {error} (apt-get install espeak-ng)") from None
        except SynthesisError as error:
            raise ValueError(f"cannot be spoken with: {error}") from None


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _uris(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    return tuple(each.as_uri() for each in (_files(path) if path.is_dir() else [path]))


def _passage(name: str, value: str) -> str:
    if value in ("none", NAME):
        return value.removeprefix("none")
    return (TONES[name] if value == "tone" else Path(value)).as_uri()
