"""Call progress analysis: which signals are wanted, and the signal that was heard (XEP-0341 section 4).

It is an `<input/>` with the mode "cpa", whose grammars name the signals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Final, Self
from urllib.parse import unquote

from pydantic import StringConstraints
from pydantic_xml import attr

from focus.wire.base import Token
from focus.wire.conditions import BadRequest, OptionNotSupported
from focus.wire.rayo import Event
from focus.wire.rayo_component import Milliseconds, Reason
from focus.wire.rayo_input import Grammar

CPA: Final = "urn:xmpp:rayo:cpa:1"

#: All signals that there are (section 4.3).
NAMES: Final = (
    "beep", "dtmf", "vad", "speech", "fax-ced", "fax-cng", "ring", "busy", "congestion", "sit", "modem", "offhook",
)  # fmt: skip
SignalType = Annotated[str, StringConstraints(pattern=rf"^urn:xmpp:rayo:cpa:({'|'.join(NAMES)}):1$")]

_URI = re.compile(r"urn:xmpp:rayo:cpa:(?P<name>[^:?]+):(?P<version>[^:?]+)(?:\?(?P<query>.*))?", re.DOTALL)


class Signal(Event, Reason, tag="signal", ns="", nsmap={"": CPA}):
    """What was heard: an event, or why the component has ended. `duration` is in milliseconds; `value` is the key, the
    frequency of a beep in hertz, or human, machine or notsure."""

    type: SignalType = attr()
    duration: Milliseconds | None = attr(default=None)
    value: Token | None = attr(default=None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A signal that a grammar asks for (section 4.1), by its name alone."""

    name: str
    terminate: bool = False
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return f"urn:xmpp:rayo:cpa:{self.name}:1"

    @classmethod
    def read(cls, grammar: Grammar) -> Self:
        """What a grammar means.

        Raises `BadRequest` for what is no reference to a signal, and `OptionNotSupported` for one that is not known.
        """
        if grammar.url is None:
            raise BadRequest("the grammars of mode='cpa' are URIs of signals")
        found = _URI.fullmatch(grammar.url.strip())
        if found is None:
            raise BadRequest(
                f"{grammar.url[:100]!r} is not urn:xmpp:rayo:cpa:…:1, which is what mode='cpa' listens for"
            )
        if found["name"] not in NAMES or found["version"] != "1":
            raise OptionNotSupported(f"there is no signal {found['name'][:40]}:{found['version'][:40]}")
        parameters: dict[str, str] = {}
        for parameter in filter(None, re.split("[;&]", found["query"] or "")):
            name, equals, value = map(unquote, parameter.partition("="))
            if not equals or not name or name in parameters:
                raise BadRequest(f"{parameter[:100]!r} is not a parameter with a value, or is there twice")
            parameters[name] = value
        terminate = parameters.pop("terminate", "false").lower()
        if terminate not in ("true", "false"):
            raise BadRequest(f"terminate is true or false, not {terminate[:20]!r}")
        return cls(found["name"], terminate == "true", parameters)
