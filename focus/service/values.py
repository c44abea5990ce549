"""What the values of the configuration are: addresses, JIDs, lists, origins, and how each is refused."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, NamedTuple, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from focus.wire.jid import JID

#: Every address that this machine has of a version of IP.
EVERY_HOST = frozenset({"0.0.0.0", "::"})


class Address(NamedTuple):
    """Where to listen or connect."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`HOST:PORT`, the host an IP address or a name, IPv6 in brackets. Raises ValueError."""
        match = re.fullmatch(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\s]+)):(?P<port>[0-9]{1,5})", text)
        if match is None or int(match["port"]) > 65535:
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
        if match["v6"] is not None and not is_ip(match["v6"]):
            raise ValueError("must have an IPv6 address between the brackets")
        return cls(match["v6"] or match["host"], int(match["port"]))

    def meets(self, other: Address) -> bool:
        """Whether only one of two can listen, where both are addresses of this machine; a name is what it is written
        like, but for localhost. Port 0 is always another."""
        ours, theirs = _host(self.host), _host(other.host)
        if self.port != other.port or self.port == 0:
            return False
        return ours == theirs or ((":" in ours) == (":" in theirs) and not {ours, theirs}.isdisjoint(EVERY_HOST))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _host(text: str) -> str:
    text = text.lower()
    if text == "localhost":
        return "127.0.0.1"
    return str(ipaddress.ip_address(text)) if is_ip(text) else text


def is_ip(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_here(host: str) -> bool:
    """Whether this IP address or name can only be that of this machine."""
    host = _host(host)
    return is_ip(host) and ipaddress.ip_address(host).is_loopback


def is_global(text: str) -> bool:
    """Whether this IP address means the same everywhere."""
    return ipaddress.ip_address(text).is_global


def address(value: object) -> object:
    return Address.parse(value) if isinstance(value, str) else value


def domain_name(value: str) -> str:
    """The domain in lower case. Raises ValueError."""
    if not re.fullmatch(r"[^\s@/\"'<>&]+", value) or len(value.encode()) > 1023:
        raise ValueError("must be a domain, such as focus.example.org")
    return value.lower()


def bare_jid(value: str) -> str:
    """The JID in lower case. Raises ValueError if it is none, or has a resource."""
    try:
        jid = JID.parse(value)
    except ValueError:
        raise ValueError("must be a JID, such as romeo@example.org") from None
    if jid.resource or re.search(r"\s", value):
        raise ValueError("must be a JID without a resource, such as romeo@example.org")
    if re.search(r"[\"&'/:<>@]", jid.local) or re.search(r"[\"'<>&]", jid.domain):
        raise ValueError("must be a JID, such as romeo@example.org")
    return value.lower()


def account(value: str) -> str:
    """The same of somebody, not of a whole domain. Raises ValueError."""
    if "@" not in value:
        raise ValueError("must be an account, such as romeo@example.org")
    return bare_jid(value)


def room_or_service(value: str) -> str:
    """The JID of a room, or of a chat service. Raises ValueError."""
    if "@" not in value and ("." not in value or "*" in value):
        raise ValueError("must be a room, such as tea@rooms.example.net, or a chat service, such as rooms.example.net")
    return bare_jid(value)


def any_jid(value: str) -> str:
    """The JID with its bare part in lower case. Raises ValueError if it is none."""
    bare, slash, resource = value.partition("/")
    return bare_jid(bare) + slash + resource


def account_or_all(value: str) -> str:
    """The same, or '*'. Raises ValueError."""
    return value if value == "*" else bare_jid(value)


def typed(value: object, kind: object) -> object:
    """A number is no truth value, and no truth value a number; from the environment they are texts. Raises
    PydanticCustomError."""
    if kind is bool and not isinstance(value, bool) and str(value).lower() not in ("true", "false"):
        raise PydanticCustomError("bool_type", "must be true or false")
    number = {int, float} & {kind, *get_args(kind)}
    if number and isinstance(value, bool):
        raise PydanticCustomError("int_type" if int in number else "float_type", "must be a number")
    return value


def listed(value: object) -> object:
    """Lists may be written with commas, which is how they come from the environment."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def public_address(value: str) -> str:
    """An IP address that callers can be given, or the name of one. Raises ValueError."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        if not _is_name(value) or "." not in value:
            raise ValueError("must be an IP address, or a name such as meet.example.org") from None
        if _ends_in_digits(value):
            raise ValueError("is no IP address, and no name either") from None
        return value
    if address.is_unspecified or address.is_multicast or address.is_link_local or "%" in value:
        raise ValueError("must be an address by which callers reach this machine")
    return str(address)


def host_or_network(value: str) -> str:
    """The name of a host, an IP address, or a network of them. Raises ValueError."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        if not _is_name(value) or _ends_in_digits(value):
            words = "must be a name, an address or a network, such as 10.0.5.0/24, without scheme and port"
            raise ValueError(words) from None
    return value


def _is_name(value: str) -> bool:
    """Whether this can be the name of a host."""
    return all(re.fullmatch(r"(?!-)[\w-]{1,63}(?<!-)", label) for label in value.removesuffix(".").split("."))


def _ends_in_digits(value: str) -> bool:
    """Whether it looks like an IPv4 address."""
    return value.removesuffix(".").rpartition(".")[2].isdigit()


def absolute(value: Path) -> Path:
    """A path that means the same wherever focus is started. Raises ValueError."""
    if not value.is_absolute():
        raise ValueError("must be an absolute path")
    return value


def possible_folder(value: Path) -> Path:
    """The absolute path of a folder. Raises ValueError where something else is there."""
    if absolute(value).exists() and not value.is_dir():
        raise ValueError("is not a folder")
    return value


def existing_folder(value: Path) -> Path:
    """The same, of one that is there. Raises ValueError."""
    if not absolute(value).is_dir():
        raise ValueError("is not a folder" if value.exists() else "is not there")
    return value


def program(value: Path) -> Path:
    """The absolute path of a program. Raises ValueError where there is none that can be executed."""
    if not absolute(value).is_file():
        raise ValueError("is not a program" if value.exists() else "is not there")
    if not os.access(value, os.X_OK):
        raise ValueError("cannot be executed")
    return value


def ip_or_auto(value: str) -> str:
    if value != "auto" and not is_ip(value):
        raise ValueError("must be 'auto' or an IP address of this machine")
    return value


def websocket_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("must be a ws:// or wss:// URL")
    return value


def address_of(url: str) -> Address:
    """Where this ws:// or wss:// URL leads. Raises ValueError where its port is none."""
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80))


def page_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an https:// or http:// URL without query and fragment")
    return value.rstrip("/")


def tel_uri(value: str) -> str:
    """A global number in the writing of RFC 3966 section 3, with parameters perhaps."""
    if not re.fullmatch(
        r"tel:\+[0-9().-]*[0-9][0-9().-]*(;[A-Za-z0-9-]+(=[\w.!~*'()\[\]/:&+$%-]+)?)*", value, re.ASCII
    ):
        raise ValueError("must be like tel:+49-30-123456")
    return value


def origin(value: str) -> str:
    if value == "*":
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("must be '*' or an origin such as https://www.example.org")
    return value.rstrip("/").lower()


Domain = Annotated[str, AfterValidator(domain_name)]
BareJID = Annotated[str, AfterValidator(bare_jid)]
Account = Annotated[str, AfterValidator(account)]
Program = Annotated[Path, AfterValidator(program)]
Listen = Annotated[Address, BeforeValidator(address)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(origin)], ...], BeforeValidator(listed)]
