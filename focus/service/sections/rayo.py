"""The sections [rayo] and [[routes]] of the configuration: Rayo clients, and the calls that they are given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from focus.rayo.addresses import mixer_name
from focus.service.sections.section import Section
from focus.service.values import BareJID, any_jid, listed


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
        "wants it, and with Opus only where not. Calls that clients make to or from an address like this, on whatever "
        "server, are offered G.711 first.",
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
