"""What the service faxes with (XEP-0342): its section of the configuration, and the engine where there is one."""

from __future__ import annotations

import logging

from pydantic import Field, field_validator

from focus.engines.fax import EngineMissing, FaxError, identity_of
from focus.engines.spandsp.fax import check_engine
from focus.engines.spandsp.isolation import IsolatedFax
from focus.rayo.faxes import FaxMachine
from focus.service.sections.section import Section

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

    @field_validator("identity")
    @classmethod
    def _identity(cls, value: str | None) -> str | None:
        try:
            return None if value is None else identity_of(value)
        except FaxError as error:
            raise ValueError(str(error)) from None


def fax_machine(settings: FaxSettings) -> FaxMachine | None:
    """None where there is no engine, which is logged."""
    try:
        check_engine()
    except EngineMissing as error:
        log.info("nothing is faxed: %s", error)
        return None
    engine = IsolatedFax(timezone=settings.timezone or "", ecm=settings.ecm)
    return FaxMachine(engine, identity=settings.identity or "")
