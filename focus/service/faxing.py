"""What the service faxes with (XEP-0342): its section of the configuration, and the engine where there is one."""

from __future__ import annotations

import logging
import re

from pydantic import Field, field_validator

from focus.engines.documents import Limits, Preparation
from focus.engines.fax import EngineMissing, FaxError
from focus.engines.spandsp.isolation import NEEDS, IsolatedFax, check_isolation
from focus.rayo.faxes import FaxMachine, clear_workplaces
from focus.service.sections.section import Section
from focus.wire.rayo_fax import telephone_number

_TIME = r"[+-]?[0-9]{1,3}(:[0-9]{2}){0,2}"
_DAY = rf",(M[0-9]{{1,2}}\.[1-5]\.[0-6]|J?[0-9]{{1,3}})(/{_TIME})?"
_ZONE = re.compile(rf"[A-Za-z]{{3,}}{_TIME}([A-Za-z]{{3,}}({_TIME})?({_DAY}{_DAY})?)?")

log = logging.getLogger(__name__)


class FaxSettings(Section):
    """Faxes over calls, by Rayo's `<sendfax/>` and `<receivefax/>` (XEP-0342), where libspandsp is installed. What is
    received goes where recordings go."""

    identity: str | None = Field(
        default=None,
        description="The telephone number by which focus is known to other fax machines, if no document says another.",
        examples=["+390458077500"],
    )
    timezone: str | None = Field(
        default=None,
        description="The time zone of the time above pages that have a header, as POSIX has it in TZ; by default that "
        "of this machine.",
        examples=["CET-1CEST,M3.5.0,M10.5.0/3"],
    )
    ecm: bool = Field(
        default=True,
        description="Whether errors are corrected. Without, more faxes get through over a network that loses much, and "
        "some rows of their pages are damaged.",
    )

    longest: float = Field(
        default=7200.0,
        ge=60,
        le=86_400,
        description="Seconds that a fax may take. Then it ends, with the pages that there are.",
    )
    pages: int = Field(default=500, ge=1, le=5_000, description="Pages of a fax that is sent.")
    max_size: int = Field(
        default=200_000_000,
        ge=1_000,
        le=10_000_000_000,
        description="Bytes of the documents of a fax that is sent, all together; of each, [fetch] max_size.",
    )
    preparation: float = Field(
        default=240.0,
        ge=1,
        le=280,  # `focus.client` waits for 300
        description="Seconds in which documents must have been fetched and made into a fax. Meanwhile the machine that "
        "was called waits, most for 35 s.",
    )

    @field_validator("identity")
    @classmethod
    def _identity(cls, value: str | None) -> str | None:
        return None if value is None else telephone_number(value)

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        """libspandsp takes what it does not understand for UTC."""
        if value is not None and not _ZONE.fullmatch(value):
            raise ValueError("must be as in POSIX' TZ, such as CET-1CEST,M3.5.0,M10.5.0/3; not a place's name")
        return value


def fax_machine(settings: FaxSettings) -> FaxMachine | None:
    """None where there is no engine that works here, which is logged. It is not tried again later: clients ask once
    what the service can do."""
    try:
        check_isolation()
    except EngineMissing as error:
        log.info("nothing is faxed until libspandsp2 is installed and focus is started again: %s", error)
        return None
    except FaxError as error:
        log.error("nothing is faxed until focus is started again: %s (%s)", error, NEEDS)
        return None
    clear_workplaces()
    engine = IsolatedFax(timezone=settings.timezone or "", ecm=settings.ecm)
    return FaxMachine(
        engine,
        Preparation(Limits(pages=settings.pages)),
        identity=settings.identity or "",
        patience=settings.preparation,
        most=settings.max_size,
        longest=settings.longest,
    )
