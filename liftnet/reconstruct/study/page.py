"""The page that asks: one HTML file that loads nothing from anywhere and sends nothing to anyone."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from liftnet.core.text import seen

LOCKED_MS = 300  # after a question is shown, during which no answer is taken: nobody has seen it yet
SECONDS_A_QUESTION = 8  # for the page to say how long it takes


@dataclass(frozen=True)
class PageTrial:
    """The pictures of a question as data URIs: the object, and two views of each shape, first that of the picture."""

    picture: str
    a: tuple[str, ...]
    b: tuple[str, ...]


@dataclass(frozen=True)
class PageContent:
    """All that a page shows and says.

    Attributes:
        name: Which study.
        seed: Of the order of questions and sides, together with the participant's number.
        trials: The questions.
        practice: One with a right answer, which is "a".
        title: Headline.
        contact: Who runs the study.
    """

    name: str
    seed: int
    trials: list[PageTrial]
    practice: PageTrial
    title: str
    contact: str

    @property
    def names(self) -> list[str]:
        """Names of the questions: they say nothing of what is asked."""
        return [f"t{number + 1:02d}" for number in range(len(self.trials))]

    @cached_property
    def study(self) -> str:
        """Name of the study and 12 hex digits of the SHA-256 of all that its page shows and asks."""
        return f"{self.name}-{hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]}"


def page_text(content: PageContent) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("liftnet.reconstruct", "study"),
        autoescape=True,
        finalize=seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _resource("page.css"), _resource("order.js") + _resource("page.js")
    return environment.get_template("page.html.j2").render(
        content=content,
        study=_json_block(_for_script(content)),
        minutes=max(1, round(len(content.trials) * SECONDS_A_QUESTION / 60)),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _for_script(content: PageContent) -> dict[str, Any]:
    trials = [{"name": name, **asdict(trial)} for name, trial in zip(content.names, content.trials, strict=True)]
    about = {"id": content.study, "seed": content.seed, "locked_ms": LOCKED_MS}
    return {**about, "trials": trials, "practice": asdict(content.practice)}


def _json_block(value: Any) -> str:
    """JSON that no text in it can end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return files("liftnet.reconstruct.study").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression that lets exactly this script or style into the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
