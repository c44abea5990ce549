"""The section [limits] of the configuration."""

from __future__ import annotations

from pydantic import Field

from focus.service.sections.section import Section


class LimitsSettings(Section):
    """How much there may be at once. What is too much is refused with resource-constraint, callers as busy."""

    calls: int = Field(default=1000, ge=0, le=100_000, description="Calls, overall.")
    calls_of_caller: int = Field(
        default=20, ge=1, le=100_000, description="Calls that one account, or one occupant of a room, makes to us."
    )
    calls_of_client: int = Field(
        default=500, ge=0, le=100_000, description="Calls that the Rayo clients of one account control."
    )
    mixers: int = Field(default=1000, ge=0, le=100_000, description="Mixers, overall; each room in use has one.")
    mixers_of_client: int = Field(
        default=500, ge=0, le=100_000, description="Mixers that the calls of one account's Rayo clients are in."
    )
    joins: int = Field(default=10_000, ge=0, le=100_000, description="Joins of a call or mixer with another, overall.")
    joins_of_client: int = Field(
        default=5_000,
        ge=0,
        le=100_000,
        description="Joins of the calls of one account's Rayo clients, and of its mixers with each other.",
    )
    components: int = Field(
        default=2_000, ge=0, le=100_000, description="Components (output, input, record and so on), overall."
    )
    components_of_one: int = Field(
        default=32, ge=0, le=100_000, description="Components at work on one call or mixer at the same time."
    )
    registrations: int = Field(default=2_000, ge=0, le=100_000, description="Rayo clients that are registered.")
    registrations_of_client: int = Field(
        default=1_000, ge=0, le=100_000, description="Rayo clients of one account that are registered."
    )
    events: int = Field(
        default=1_000,
        ge=0,
        le=100_000,
        description="Events for one Rayo client that are kept while the XMPP server cannot be reached. With one more, "
        "all are forgotten, and the client has to register again.",
    )
    events_timeout: float = Field(
        default=60.0,
        ge=1,
        le=86_400,
        description="Seconds for which they are kept when the XMPP server is back and the client is not.",
    )
    subscriptions: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Subscriptions to the presence of mixers that are remembered. With more, who has the most loses "
        "its oldest.",
    )
    subscriptions_of_client: int = Field(default=1_000, ge=1, le=100_000, description="The same, of one account.")
    summoned: int = Field(
        default=100, ge=0, le=100_000, description="Rooms that focus has been invited to, and in which nobody calls."
    )
    summoned_of_account: int = Field(
        default=10,
        ge=0,
        le=100_000,
        description="The same, by one account, or by all guests together. Calling a room brings focus there all the "
        "same.",
    )
    load: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="Share of its time in which a thread for audio may be at work, or wait for a processor core, "
        "before calls, and components of Rayo clients, that it would have to carry are refused; 1 refuses none. Above "
        "0.7 audio is encoded a little worse, which takes less.",
    )
    dial_timeout: float = Field(
        default=60.0,
        ge=1,
        le=3_600,
        description="Seconds in which a call that a Rayo client makes must be answered, if it does not say how many.",
    )
