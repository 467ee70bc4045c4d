"""The ways to find features and to compare them. One more is a module of `liftnet.match.methods` that declares itself.

A module says what it offers as `EXTRACTOR` or `MATCHER`, or both. It is imported wherever settings are read, so what
it needs to work (OpenCV, pycolmap) it imports in its functions.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from liftnet.core.settings import Settings, module_names
from liftnet.data.feature_kinds import SIFT, FeatureKind

if TYPE_CHECKING:
    from liftnet.data.features import Features
    from liftnet.match.work_features import PairMatches, Problem, WorkFeatures, WorkImage


class Find(Protocol):
    """Yields what it found in each image, in any order, as soon as it is known."""

    def __call__(
        self, images: Sequence[WorkImage], settings: Any, threads: int
    ) -> Iterator[tuple[WorkImage, Features | Problem]]:
        """Find features of the whole images, without their masks; the result does not depend on `threads`.

        `settings` are the stage's (`MatchSettings`), which are made of those that the methods declare here.
        """


class Compare(Protocol):
    """Yields the putative matches of each pair, in the order of the pairs."""

    def __call__(
        self,
        work: WorkFeatures,
        pairs: Sequence[tuple[str, str]],
        settings: Any,
        threads: int,
        seed: int,
    ) -> Iterator[PairMatches]:
        """Match pairs (a, b) of usable images, a < b; the result does not depend on `threads`. `settings` as above."""


@dataclass(frozen=True)
class Extractor:
    """A way to find and describe keypoints.

    Attributes:
        name: What the setting `features.extractor` calls it.
        find: The function.
        settings: Its own settings, `features.<name>`: with the image all that decides the features; None if it has
            none.
        environment: The conda environment it needs, a file of `envs/`.
        version: Raised when its features change with the same settings.
        kind: What its features are.
        files: Names of its settings that name a file on whose content the features depend; empty names none.
        megabytes: Memory that each worker needs beyond a picture.
    """

    name: str
    find: Find
    settings: type[Settings] | None = None
    environment: str = "vision"
    version: int = 1
    kind: FeatureKind = SIFT
    files: tuple[str, ...] = ()
    megabytes: int = 0


@dataclass(frozen=True)
class Matcher:
    """A way to compare the features of two images.

    Attributes:
        name: What the setting `search.matcher` calls it.
        match: The function.
        settings: Its own settings, `search.<name>`, all of which decide the matches; None if it has none.
        environment: The conda environment it needs, a file of `envs/`.
        draws: Whether its result depends on the seed.
        devices: Where it can run, as the setting `search.device` calls it.
        kinds: The kinds of features that it compares, by name; empty for all.
        byte_devices: Of its devices those that compare bytes alone.
        seconds: Of a processor, that a pair may take.
        megabytes: Memory that each worker needs.
    """

    name: str
    match: Compare
    settings: type[Settings] | None = None
    environment: str = "vision"
    draws: bool = False
    devices: tuple[str, ...] = ("cpu",)
    kinds: tuple[str, ...] = ()
    byte_devices: tuple[str, ...] = ()
    seconds: int = 3
    megabytes: int = 0

    def takes(self, kind: FeatureKind) -> bool:
        """Whether it compares features of a kind."""
        return not self.kinds or kind.name in self.kinds


@cache
def extractors() -> dict[str, Extractor]:
    """All extractors by name."""
    return {found.name: found for found in _declared("EXTRACTOR") if isinstance(found, Extractor)}


@cache
def matchers() -> dict[str, Matcher]:
    """All matchers by name."""
    return {found.name: found for found in _declared("MATCHER") if isinstance(found, Matcher)}


def partners(matcher: Matcher) -> list[str]:
    """The names of the extractors whose features a matcher compares."""
    return [name for name, extractor in extractors().items() if matcher.takes(extractor.kind)]


def _declared(name: str) -> Iterator[object]:
    """What the modules of `liftnet.match.methods` declare under a name, in the order of the modules' names."""
    package = importlib.import_module("liftnet.match.methods")
    for module in module_names(*map(Path, package.__path__)):
        yield getattr(importlib.import_module(f"{package.__name__}.{module}"), name, None)
