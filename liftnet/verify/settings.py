"""Settings of the `verify` stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.io.settings import Settings


class VerifySettings(Settings):
    """What makes a pair of images and a match between them good enough for the dataset."""

    foreground: bool = Field(True, description="use only matches on the foreground mask of both images")
    min_threshold_px: float = Field(2.0, ge=0.1, le=100, description="least inlier threshold, in px")
    threshold_share: float = Field(
        0.0025, ge=0, le=0.1, description="inlier threshold as a share of the long side, where that is more"
    )
    threshold_of: Literal["image", "object"] = Field(
        "image", description="whose long side: the image's, or the box around the matches on the foreground"
    )
    min_inliers: int = Field(20, ge=5, description="least inliers of the affine fundamental matrix")
    floor_factor: float = Field(
        1.5, ge=0, le=100, description="least inliers as a multiple of what random matches reach"
    )
    max_rho: float = Field(
        0.8, ge=0, le=1, description="largest share of the inliers that one affine homography may explain"
    )
    confidence: float = Field(0.999, gt=0, lt=1, description="confidence at which RANSAC stops")
    max_hypotheses: int = Field(2000, ge=1, le=1_000_000, description="most samples of four matches for a pair")
    max_homography_hypotheses: int = Field(
        64,
        ge=1,
        le=1_000_000,
        description="most samples of three inliers for a pair; 10 find a rho above 0.8",
    )
    rejected_sample: int = Field(200, ge=0, le=200, description="most rejected matches of a pair stored for pictures")
