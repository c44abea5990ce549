"""What the configuration wants, and the machine does not have: said by `focus config check`, and at the start."""

from __future__ import annotations

import importlib.util
import shutil

from focus.engines.fax import EngineMissing, FaxError
from focus.engines.piper import PROGRAM
from focus.engines.spandsp.isolation import NEEDS, check_isolation
from focus.service.config import Settings


def missing(settings: Settings) -> list[str]:
    """A line for each, with what to install. What nobody has written into the configuration is not missed."""
    lines = []
    wanted = {"[fax]": settings.fax.model_fields_set, "[[routes]]": any(route.fax for route in settings.routes)}
    if where := ", ".join(section for section, is_wanted in wanted.items() if is_wanted):
        try:
            check_isolation()
        except EngineMissing as error:
            lines.append(f"{where}: nothing can be faxed (apt-get install libspandsp2): {error}")
        except FaxError as error:
            lines.append(f"{where}: nothing can be faxed: {error} ({NEEDS}, when focus starts)")
        if without := _not_installed("PIL", "pypdfium2"):
            lines.append(f"{where}: not all documents can be faxed without {without} (focus-conference[fax])")
    speech = settings.speech
    if speech.model_fields_set and speech.processes and (without := _not_installed("pocketsphinx", "webrtcvad")):
        lines.append(f"[speech]: no speech is recognized without {without} (focus-conference[speech])")
    if settings.piper.voices and settings.piper.program is None and shutil.which(PROGRAM) is None:
        lines.append(f"[piper]: {PROGRAM} is not on the path; say as program where it is (pip install piper-tts)")
    return lines


def _not_installed(*modules: str) -> str:
    return " and ".join(module for module in modules if importlib.util.find_spec(module) is None)
