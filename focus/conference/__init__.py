"""The conference application: rooms, participants, the roster and its documents; a Rayo client in the same process."""
