"""What the legs of a plane have counted, all together, for those who look at the whole (Prometheus)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from mixer_ext import LegStatistics

Counted = Literal["received", "sent", "late", "concealed", "recovered", "dtmf_received", "dtmf_sent"]

#: What is summed up, of `mixer_ext.LegStatistics`.
COUNTED: tuple[Counted, ...] = get_args(Counted)


class Totals:
    """Sums that only grow: legs that have left stay in them."""

    def __init__(self) -> None:
        self._left = dict.fromkeys(COUNTED, 0)

    def left(self, stats: LegStatistics) -> None:
        """A leg leaves, with these."""
        for name in COUNTED:
            self._left[name] += stats[name]

    def figures(self, present: Iterable[LegStatistics]) -> dict[str, int]:
        """With the legs that there are: packets and keys, and how many legs are sent FEC because they lose packets."""
        each = list(present)
        sums = {f"legs_{name}": self._left[name] + sum(stats[name] for stats in each) for name in COUNTED}
        return sums | {"legs_losing": sum(stats["sends_fec"] for stats in each)}
