"""Where the views of a shape are taken from: cameras spread evenly over the upper half of a sphere."""

from __future__ import annotations

import math

import torch

from liftnet.rasteriser.cameras import Cameras, look_at

DISTANCE = 2.0
HALF_ANGLE = 15.0
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def semi_sphere(
    count: int = 25, distance: float = DISTANCE, half_angle: float = HALF_ANGLE, lowest_elevation: float = 0.0
) -> Cameras:
    """Cameras on a half sphere that look at the origin.

    The eyes are a Fibonacci lattice: camera i is i golden angles around the vertical axis, and each stands in the
    middle of a band of the same area. At distance 2 a sphere of radius 0.5 is seen under 14.5 degrees and fills the
    image but for 4.7 px at 256 px: nothing of a normalised shape is cut.

    Args:
        count: Number of cameras.
        distance: Of the eyes from the origin; a normalised shape has the radius 0.5.
        half_angle: Half the viewing angle, degrees.
        lowest_elevation: Of the band that the cameras fill, degrees above the ground; it ends at 90 degrees.

    Returns:
        `count` perspective cameras, the lowest first.
    """
    if count < 1 or not -90 <= lowest_elevation < 90:
        raise ValueError(f"no {count} cameras can stand above an elevation of {lowest_elevation} degrees")
    places = torch.arange(count, dtype=torch.float64)
    lowest = math.sin(math.radians(lowest_elevation))
    height = lowest + (1 - lowest) * (places + 0.5) / count
    radius = (1 - height.square()).sqrt()
    azimuth = places * GOLDEN_ANGLE
    eyes = torch.stack([radius * azimuth.sin(), height, radius * azimuth.cos()], 1)
    return look_at(distance * eyes, half_angle).to(torch.zeros(()))
