"""The card of a model: README.md beside its weights, with the block of metadata that model hubs read."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from liftnet.core.files import write_text
from liftnet.core.tables import markdown_table

CARD = "README.md"
WIDTH = 110


@dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        title: Of the page.
        licence: Of the weights, as model hubs name it.
        tags: As model hubs have them.
        parts: Paragraphs, tables and headings below the title, in Markdown.
    """

    title: str
    licence: str
    tags: Sequence[str]
    parts: Sequence[str]

    def write(self, folder: Path) -> Path:
        """Write the card into a model's folder, atomically; returns its path.

        Raises:
            LiftnetError: The folder cannot be written.
        """
        block = {"license": self.licence, "library_name": "liftnet", "tags": list(self.tags)}
        head = f"---\n{yaml.safe_dump(block, sort_keys=False)}---"
        text = "\n\n".join([head, f"# {self.title}", *filter(None, self.parts)])
        write_text(folder / CARD, text + "\n")
        return folder / CARD


def paragraph(text: str) -> str:
    """Text in lines of one width, whatever its own line breaks."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table; numbers that are not whole with four digits."""
    return markdown_table(
        pd.DataFrame(rows).map(lambda value: f"{value:.4f}" if isinstance(value, float) else str(value))
    )


def settings_table(settings: Mapping[str, Any]) -> str:
    """A Markdown table of a tree of settings by their dotted names.

    >>> print(settings_table({"train": {"iterations": 10}, "points": 5}))
    | setting | value |
    | --- | --- |
    | train.iterations | 10 |
    | points | 5 |
    """
    return table([{"setting": name, "value": str(value)} for name, value in _flat(settings).items()])


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return flat
