"""The sections [fetch], [recordings], [speech] and [piper] of the configuration: what components work with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from focus.service.sections.section import Section
from focus.service.values import Program, existing_folder, host_or_network, listed, possible_folder


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
    hook: Program | None = Field(
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

    program: Program | None = Field(
        default=None,
        description="Where it is; without it, `piper` on the path.",
        examples=["/opt/piper/bin/piper"],
    )
    voices: Annotated[tuple[Annotated[Path, AfterValidator(existing_folder)], ...], BeforeValidator(listed)] = Field(
        default=(),
        description='Folders with voices, as "/usr/share/piper": a NAME.onnx and a NAME.onnx.json for each.',
    )
