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
from .tracks import Joining, MatchedPairs, Tracks, join_matches
from .triangulation import triangulate
from .two_view import chance_floor, joint_extent

__all__ = [
    "AffineFundamental",
    "AffineHomography",
    "Camera",
    "Fundamental",
    "Homography",
    "Joining",
    "MatchedPairs",
    "Search",
    "Tracks",
    "chance_floor",
    "distinct_locations",
    "estimate_affine_fundamental",
    "estimate_affine_homography",
    "estimate_fundamental",
    "estimate_homography",
    "gric_difference",
    "join_matches",
    "joint_extent",
    "triangulate",
]
