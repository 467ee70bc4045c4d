"""Settings of the report stage."""

from __future__ import annotations

from pydantic import Field

from liftnet.core.settings import Settings


class PairSamples(Settings):
    """How many pairs are drawn."""

    kept: int = Field(6, ge=0, le=40, description="kept pairs drawn with their correspondences")
    rejected_per_reason: int = Field(1, ge=0, le=5, description="rejected pairs drawn for each reason")
    max_matches: int = Field(60, ge=1, le=500, description="max. correspondences drawn in a pair, of each colour")


class MaskSamples(Settings):
    """How many masks are shown."""

    per_confidence: int = Field(
        2, ge=0, le=10, description="masks shown of highest, median and lowest confidence, each"
    )
    manual: int = Field(4, ge=0, le=20, description="predicted masks shown beside a manual one")


class DepthSamples(Settings):
    """How many predictions are shown."""

    images: int = Field(6, ge=0, le=20, description="images whose predicted depth is shown")
    surfaces: int = Field(3, ge=0, le=4, description="predictions shown as new views and in the interactive 3D view")


class ReportSettings(Settings):
    """What the page shows, and how much of it."""

    title: str = Field("From photographs of sculptures to depth", description="heading of the page")
    picture_px: int = Field(420, ge=100, le=1000, description="longer side of an embedded photograph, px")
    pairs: PairSamples = Field(PairSamples(), description="sample pairs")
    masks: MaskSamples = Field(MaskSamples(), description="sample masks")
    depths: DepthSamples = Field(DepthSamples(), description="sample predictions")
