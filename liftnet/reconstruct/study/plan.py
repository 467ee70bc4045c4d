"""What is written down before a study begins: the plan, for everybody, and the key, for whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json
from liftnet.reconstruct.study.order import Letter
from liftnet.reconstruct.study.settings import ExclusionSettings

StudyName = Literal["ps1", "ps2"]
"""The two studies of the DR-KFS paper: items drawn from all, and from the best."""
Meaning = Literal["original", "drkfs", "truth", "other"]
"""What a shape of a question is: of the two models, or, in a check, the truth and the truth of another class."""
WORDS: Mapping[StudyName, str] = {"ps1": "PS-1", "ps2": "PS-2"}


class Stored(BaseModel):
    """A file of a study: frozen, nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


StoredType = TypeVar("StoredType", bound=Stored)


class PlannedItem(Stored):
    """A picture that is asked about; not under which name on the page, which only the key says.

    Attributes:
        item: Name of the item.
        shape: Name of its shape.
        class_name: Class of the shape.
        network: The network that made both reconstructions.
        sha256: Of the files of picture, truth, original and DR-KFS; without a model that gave nothing.
    """

    item: str
    shape: str
    class_name: str
    network: str
    sha256: dict[str, str]


class Plan(Stored):
    """What is stated before anybody has answered.

    Attributes:
        version: Of this form.
        study: Name of the study and 12 hex digits of the SHA-256 of all that its page shows: in every answer.
        name: Which of the two studies.
        made_by: Version of liftnet.
        seed: Of the choice of items and of their names on the page.
        page_seed: Of the order of questions and sides, together with a participant's number.
        participants: How many people are to answer; the answers are looked at once, when they have.
        selection: How the items were chosen, in words.
        chosen_from: How many items they were chosen from.
        items: What is asked.
        checks: Names of the shapes that checks are about.
        trials: Names of the questions on the page, in its order.
        exclusion: Whose answers are not counted.
        exclusion_words: The same in words.
        page_sha256: Of the page.
    """

    version: Literal[1] = 1
    study: str
    name: StudyName
    made_by: str
    seed: int
    page_seed: int = Field(ge=0, lt=2**32)
    participants: int
    selection: str
    chosen_from: int
    items: list[PlannedItem]
    checks: list[str]
    trials: list[str]
    exclusion: ExclusionSettings
    exclusion_words: list[str]
    page_sha256: str


class Question(Stored):
    """What a question of the page is.

    Attributes:
        item: Name of the item, or of the shape that a check is about.
        shape: Name of its shape.
        class_name: Class of the shape.
        network: The network, "" in a check.
        a: What the shape a is.
        b: What the shape b is.
    """

    item: str
    shape: str
    class_name: str
    network: str
    a: Meaning
    b: Meaning

    @property
    def check(self) -> bool:
        """Whether it has a right answer."""
        return "truth" in (self.a, self.b)

    def meaning(self, letter: Letter) -> Meaning:
        """What was chosen."""
        return self.a if letter == "a" else self.b

    def letter(self, meaning: Meaning) -> Letter:
        """Which of its shapes is this one."""
        return "a" if self.a == meaning else "b"


class Key(Stored):
    """Which shape is which: {name of the question on the page: what it is}. Never in the page nor in the plan."""

    version: Literal[1] = 1
    study: str
    trials: dict[str, Question]


def read_stored(path: Path, kind: type[StoredType]) -> StoredType:
    """A file of a study.

    Raises:
        LiftnetError: It is missing, no JSON, or something else.
    """
    found = read_json(path)
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        reason = f"is no {kind.__name__.lower()} of a study ({where}: {first['msg']})"
        raise LiftnetError(path, reason, "Name the file that `reconstruct study build` has written") from error


def read_plan(plan: Path, key: Path) -> tuple[Plan, Key]:
    """A plan and its key.

    Raises:
        LiftnetError: One of them cannot be used, or they are of different studies.
    """
    planned, meanings = read_stored(plan, Plan), read_stored(key, Key)
    if planned.study != meanings.study:
        raise LiftnetError(key, f"is the key of {meanings.study}, not of {planned.study}", "Name files of one study")
    if sorted(planned.trials) != sorted(meanings.trials):
        raise LiftnetError(key, f"names other questions than {plan}", "Name files of one study")
    return planned, meanings


def exclusion_words(rules: ExclusionSettings) -> list[str]:
    """The rules as the plan states them."""
    return [
        f"Fewer than {rules.answered:.0%} of the questions answered.",
        f"Fewer than {rules.checks_right:.0%} of the answered check questions right, or none answered.",
        f"The median time of the answers is below {rules.least_median_s:g} s.",
        f"More than {rules.most_one_side:.0%} of the answers on one side of the page.",
        "A file that is damaged, of another study, or does not follow the order that its number gives.",
        "Of several files with one number, all but the one with the most answers (the first by name of equals).",
    ]
