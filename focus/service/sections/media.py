"""The section [media] of the configuration: where audio goes, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from focus.service.sections.section import Section
from focus.service.values import ip_or_auto, is_ip, listed, public_address


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
