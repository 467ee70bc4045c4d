"""Acceptance criteria: which claims of a paper hold, by what a run left. Each paper's tests are in its own package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from liftnet.core.tables import markdown_table
from liftnet.experiments.plan import Criterion

CriterionType = TypeVar("CriterionType", bound=Criterion)
HOLDS, IN_PART, FAILS = "holds", "in part", "does not hold"


@dataclass(frozen=True)
class Finding:
    """What a criterion came to.

    Attributes:
        ours: Our figures in words.
        verdict: Whether the claim holds.
        data: On what data; empty where the page says it elsewhere.
    """

    ours: str
    verdict: str
    data: str = ""


NOT_RUN = Finding("not run", "")


def verdict_of_all(parts: Sequence[bool]) -> str:
    """Whether something holds in all parts, in some or in none."""
    return HOLDS if all(parts) else IN_PART if any(parts) else FAILS


def criteria_table(criteria: Sequence[CriterionType], find: Callable[[CriterionType], Finding], data: bool) -> str:
    """The criteria as Markdown, one row each.

    Args:
        criteria: Of a plan.
        find: What each came to.
        data: Whether a column says on what data.
    """
    rows = []
    for criterion in criteria:
        found = find(criterion)
        on = {"on": found.data} if data else {}
        ours = {"claim": criterion.claim, "paper": criterion.paper, "ours": found.ours}
        rows.append(ours | on | {"holds?": found.verdict, "why": criterion.why})
    return markdown_table(pd.DataFrame(rows))
