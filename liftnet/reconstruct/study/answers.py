"""The answers that people have sent: which files can be used, and whose answers count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from liftnet.core.documents import parse_json
from liftnet.core.errors import LiftnetError
from liftnet.core.opening import read_bytes
from liftnet.data.codes import Code
from liftnet.reconstruct.study.order import Letter, showings
from liftnet.reconstruct.study.plan import Key, Plan, Stored

LARGEST_FILE = 2**20  # bytes; a page of 500 questions writes a tenth of it


class Answer(Stored):
    """One choice: the question, the shape chosen, how both stood on the page, and the time in ms."""

    trial: str
    chosen: Letter
    left: Letter
    views_swapped: bool
    ms: int = Field(ge=0)


class AnswerFile(Stored):
    """What a page saves.

    Attributes:
        version: Of this form.
        study: Name and hash of the study.
        participant: The person's random number.
        returns: How often the page was opened again.
        answers: In the order in which they were given.
        simulated: Whether no person has given them; the page never says so.
    """

    version: Literal[1]
    study: str
    participant: int = Field(ge=0, lt=2**32)
    returns: int = Field(0, ge=0)
    answers: list[Answer]
    simulated: bool = False


class Outcome(Code):
    """What became of a file of answers, in the order in which it is asked."""

    COUNTED = "counted", "counted"
    DAMAGED = "damaged", "it is no file of answers"
    OTHER_STUDY = "other_study", "it is of another study"
    OUT_OF_ORDER = "out_of_order", "its answers do not follow the order that its number gives"
    DOUBLED = "doubled", "another file with this number has more answers, or is the same"
    INCOMPLETE = "incomplete", "too few questions answered"
    CHECKS = "checks", "too few check questions right"
    TOO_FAST = "too_fast", "the median time is too short"
    ONE_SIDE = "one_side", "nearly always the same side"


SET_ASIDE = (Outcome.DAMAGED, Outcome.OTHER_STUDY, Outcome.OUT_OF_ORDER, Outcome.DOUBLED)
"""Files that are no participant; all other outcomes but COUNTED are participants who are excluded."""


@dataclass(frozen=True)
class Participation:
    """A file of answers and what became of it.

    Attributes:
        file: Its name.
        outcome: Whether it counts, or why not.
        given: What it holds; None where it is damaged.
        checks_right: Share of the answered checks that are right; NaN where there are none.
    """

    file: str
    outcome: Outcome
    given: AnswerFile | None = None
    checks_right: float = float("nan")

    @property
    def answers(self) -> list[Answer]:
        """What it holds; nothing where it is damaged."""
        return self.given.answers if self.given else []

    @cached_property
    def median_s(self) -> float:
        """Median time of an answer, seconds; NaN without answers."""
        times = [answer.ms for answer in self.answers]
        return float(np.median(times)) / 1000 if times else float("nan")

    @cached_property
    def left_share(self) -> float:
        """Share of answers on the left; NaN without answers."""
        sides = [answer.chosen == answer.left for answer in self.answers]
        return float(np.mean(sides)) if sides else float("nan")


def read_participations(folder: Path, plan: Plan, key: Key) -> list[Participation]:
    """All files of answers in a folder (*.json), by name, each with its outcome by the rules of the plan.

    Raises:
        LiftnetError: There is no such folder or no file in it.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.is_file())
    if not paths:
        raise LiftnetError(folder, "there is no file of answers (*.json)", "Put there what the participants sent")
    return judged([_read(path, plan) for path in paths], plan, key)


def judged(found: Iterable[Participation], plan: Plan, key: Key) -> list[Participation]:
    """The same with their outcomes: doubled ones and those that the plan's rules exclude."""
    files = list(found)
    kept: dict[int, str] = {}
    for one in sorted(files, key=lambda one: -len(one.answers)):  # stable, so of equals the first
        if one.outcome is Outcome.COUNTED and one.given:
            kept.setdefault(one.given.participant, one.file)
    return [one if one.outcome is not Outcome.COUNTED else _by_the_rules(one, kept, plan, key) for one in files]


def accepted(given: AnswerFile, name: str, plan: Plan) -> Participation:
    """A file of answers, set aside where it cannot have come from the plan's page."""
    if given.study != plan.study:
        return Participation(name, Outcome.OTHER_STUDY, given)
    order = showings(plan.trials, given.participant, plan.page_seed)
    shown = [(one.trial, one.left, one.views_swapped) for one in order]
    answered = [(one.trial, one.left, one.views_swapped) for one in given.answers]
    fits = answered == shown[: len(answered)]
    return Participation(name, Outcome.COUNTED if fits else Outcome.OUT_OF_ORDER, given)


def _read(path: Path, plan: Plan) -> Participation:
    try:
        if path.stat().st_size > LARGEST_FILE:
            return Participation(path.name, Outcome.DAMAGED)
        given = AnswerFile.model_validate(parse_json(read_bytes(path)))
    except (OSError, ValueError):  # pydantic's error is a ValueError
        return Participation(path.name, Outcome.DAMAGED)
    return accepted(given, path.name, plan)


def _by_the_rules(one: Participation, kept: dict[int, str], plan: Plan, key: Key) -> Participation:
    """The outcome of a usable file by the plan's rules, the first that applies; `kept` is the file of each number."""
    rules, checks = plan.exclusion, [answer for answer in one.answers if key.trials[answer.trial].check]
    right = [key.trials[answer.trial].meaning(answer.chosen) == "truth" for answer in checks]
    share_right = float(np.mean(right)) if right else float("nan")
    outcome = Outcome.COUNTED
    if one.given and kept[one.given.participant] != one.file:
        outcome = Outcome.DOUBLED
    elif len(one.answers) < rules.answered * len(plan.trials):
        outcome = Outcome.INCOMPLETE
    elif plan.checks and not share_right >= rules.checks_right - 1e-9:
        outcome = Outcome.CHECKS
    elif not one.median_s >= rules.least_median_s:
        outcome = Outcome.TOO_FAST
    elif max(one.left_share, 1 - one.left_share) > rules.most_one_side:
        outcome = Outcome.ONE_SIDE
    return replace(one, outcome=outcome, checks_right=share_right)
