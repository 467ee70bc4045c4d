"""Settings of the `verify` stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings


class FitSettings(Settings):
    """Which models are fitted to the matches of a pair, and how near a match must be to agree."""

    model: Literal["affine", "perspective"] = Field(
        "affine",
        description="whose inliers go into the dataset; perspective keeps more of near views, LiftNet is affine",
    )
    perspective_check: bool = Field(
        True,
        description="drop inliers of the affine model that the perspective fundamental matrix of the pair refuses",
    )
    min_threshold_px: float = Field(
        1.5,
        ge=0.1,
        le=100,
        description="what noise moves a match, in px: threshold of perspective models, least one of the affine model; "
        "homographies have 1.249 times it",
    )
    threshold_fraction: float = Field(
        0.006,
        ge=0,
        le=0.1,
        description="threshold of the affine model as a fraction of the long side, where that is more",
    )
    threshold_of: Literal["object", "image"] = Field(
        "object", description="whose long side: the object's, from its mask, or the image's"
    )
    confidence: float = Field(0.999, gt=0, lt=1, description="confidence at which RANSAC stops")
    max_ransac_iterations: int = Field(2000, ge=1, le=1_000_000, description="max. samples for a fundamental matrix")
    min_planar_fraction_kept: float = Field(
        0.5,
        ge=0.2,
        le=1,
        description="how far max_planar_fraction may be lowered later: sets how long homographies are sought",
    )


class ThresholdSettings(Settings):
    """What the numbers of a pair must reach for it to be kept. They can be moved without fitting again."""

    min_inliers: int = Field(20, ge=5, description="min. inliers of the model")
    min_inlier_ratio_over_chance: float = Field(
        1.5, ge=0, le=100, description="min. inliers as a multiple of what random matches reach"
    )
    max_planar_fraction: float = Field(
        0.8, ge=0, le=1, description="max. fraction of the inliers that one affine homography may explain (rho)"
    )
    projective_check: bool = Field(
        False,
        description="hold max_planar_fraction against one projective homography too: planes seen in perspective",
    )
    max_duplicate_fraction: float = Field(
        0.8, ge=0, le=1, description="max. fraction of the matches that one similarity may explain to a pixel"
    )
    max_watermark_fraction: float = Field(
        0.7, ge=0, le=1, description="max. fraction of the inliers that may move alike in the border or not at all"
    )


class VerifySettings(Settings):
    """What makes a pair of images and a match between them good enough for the dataset."""

    foreground: bool = Field(True, description="use only matches on the foreground mask of both images")
    fit: FitSettings = Field(FitSettings(), description="models of the matches of a pair, by RANSAC")
    thresholds: ThresholdSettings = Field(ThresholdSettings(), description="which pairs are kept")
    rejected_sample: int = Field(200, ge=0, le=200, description="max. rejected matches of a pair stored for pictures")
