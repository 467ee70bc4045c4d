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


class AlignSettings(Settings):
    """How the pictures around a match of the second search are laid on each other, to tell and to mend it."""

    pictures: bool = Field(
        True, description="align the pictures around each match: one that disagrees goes, the others move"
    )
    candidate_cost: float = Field(
        8.0,
        gt=0,
        le=1000,
        description="takes the place of max_cost where matches are aligned, since false ones are told by it",
    )
    max_misfit: float = Field(
        2.0,
        gt=0,
        le=1000,
        description="max. sum of four squares once a match is aligned: how far it is from where its neighbours lead "
        "(in .67 min_threshold_px), from its line (in .42), how far it moved (in 1), and 1 - correlation (in .4)",
    )


class GuidedSettings(Settings):
    """The second search of an accepted pair, along its epipolar lines."""

    search: bool = Field(True, description="search the features of accepted pairs again along their epipolar lines")
    ratio: float = Field(
        0.9,
        gt=0,
        le=1,
        description="max. distance to the nearest descriptor on the line over that to a rival; 1: none",
    )
    band: float = Field(
        3.0,
        ge=1,
        le=100,
        description="half width of the band that is searched, in thresholds of the affine model; the perspective "
        "matrix decides within it, and without one it is 1",
    )
    neighbours: int = Field(10, ge=4, le=100, description="matches around a point that say where it lies")
    max_cost: float = Field(
        3.5,
        gt=0,
        le=1000,
        description="max. sum of three squares: how far a match is from where its neighbours lead (in "
        "min_threshold_px), from its line (in .42 of it), and its descriptors from each other (in .245 of their norm)",
    )
    max_turn_deg: float = Field(
        30.0, gt=0, le=180, description="max. angle between a keypoint's orientation and that its neighbours lead to"
    )
    max_growth: float = Field(1.65, ge=1, le=10, description="max. factor between the scales of keypoints, likewise")
    align: AlignSettings = Field(AlignSettings(), description="matches of the second search against the pictures")


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
    guided: GuidedSettings = Field(GuidedSettings(), description="the second search of pairs that are accepted")
    thresholds: ThresholdSettings = Field(ThresholdSettings(), description="which pairs are kept")
    rejected_sample: int = Field(200, ge=0, le=200, description="max. rejected matches of a pair stored for pictures")
