from .affine import (
    AffineFundamental,
    AffineHomography,
    distinct_locations,
    estimate_affine_fundamental,
    estimate_affine_homography,
    gric_difference,
)
from .cameras import Camera
from .perspective import Fundamental, Homography, estimate_fundamental, estimate_homography
from .ransac import Search
from .two_view import chance_floor, joint_extent

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
