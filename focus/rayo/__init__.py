"""A Rayo server (XEP-0327) whose calls are Jingle sessions: actors that own their tasks, commands in, events out."""
