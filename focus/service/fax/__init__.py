"""`focus fax`: send and receive faxes from the terminal, as any Rayo client does (docs/rayo.md)."""
