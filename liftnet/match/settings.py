"""The settings of the stage `match`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from liftnet.core.settings import Settings


class MatchSettings(Settings):
    """How images of one work are matched; the defaults are those of config.yaml."""

    features: Literal["opencv", "colmap", "openmvg"] = Field(
        "opencv", description="whose SIFT finds and describes keypoints: OpenCV's, COLMAP's or OpenMVG's"
    )
    matcher: Literal["exact", "colmap", "openmvg"] = Field(
        "exact", description="who compares them: the built-in exact search, COLMAP or OpenMVG; all take any features"
    )
    ratio: float = Field(
        0.8, gt=0, le=1, description="largest distance to the nearest descriptor over that to the second; 1: no test"
    )
    mutual: bool = Field(
        True, description="keep a match only if each descriptor is the other's nearest (openmvg: best match per point)"
    )
    contrast_threshold: float = Field(
        0.005, ge=0, le=0.5, description="SIFT contrast threshold of opencv; smooth marble needs a low one"
    )
    max_keypoints: int = Field(
        8000, ge=2, le=65535, description="most keypoints per image, the strongest first (opencv, colmap)"
    )
    max_side: int = Field(
        1600, ge=64, le=16384, description="longest side in px at which features are sought (opencv, colmap)"
    )
    octave_layers: int = Field(
        3, ge=1, le=10, description="scales sought in each octave (opencv); 5 finds more, in more time"
    )
    upright: bool = Field(
        False, description="do not turn descriptors with the image; more matches where all cameras stand upright"
    )
    affine_shape: bool = Field(
        False,
        description="fit descriptors to the local tilt of the surface (colmap); more matches at wide angles",
    )
    mask_first: bool = Field(
        False,
        description="use only keypoints on the predicted foreground; changes which neighbours are second nearest",
    )
    exhaustive_images: int = Field(
        300, ge=2, description="images of a work up to which all pairs are tried; above it those most alike"
    )
    neighbours: int = Field(
        50, ge=1, description="how many of the images most like it each image of a larger work is matched with"
    )
    across_neighbours: int = Field(
        3, ge=1, le=100, description="images of other splits that each image of val and test is matched with, at most"
    )
    across_coarse: int = Field(
        8, ge=0, le=500, description="least matches among 500 coarse features for such a pair to be matched"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the exact matcher runs; the matches are the same")
    openmvg_bin: str = Field("", description="folder of the openMVG_main_* programs; empty: they are found on PATH")
    openmvg_preset: Literal["NORMAL", "HIGH", "ULTRA"] = Field(
        "HIGH", description="SIFT preset of OpenMVG; NORMAL finds little on smooth stone"
    )
    openmvg_method: Literal["HNSWL2", "BRUTEFORCEL2", "ANNL2", "CASCADEHASHINGL2", "FASTCASCADEHASHINGL2", "AUTO"] = (
        Field("HNSWL2", description="matching method of OpenMVG; cascade hashing is faster and much less precise")
    )
    openmvg_filter: Literal["none", "f", "h"] = Field(
        "none",
        description="filter of OpenMVG on its matches: f: fundamental matrix, h: homography, none: left to verify",
    )
    openmvg_timeout: float = Field(240, gt=0, description="minutes after which one OpenMVG program is stopped")


FEATURE_SETTINGS = {
    "opencv": ("contrast_threshold", "max_keypoints", "max_side", "octave_layers", "upright"),
    "colmap": ("max_keypoints", "max_side", "upright", "affine_shape"),
    "openmvg": ("openmvg_preset", "upright"),
}
"""The settings that decide the features of each extractor: with the image they are the key of the cache."""

MATCHER_SETTINGS = {
    "exact": (),
    "colmap": (),
    "openmvg": ("openmvg_method", "openmvg_filter"),
}
"""The settings that decide the result of each matcher beside those that hold for all."""

ACROSS_SETTINGS = ("across_coarse", "across_neighbours")
"""The settings of `match --across` alone."""

_FOR_ALL = ("features", "ratio", "mutual", "mask_first", "exhaustive_images", "neighbours")


def feature_settings(settings: MatchSettings) -> dict[str, Any]:
    """What decides the features of an image."""
    used = {name: getattr(settings, name) for name in FEATURE_SETTINGS[settings.features]}
    return {"features": settings.features, **used}


def used_settings(settings: MatchSettings) -> dict[str, Any]:
    """What decides the matches, as recorded in the table of matches."""
    names = (*_FOR_ALL, *FEATURE_SETTINGS[settings.features], *MATCHER_SETTINGS[settings.matcher])
    return {name: getattr(settings, name) for name in names}
