"""Jingle: invitations (XEP-0353), sessions (XEP-0166) and what the two sides agree on (XEP-0167, 0176, 0320)."""
