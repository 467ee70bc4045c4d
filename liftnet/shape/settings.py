"""Settings of the metrics between shapes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings

STANDARD_METRICS = ("chamfer_l1", "chamfer_l2", "f_score", "normal_consistency", "iou", "lfd")
"""What is measured where nobody chooses."""


class ComparisonSettings(Settings):
    """How two shapes are placed, sampled and compared."""

    align: Literal["none", "target", "each", "yaw", "icp"] = Field(
        "target", description="how a shape is laid onto its target (liftnet.shape.alignment)"
    )
    size: Literal["side", "sphere"] = Field(
        "side", description="what is normalised: the longest side to 1, or the farthest vertex to .5 from the middle"
    )
    turns: int = Field(36, ge=1, le=3600, description="turns about the upright axis that `yaw` and `icp` try")
    points: int = Field(100_000, ge=1, le=10_000_000, description="points drawn from each surface")
    emd_points: int = Field(1024, ge=1, le=10_000, description="points of the earth mover's distance")
    f_threshold: float = Field(0.01, gt=0, description="distance below which a point is right, after placing")
    voxels: int = Field(32, ge=1, le=512, description="voxels a side of the cube for intersection over union")
    vocabulary: str | None = Field(
        None, description="geometric words of Shape Google (vocabulary.safetensors); null: those of the package"
    )
    mvcnn: str | None = Field(None, description="trained MVCNN, its folder or file; null leaves the metric out")
