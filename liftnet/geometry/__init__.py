"""Cameras and robust two-view geometry of matched points. Knows no stage and no file.

    >>> from liftnet.geometry import estimate_affine_fundamental

Names are loaded when first used: numba and OpenCV are only imported by what needs them.

| function | estimates | needs |
| --- | --- | --- |
| `estimate_affine_fundamental` | affine fundamental matrix of one pair | numpy, numba |
| `estimate_affine_homography` | affine homography of one pair | numpy, numba |
| `estimate_fundamental` | perspective fundamental matrix of one pair | OpenCV |
| `estimate_homography` | projective homography of one pair | OpenCV |
| `rotations_of_pairs` | angles between the calibrated cameras of many pairs at once | numpy |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.geometry.affine import (
        AffineFundamental,
        AffineHomography,
        distinct_locations,
        estimate_affine_fundamental,
        estimate_affine_homography,
        gric_difference,
    )
    from liftnet.geometry.cameras import Camera
    from liftnet.geometry.chance import chance_floor, joint_extent
    from liftnet.geometry.perspective import Fundamental, Homography, estimate_fundamental, estimate_homography
    from liftnet.geometry.ransac import Search

_HOMES = {
    "affine": (
        "AffineFundamental",
        "AffineHomography",
        "distinct_locations",
        "estimate_affine_fundamental",
        "estimate_affine_homography",
        "gric_difference",
    ),
    "cameras": ("Camera",),
    "chance": ("chance_floor", "joint_extent"),
    "ransac": ("Search",),
    "perspective": ("Fundamental", "Homography", "estimate_fundamental", "estimate_homography"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AffineFundamental",
    "AffineHomography",
    "Camera",
    "Fundamental",
    "Homography",
    "Search",
    "chance_floor",
    "distinct_locations",
    "estimate_affine_fundamental",
    "estimate_affine_homography",
    "estimate_fundamental",
    "estimate_homography",
    "gric_difference",
    "joint_extent",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
