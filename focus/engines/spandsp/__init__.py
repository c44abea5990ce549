"""Signals and faxes with libspandsp: `library` loads it, every other module declares what it calls of it."""
