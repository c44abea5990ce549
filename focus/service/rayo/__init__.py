"""`focus rayo`: command a Rayo service from the terminal, as any client does (docs/rayo.md)."""

from focus.service.rayo.cli import app

__all__ = ["app"]
