"""A Jingle phone for the terminal, and for programs: how operators, tests and benchmarks make a participant."""

from focus.service.phone.phone import Answering, Phone, Settings

__all__ = ["Answering", "Phone", "Settings"]
