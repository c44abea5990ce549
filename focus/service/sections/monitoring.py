"""The sections [metrics] and [log] of the configuration: what those who run focus see of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from focus.service.sections.section import Section
from focus.service.values import Address, Listen


class MetricsSettings(Section):
    """Health and figures, on a listener of their own: /healthz, /readyz, /metrics (Prometheus)."""

    enabled: bool = Field(default=True, description="Whether to serve them at all.")
    listen: Listen = Field(default=Address("127.0.0.1", 9110), description="Where to serve them. They hold no secrets.")


class LogSettings(Section):
    """Logs, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")
    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or one JSON object per line."
    )
