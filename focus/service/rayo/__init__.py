"""`focus rayo`: command a Rayo service from the terminal, as any client does (docs/rayo.md)."""
