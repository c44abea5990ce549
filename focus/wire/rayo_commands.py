"""Every command of Rayo that a client may send, by its element."""

from __future__ import annotations

from focus.wire import rayo
from focus.wire.rayo import Command
from focus.wire.rayo_component import Stop
from focus.wire.rayo_fax import FAX_COMMANDS
from focus.wire.rayo_input import INPUT_COMMANDS
from focus.wire.rayo_output import OUTPUT_COMMANDS
from focus.wire.rayo_prompt import PROMPT_COMMANDS
from focus.wire.rayo_record import RECORD_COMMANDS

_COMPONENTS: tuple[type[Command], ...] = (
    Stop, *OUTPUT_COMMANDS, *INPUT_COMMANDS, *PROMPT_COMMANDS, *RECORD_COMMANDS, *FAX_COMMANDS,
)  # fmt: skip
COMMANDS: dict[str, type[Command]] = rayo.COMMANDS | {kind.qualified_tag(): kind for kind in _COMPONENTS}
