"""OpenMVG's own programs as an extractor and as a matcher (docs/openmvg.md).

OpenMVG's exit status says little: it is 0 for an image it could not read, for a cut descriptor file and for old
matches it loaded instead of computing new ones. So each call gets an empty folder, every image is named by its
content, and every file is read back and checked before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from liftnet.core.settings import Settings
from liftnet.data.feature_kinds import SIFT
from liftnet.match.registry import Extractor, Matcher

if TYPE_CHECKING:
    from liftnet.data.features import Features
    from liftnet.match.settings import MatchSettings
    from liftnet.match.work_features import PairMatches, Problem, WorkFeatures, WorkImage


class OpenmvgFeatureSettings(Settings):
    """What decides OpenMVG's features."""

    preset: Literal["NORMAL", "HIGH", "ULTRA"] = Field(
        "HIGH", description="SIFT preset of OpenMVG; NORMAL finds little on smooth stone"
    )
    upright: bool = Field(
        False, description="do not turn descriptors with the image; more matches where all cameras stand upright"
    )


class OpenmvgMatchSettings(Settings):
    """How OpenMVG compares features."""

    method: Literal["HNSWL2", "BRUTEFORCEL2", "ANNL2", "CASCADEHASHINGL2", "FASTCASCADEHASHINGL2", "AUTO"] = Field(
        "HNSWL2", description="matching method of OpenMVG; cascade hashing is faster and much less precise"
    )
    filter: Literal["none", "f", "h"] = Field(
        "none",
        description="filter of OpenMVG on its matches: f: fundamental matrix, h: homography, none: left to verify",
    )


def _extract(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    from liftnet.match.methods.openmvg.methods import extract_openmvg

    return extract_openmvg(images, settings, threads)


def _match(
    work: WorkFeatures, pairs: Sequence[tuple[str, str]], settings: MatchSettings, threads: int, seed: int
) -> Iterator[PairMatches]:
    from liftnet.match.methods.openmvg.methods import match_openmvg

    return match_openmvg(work, pairs, settings, threads, seed)


EXTRACTOR = Extractor("openmvg", _extract, OpenmvgFeatureSettings)
MATCHER = Matcher("openmvg", _match, OpenmvgMatchSettings, kinds=(SIFT.name,))
