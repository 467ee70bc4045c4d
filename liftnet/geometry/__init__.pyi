from .affine import (
    AffineFundamental,
    AffineHomography,
    distinct_locations,
    estimate_affine_fundamental,
    estimate_affine_homography,
    gric_difference,
)
from .cameras import Camera
from .chance import chance_floor, joint_extent
from .perspective import Fundamental, Homography, estimate_fundamental, estimate_homography
from .ransac import Search

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
