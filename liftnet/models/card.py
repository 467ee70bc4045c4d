"""The card of a model: README.md beside its weights, with the block of metadata that model hubs read.

Every kind of model has the same sections in the same order; each fills in what it knows of itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from liftnet.core.files import write_text
from liftnet.core.settings import Settings
from liftnet.core.tables import markdown_table

CARD = "README.md"
WIDTH = 110


@dataclass(frozen=True)
class Card:
    """What a card says; texts are Markdown, and a section without text is left out.

    Attributes:
        title: Of the page.
        licence: Of the weights, as model hubs name it.
        tags: As model hubs have them.
        summary: What the model is.
        usage: How to use it.
        data: What it was trained on.
        training: How it was trained.
        evaluation: How well it does, and on what.
        limits: What it is not for.
        settings: A tree of the settings of its training, if they are to be listed.
        defaults: The same by default, to be shown beside values that differ.
        weights: Of what licence, how stored, and their SHA-256.
        front: What the metadata says besides.
    """

    title: str
    licence: str
    tags: Sequence[str]
    summary: str = ""
    usage: str = ""
    data: str = ""
    training: str = ""
    evaluation: str = ""
    limits: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    defaults: Settings | None = None
    weights: str = ""
    front: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the card into a model's folder, atomically; returns its path.

        Raises:
            LiftnetError: The folder cannot be written.
        """
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("liftnet.models", "."), undefined=StrictUndefined, trim_blocks=True
        )
        text = environment.get_template("card.md.j2").render(
            title=self.title,
            front=yaml.safe_dump(self._metadata(), sort_keys=False),
            summary=self.summary.strip(),
            sections=[(heading, body.strip()) for heading, body in self._sections() if body.strip()],
        )
        write_text(folder / CARD, text.rstrip("\n") + "\n")
        return folder / CARD

    def _metadata(self) -> dict[str, Any]:
        block: dict[str, Any] = {"license": self.licence, "library_name": "liftnet", "tags": list(self.tags)}
        if self.licence == "other":
            block["license_name"] = "as-its-trainer-says"
        return block | dict(self.front)

    def _sections(self) -> Iterator[tuple[str, str]]:
        yield "How to use it", self.usage
        yield "Data", self.data
        yield "Training", self.training
        yield "Evaluation", self.evaluation
        yield "Limits", self.limits
        yield "Settings", settings_table(self.settings, self.defaults) if self.settings else ""
        yield "Licence", self.weights


def paragraph(text: str) -> str:
    """Text in lines of one width, whatever its own line breaks."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table; numbers that are not whole with four digits."""
    return markdown_table(
        pd.DataFrame(rows).map(lambda value: f"{value:.4f}" if isinstance(value, float) else str(value))
    )


def settings_table(settings: Mapping[str, Any], defaults: Settings | None = None) -> str:
    """A Markdown table of a tree of settings by their dotted names.

    Args:
        settings: The tree.
        defaults: The same by default; given, the default of a value that differs is in a third column.

    >>> print(settings_table({"train": {"iterations": 10}, "points": 5}))
    | setting | value |
    | --- | --- |
    | `train.iterations` | 10 |
    | `points` | 5 |
    """
    flat = _flat(settings)
    table = pd.DataFrame({"setting": [f"`{name}`" for name in flat], "value": list(flat.values())})
    if defaults is None:
        return markdown_table(table)
    usual = _flat(defaults.model_dump(mode="json"))
    table["default"] = ["" if usual.get(name) == value else usual.get(name, "") for name, value in flat.items()]
    return f"The default is given where a value differs from it.\n\n{markdown_table(table)}"


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in settings.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{above}{name}.") if inner else {above + name: "null" if value is None else str(value)}
    return flat
