"""Settings of Shape Google."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings


class ShapeGoogleSettings(Settings):
    """How signatures are computed and geometric words are learnt."""

    words: int = Field(48, ge=2, le=10_000, description="geometric words (paper: 48)")
    surface: Literal["points", "mesh"] = Field(
        "points", description="where heat flows: between points drawn from the surface, or along the mesh (paper)"
    )
    points: int = Field(2000, ge=100, le=100_000, description="points drawn from a surface")
    eigenpairs: int = Field(200, ge=8, le=2000, description="eigenfunctions of the Laplacian (paper: 200)")
    times: int = Field(6, ge=1, le=100, description="times of the heat kernel signature (paper: 6)")
    first_time: float = Field(0.015, gt=0, le=1, description="first of these times, in units of the area")
    last_time: float = Field(0.06, gt=0, le=10, description="last of them (paper: 4 times the first)")
    softness: float = Field(
        2.0, gt=0, le=100, description="width of a word, in median radii of the clusters (paper: 2)"
    )
