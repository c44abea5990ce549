"""The sections [conference], [summoning], [ringing] and [[rooms]] of the configuration: rooms, and who comes there."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from focus.rayo.addresses import mixer_name
from focus.service.sections.section import Section
from focus.service.values import Account, account_or_all, bare_jid, listed, room_or_service, tel_uri


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
