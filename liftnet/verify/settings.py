"""Settings of the `verify` stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings


class VerifySettings(Settings):
    """What makes a pair of images and a match between them good enough for the dataset."""

    foreground: bool = Field(True, description="use only matches on the foreground mask of both images")
    model: Literal["affine", "perspective"] = Field(
        "affine",
        description="whose inliers go into the dataset; perspective keeps more of near views, LiftNet is affine",
    )
    min_threshold_px: float = Field(
        1.5,
        ge=0.1,
        le=100,
        description="what noise moves a match, in px: threshold of perspective models, least one of the affine model; "
        "homographies have 1.249 times it",
    )
    threshold_share: float = Field(
        0.006,
        ge=0,
        le=0.1,
        description="threshold of the affine model as a share of the long side, where that is more",
    )
    threshold_of: Literal["object", "image"] = Field(
        "object", description="whose long side: the object's, from its mask, or the image's"
    )
    min_inliers: int = Field(20, ge=5, description="least inliers of the model")
    floor_factor: float = Field(
        1.5, ge=0, le=100, description="least inliers as a multiple of what random matches reach"
    )
    max_rho: float = Field(
        0.8, ge=0, le=1, description="largest share of the inliers that one affine homography may explain"
    )
    lowest_rho: float = Field(
        0.5, ge=0.2, le=1, description="how far max_rho may be lowered later: sets how long homographies are sought"
    )
    projective_check: bool = Field(
        False, description="hold max_rho against one projective homography too: planes seen in perspective"
    )
    max_duplicate: float = Field(
        0.8, ge=0, le=1, description="largest share of the matches that one similarity may explain to a pixel"
    )
    max_watermark: float = Field(
        0.7, ge=0, le=1, description="largest share of the inliers that may move alike in the border or not at all"
    )
    confidence: float = Field(0.999, gt=0, lt=1, description="confidence at which RANSAC stops")
    max_hypotheses: int = Field(2000, ge=1, le=1_000_000, description="most samples for a fundamental matrix")
    rejected_sample: int = Field(200, ge=0, le=200, description="most rejected matches of a pair stored for pictures")
