"""Who `focus rayo` is: options and the environment first, then a file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import typer

from focus.client.credentials import FIELDS, PREFIX, Credentials
from focus.service.ready import ExitCode, ServiceError


def credentials(said: Mapping[str, str | None], file: Path | None) -> Credentials:
    """What is `said`, by `FIELDS`, the password also by the environment, and what `file` (by default `default_file`, if
    there is one) adds to it. A password and a file with one stand for each other: that which is said first counts.

    Raises `ServiceError`, and `typer.BadParameter` where something is missing or wrong.
    """
    read = file if file is not None else default_file()
    known = _read(read, is_wanted=file is not None)
    environment = {name: os.environ.get(PREFIX + name.upper()) for name in ("password", "password_file")}
    for level in (environment, said):
        if level.get("password_file") and not level.get("password"):
            known.pop("password", None)
        known |= {name: value for name, value in level.items() if value}
    try:
        return Credentials.read(known, called=_option)
    except ValueError as error:
        missing = "password" if known.get("account") else "account"
        where = f"; {PREFIX}{missing.upper()} or {read} can say it, too" if " is missing" in str(error) else ""
        raise typer.BadParameter(f"{error}{where}") from None


def default_file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "focus" / "rayo.toml"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read(file: Path, *, is_wanted: bool) -> dict[str, str]:
    try:
        said = tomllib.loads(file.read_text())
    except FileNotFoundError:
        if not is_wanted:
            return {}
        raise ServiceError(f"{file}: there is no such file", ExitCode.CONFIGURATION) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise ServiceError(f"{file}: {text}", ExitCode.CONFIGURATION) from None
    known = {}
    for name, value in said.items():
        is_text = isinstance(value, str) or (name == "insecure" and isinstance(value, bool))
        if name not in FIELDS or not is_text:
            problem = "must be a text" if name in FIELDS else f"is unknown; there are {', '.join(FIELDS)}"
            raise ServiceError(f"{file}: {name} {problem}", ExitCode.CONFIGURATION)
        known[name] = str(value).lower() if isinstance(value, bool) else value
    return known
