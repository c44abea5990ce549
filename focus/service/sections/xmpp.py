"""The section [xmpp] of the configuration: the server that focus is a component of."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from focus.service.sections.section import Section
from focus.service.values import Domain


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

    @field_validator("muc")
    @classmethod
    def _another(cls, muc: str, info: ValidationInfo) -> str:
        if muc == info.data.get("jid"):
            raise ValueError("must be another domain than jid")
        return muc
