"""Settings of Shape Google."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings


class GoogleSettings(Settings):
    """How signatures are computed and geometric words are learnt."""

    google_words: int = Field(48, ge=2, le=10_000, description="geometric words (paper: 48)")
    google_surface: Literal["points", "mesh"] = Field(
        "points", description="where heat flows: between points drawn from the surface, or along the mesh (paper)"
    )
    google_points: int = Field(2000, ge=100, le=100_000, description="points drawn from a surface")
    google_eigenpairs: int = Field(200, ge=8, le=2000, description="eigenfunctions of the Laplacian (paper: 200)")
    google_times: int = Field(6, ge=1, le=100, description="times of the heat kernel signature (paper: 6)")
    google_first_time: float = Field(0.015, gt=0, le=1, description="first of these times, in units of the area")
    google_last_time: float = Field(0.06, gt=0, le=10, description="last of them (paper: 4 times the first)")
    google_softness: float = Field(
        2.0, gt=0, le=100, description="width of a word, in median radii of the clusters (paper: 2)"
    )


GOOGLE = tuple(GoogleSettings.model_fields)
