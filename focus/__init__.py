"""focus: a conference focus for XMPP."""

__version__ = "0.1.0"
