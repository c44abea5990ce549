"""The XMPP side of the service: the component's stream, rooms, discovery and presence, and what binds them together."""
