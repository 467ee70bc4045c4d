"""A funnel: what each step of the pipeline left of its input, and why the rest went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

UNACCOUNTED = "not accounted for: the files disagree"


NOT_AGAIN = "not found again by the second search"
SECOND_SEARCH = "found by the second search"


class Chain:
    """Steps of one unit, from the first count on.

    In each step, what it leaves and what it loses add up to what the step before left and what it gains.

    Args:
        about: Columns that all rows of the chain share, such as its unit.
    """

    def __init__(self, **about: str) -> None:
        self.rows: list[dict[str, object]] = []
        self._about = about
        self._left: int | None = None

    def step(
        self,
        name: str,
        left: float,
        lost: Mapping[str, float] | None = None,
        gained: Mapping[str, float] | None = None,
    ) -> None:
        """Add a step.

        Whatever `left`, `lost` and `gained` do not explain gets a row of its own, so that nothing is hidden.
        """
        left = int(left)
        more = {source: int(count) for source, count in sorted((gained or {}).items()) if count}
        reasons = {reason: int(count) for reason, count in sorted((lost or {}).items()) if count}
        if self._left is not None and (gap := self._left + sum(more.values()) - left - sum(reasons.values())):
            reasons[UNACCOUNTED] = gap
        self.rows += [self._row(name, "lost", reason, count) for reason, count in reasons.items()]
        self.rows += [self._row(name, "gained", source, count) for source, count in more.items()]
        self.rows.append(self._row(name, "remaining", "", left))
        self._left = left

    def _row(self, step: str, outcome: str, reason: str, count: int) -> dict[str, object]:
        return {**self._about, "step": step, "outcome": outcome, "reason": reason, "count": count}


def funnel_table(chains: Iterable[Chain], about: Sequence[str]) -> pd.DataFrame:
    """The rows of all chains.

    Args:
        chains: In their order.
        about: The columns that say which chain a row is of.

    Returns:
        A tidy frame: the columns `about`, then step, outcome (remaining, lost, gained), reason (of a loss, a gain)
        and count.
    """
    rows = [row for chain in chains for row in chain.rows]
    return pd.DataFrame(rows, columns=[*about, "step", "outcome", "reason", "count"])
