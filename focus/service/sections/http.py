"""The section [http] of the configuration: the meeting page."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from focus.service.sections.section import Section
from focus.service.values import Address, Domain, Listen, Origins, address_of, is_here, page_url, websocket_url


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
        validate_default=True,
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
        description="Other web sites whose pages may have the meeting in them, and use the websocket.",
    )
    frame_ancestors: Origins = Field(
        default=(), description="Other web sites that may show the page in a frame; '*' is every one."
    )

    @field_validator("websocket")
    @classmethod
    def _leads_elsewhere(cls, websocket: str, info: ValidationInfo) -> str:
        to, listen = address_of(websocket), info.data.get("listen")
        if listen and info.data.get("enabled") and is_here(to.host) and to.meets(listen):
            raise ValueError(f"leads back to the page, which listens on {listen}")
        return websocket
