"""Who a Rayo client is, and where: as words, from the environment or a file."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from focus.client.connection import Account
from focus.client.parties import address_of
from focus.wire.jid import JID

#: What may be said, by name: `server` is HOST:PORT.
FIELDS = ("account", "password", "password_file", "service", "server", "ca_file", "insecure")
PREFIX = "FOCUS_RAYO_"

_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no")


@dataclass(frozen=True)
class Credentials:
    """An account with a password, and a service."""

    account: Account
    service: JID

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """From `FOCUS_RAYO_ACCOUNT` and so on. Raises ValueError."""
        said = {name: environment.get(PREFIX + name.upper(), "") for name in FIELDS}
        return cls.read(said, called=lambda name: PREFIX + name.upper())

    @classmethod
    def read(cls, said: Mapping[str, str], *, called: Callable[[str], str] = str) -> Self:
        """From `FIELDS`, where what is empty is not said. Raises ValueError, with the field as it is `called`."""
        if not (text := said.get("account")):
            raise ValueError(f"{called('account')} is missing: who to be, such as operator@example.org")
        account = _jid(called("account"), text)
        if not account.local:
            raise ValueError(f"{called('account')} must be NAME@DOMAIN, not {text!r}")
        password = said.get("password") or _from_file(called("password_file"), said.get("password_file"))
        if not password:
            raise ValueError(f"{called('password')} or {called('password_file')} is missing, for {account.bare}")
        service = _jid(called("service"), said.get("service") or f"focus.{account.domain}")
        if service.local or service.resource:
            raise ValueError(f"{called('service')} must be a domain, not {str(service)!r}")
        server = _address(called("server"), said.get("server"))
        if (insecure := said.get("insecure", "").lower()) not in (*_YES, *_NO):
            raise ValueError(f"{called('insecure')} must be yes or no, not {insecure!r}")
        ca_file = Path(said["ca_file"]) if said.get("ca_file") else None
        trusted = insecure in _YES or (server is not None and ca_file is None and _is_this_machine(server[0]))
        return cls(Account(account, password, server, ca_file, trusted), service)


def _jid(name: str, text: str) -> JID:
    try:
        return Account(address_of(text)).jid
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _from_file(name: str, path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text().rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"{name} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name} {path}: it is not UTF-8") from None


def _address(name: str, text: str | None) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{name} must be HOST:PORT, not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_this_machine(host: str) -> bool:
    """Whether nobody can be between us and `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
