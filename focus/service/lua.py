"""Lua, as far as configuration files need it."""

from __future__ import annotations

from pathlib import Path


def quoted(text: str | Path) -> str:
    """The text as a Lua string."""
    escaped = "".join(
        f"\\{byte:03d}" if byte < 32 or byte > 126 or byte in b'"\\' else chr(byte) for byte in str(text).encode()
    )
    return f'"{escaped}"'
