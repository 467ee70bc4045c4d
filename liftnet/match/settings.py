"""The settings of the stage `match`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.io.settings import Settings


class MatchSettings(Settings):
    """How images of one work are matched; the defaults are those of config.yaml."""

    matcher: Literal["opencv", "openmvg", "colmap"] = Field(
        "opencv", description="opencv: built-in SIFT and exact matcher; openmvg: its programs; colmap: pycolmap"
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
    mask_first: bool = Field(
        False,
        description="use only keypoints on the predicted foreground; changes which neighbours are second nearest",
    )
    openmvg_bin: str = Field("", description="folder of the openMVG_main_* programs; empty: they are found on PATH")
    openmvg_preset: Literal["NORMAL", "HIGH", "ULTRA"] = Field(
        "HIGH", description="SIFT preset of OpenMVG; NORMAL finds little on smooth stone"
    )
    openmvg_method: Literal["HNSWL2", "BRUTEFORCEL2", "ANNL2", "CASCADEHASHINGL2", "FASTCASCADEHASHINGL2"] = Field(
        "HNSWL2", description="matching method of OpenMVG; cascade hashing is faster and much less precise"
    )
    openmvg_timeout: float = Field(240, gt=0, description="minutes after which one OpenMVG program is stopped")


USED_BY = {
    "opencv": ("ratio", "mutual", "mask_first", "contrast_threshold", "max_keypoints", "max_side"),
    "openmvg": ("ratio", "mutual", "mask_first", "openmvg_preset", "openmvg_method"),
    "colmap": ("ratio", "mutual", "mask_first", "max_keypoints", "max_side"),
}
"""The settings that decide the result of each matcher, as recorded in the table of matches."""
