"""Clients of an XMPP server: imports `focus.wire` and slixmpp, nothing of the service."""
