"""The settings of the stage `match`. What each extractor and matcher can be told, its own module declares."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from liftnet.core.settings import OneOf, Settings, UserPath
from liftnet.match.registry import Extractor, Matcher, extractors, matchers, partners


def _choice(kind: str, known: dict[str, Any], default: str, description: str) -> dict[str, Any]:
    """The field that names a method, and a group for each method that has settings.

    What a run is planned by stands beside the field in the schema: `environments`, `megabytes`, and of matchers
    `seconds` and `takes`, the extractors whose features they compare.
    """
    about: dict[str, Any] = {
        "environments": {name: method.environment for name, method in known.items()},
        "megabytes": {name: method.megabytes for name, method in known.items()},
    }
    compared = {name: method for name, method in known.items() if isinstance(method, Matcher)}
    if compared:
        about["takes"] = {name: partners(method) for name, method in compared.items()}
        about["seconds"] = {name: method.seconds for name, method in compared.items()}
    chosen = Field(default, description=description, json_schema_extra=about)
    groups = {
        name: (method.settings, Field(method.settings(), description=f"of {name}"))
        for name, method in known.items()
        if method.settings is not None
    }
    return {kind: (Annotated[str, OneOf(tuple(known))], chosen), **groups}


class _Search(Settings):
    """How the features of two images are compared, whoever does it."""

    ratio: float = Field(
        0.8, gt=0, le=1, description="max. distance to the nearest descriptor over that to the second; 1: no test"
    )
    mutual: bool = Field(
        True, description="keep a match only if each descriptor is the other's nearest (openmvg: best match per point)"
    )
    mask_first: bool = Field(
        False,
        description="use only keypoints on the predicted foreground; changes which neighbours are second nearest",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the exact matcher runs; the matches are the same")


if TYPE_CHECKING:

    class FeatureSettings(Settings):
        """Whose features, and the settings of each extractor."""

        extractor: str = ""

        def __getattr__(self, name: str) -> Any: ...

    class SearchSettings(_Search):
        """Who compares features, and how."""

        matcher: str = ""

        def __getattr__(self, name: str) -> Any: ...

else:
    FeatureSettings = create_model(
        "FeatureSettings",
        __base__=Settings,
        **_choice(
            "extractor",
            extractors(),
            "opencv",
            "who finds and describes keypoints: SIFT of OpenCV, COLMAP or OpenMVG; the network ALIKED, DISK or XFeat",
        ),
    )
    SearchSettings = create_model(
        "SearchSettings",
        __base__=_Search,
        **_choice(
            "matcher",
            matchers(),
            "exact",
            "who compares them: the exact search takes any, COLMAP and OpenMVG SIFT, LightGlue what networks found",
        ),
    )


class PairSettings(Settings):
    """Which pairs of images of a work are matched."""

    exhaustive_images: int = Field(
        300, ge=2, description="images of a work up to which all pairs are tried; above it those most alike"
    )
    neighbours: int = Field(
        50, ge=1, description="how many of the images most like it each image of a larger work is matched with"
    )


class CrossSplitSettings(Settings):
    """Which pairs of images of two splits are matched."""

    partners: int = Field(
        3, ge=1, le=100, description="max. images of other splits that each image of val and test is matched with"
    )
    min_coarse_matches: int = Field(
        8, ge=0, le=500, description="min. matches among 500 coarse features for such a pair to be matched"
    )


class OpenmvgSettings(Settings):
    """Where OpenMVG's programs are; nothing here changes what they find."""

    bin: UserPath = Field("", description="folder of the openMVG_main_* programs; empty: they are found on PATH")
    timeout_minutes: float = Field(240, gt=0, description="minutes after which one OpenMVG program is stopped")


class MatchSettings(Settings):
    """How images of one work are matched; the defaults are those of config.yaml."""

    features: FeatureSettings = Field(FeatureSettings(), description="keypoints and their descriptors")
    search: SearchSettings = Field(SearchSettings(), description="comparing the features of two images")
    pairs: PairSettings = Field(PairSettings(), description="which images of a work are compared")
    cross_split: CrossSplitSettings = Field(
        CrossSplitSettings(), description="images of different splits, to find one object in two of them"
    )
    openmvg: OpenmvgSettings = Field(OpenmvgSettings(), description="OpenMVG's programs")

    @property
    def extractor(self) -> Extractor:
        """The extractor chosen."""
        return extractors()[self.features.extractor]

    @property
    def matcher(self) -> Matcher:
        """The matcher chosen."""
        return matchers()[self.search.matcher]

    @property
    def of_extractor(self) -> Settings:
        """The settings of the extractor chosen, perhaps none: with the image all that decides its features."""
        if self.extractor.settings is None:
            return Settings()
        chosen: Settings = getattr(self.features, self.extractor.name)
        return chosen

    def recorded(self, seed: int) -> dict[str, Any]:
        """What decides the matches, as recorded in the table of matches.

        A setting stands under its own name, or under its dotted name where that of another group has the same.
        """
        own = {"features": self.features.extractor} | ({"seed": seed} if self.matcher.draws else {})
        groups = {
            "search": self.search.model_dump(include=set(_Search.model_fields) - {"device"}),
            "pairs": self.pairs.model_dump(),
            f"features.{self.features.extractor}": self.of_extractor.model_dump(),
        }
        if self.matcher.settings is not None:
            groups[f"search.{self.matcher.name}"] = getattr(self.search, self.matcher.name).model_dump()
        shared = Counter(name for group in (own, *groups.values()) for name in group)
        return own | {
            name if shared[name] == 1 else f"{group}.{name}": value
            for group, values in groups.items()
            for name, value in values.items()
        }
