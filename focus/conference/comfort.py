"""What makes a conference pleasant for those who only hear it: what keys do there, and what is said; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from xml.sax.saxutils import escape, quoteattr

from focus.wire.rayo_input import Grammar
from focus.wire.rayo_output import Document, Output
from focus.wire.session import Keypad

#: In the place of the sound at an entry, or an exit: the name of whoever it is.
NAME = "name"
#: Milliseconds for the next key of several.
INTER_DIGIT_TIMEOUT = 3_000


class Action(StrEnum):
    """What a caller can do by keys."""

    MUTE = "mute"
    HAND = "hand"
    QUIETER = "quieter"
    LOUDER = "louder"
    COUNT = "count"
    HELP = "help"
    LEAVE = "leave"


#: What is said, in English. In braces is what is put there.
TEXTS: Mapping[str, str] = {
    "welcome": "",
    "muted": "You are muted.",
    "unmuted": "You can be heard again.",
    "not_muted": "Your telephone cannot be muted by its keys.",
    "muted_by_moderator": "A moderator has muted you.",
    "unmuted_by_moderator": "A moderator lets you speak.",
    "hand_raised": "Your hand is raised.",
    "hand_lowered": "Your hand is lowered.",
    "quieter": "Quieter.",
    "louder": "Louder.",
    "alone": "You are alone here.",
    "count": "There are {count} people here.",
    "goodbye": "Goodbye.",
    "joined": "{name} has joined.",
    "left": "{name} has left.",
    "many_joined": "{count} people have joined.",
    "many_left": "{count} people have left.",
    "recording_begun": "This conference is being recorded.",
    "recording_ended": "This conference is no longer recorded.",
    "help_mute": "To mute yourself, or to be heard again, press {keys}.",
    "help_hand": "To raise or lower your hand, press {keys}.",
    "help_quieter": "To hear others more quietly, press {keys}.",
    "help_louder": "To hear others louder, press {keys}.",
    "help_count": "To be told how many are here, press {keys}.",
    "help_help": "To hear this again, press {keys}.",
    "help_leave": "To leave, press {keys}.",
    "star": "star",
    "hash": "hash",
}


@dataclass(frozen=True, slots=True)
class Comfort:
    """Of one room. `keys`: what is done by which; none, and nobody listens for keys. `music`: URIs of what who is alone
    hears `music_after` seconds of that. `entry`, `exit`: the URI of a sound, or `NAME`, or nothing, while no more than
    `tones_up_to` are here; `rest` seconds after word of who has come and gone there is none: it is kept, and told of
    together. `notices`: whether somebody is told what a moderator has done to them. `recordings`: whether
    all are told that they are recorded. `sounds`: URIs of what a moderator can have played, by name. `texts`: in the
    place of those of `TEXTS`.
    """

    keys: Mapping[Action, str] = field(default_factory=dict)
    music: tuple[str, ...] = ()
    music_after: float = 5.0
    entry: str = ""
    exit: str = ""
    tones_up_to: int = 20
    rest: float = 3.0
    notices: bool = True
    recordings: bool = True
    sounds: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    voice: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)

    def text(self, which: str, /, **values: object) -> str:
        text = self.texts.get(which, TEXTS[which])
        for key, value in values.items():
            text = text.replace(f"{{{key}}}", str(value))
        return text

    def help(self) -> str:
        """What can be done by which keys."""
        return " ".join(self.text(f"help_{action}", keys=self._spoken(keys)) for action, keys in self.keys.items())

    def _spoken(self, keys: str) -> str:
        names = {"*": self.text("star"), "#": self.text("hash")}
        return " ".join(names.get(key, key) for key in keys)

    def speech(self, text: str) -> Document:
        ssml = (
            '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
            f"xml:lang={quoteattr(self.language)}>{escape(text)}</speak>"
        )
        return Document(content_type="application/ssml+xml", body=ssml)

    def output(self, *documents: Document, max_time: float) -> Output:
        """`max_time` in seconds."""
        return Output(documents=documents, voice=self.voice, max_time=round(max_time * 1000))

    def keypad(self) -> Keypad:
        """The keys, of which there must be some; the instance of a match is the action."""
        items = "".join(f"<item>{' '.join(keys)}<tag>{action}</tag></item>" for action, keys in self.keys.items())
        grammar = (
            '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="keys" '
            f'tag-format="semantics/1.0-literals"><rule id="keys"><one-of>{items}</one-of></rule></grammar>'
        )
        return Keypad(
            mode="dtmf",
            inter_digit_timeout=INTER_DIGIT_TIMEOUT,
            grammars=(Grammar(content_type="application/srgs+xml", body=grammar),),
        )


def sounds(*uris: str) -> Document:
    """That are played one after another."""
    return Document(content_type="text/uri-list", body="\n".join(uris))
