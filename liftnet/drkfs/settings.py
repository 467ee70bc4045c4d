"""Settings of the drkfs stage."""

from __future__ import annotations

from pydantic import Field

from liftnet.io.settings import Settings


class DrkfsSettings(Settings):
    """How two shapes are rendered and compared."""

    image_size: int = Field(256, ge=32, le=2048, multiple_of=16, description="side of the rendered views, px")
    views: int = Field(25, ge=1, le=1000, description="cameras on the half sphere")
    sigma: float = Field(
        1e-5, gt=0, le=1, description="softness of edges: squared image distance, image spans [-1, 1]"
    )
    gamma: float = Field(1e-4, gt=0, le=1, description="softness of depth, share of the distance from near to far")
    neighbourhood: int = Field(1, ge=0, le=7, description="patches that a match may lie away, in strides of 16 px")


METRIC = tuple(DrkfsSettings.model_fields)
