"""The views that MVCNN sees: shaded images from a ring of cameras around the shape (Su et al., ICCV 2015)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from liftnet.mesh.mesh import TriangleMesh
from liftnet.rasteriser import Light, Softness, render_soft
from liftnet.rasteriser.camera_batch import CameraBatch, look_at
from liftnet.shape.mvcnn.settings import MvcnnSettings

HALF_ANGLE = 15.0  # degrees; from this distance the unit sphere just fills the image
DISTANCE = 1 / math.sin(math.radians(HALF_ANGLE))
SOFTNESS = 3e-5  # squared image distance: a quarter of a pixel at 112 px, against steps at edges
LIGHT = Light(ambient=0.3, directional=0.7)
UInt8Array = npt.NDArray[np.uint8]


def ring_of_cameras(count: int, elevation: float) -> CameraBatch:
    """`count` cameras at equal steps of azimuth that look down on the origin; the first stands before it, towards +z.

    Args:
        count: Number of cameras.
        elevation: Degrees above the horizon.
    """
    azimuth = 2 * math.pi * torch.arange(count) / count
    up = math.radians(elevation)
    eyes = torch.stack(
        [torch.sin(azimuth) * math.cos(up), torch.full_like(azimuth, math.sin(up)), torch.cos(azimuth) * math.cos(up)],
        dim=1,
    )
    return look_at(DISTANCE * eyes, HALF_ANGLE)


def shaded_views(mesh: TriangleMesh, settings: MvcnnSettings) -> UInt8Array:
    """Render a shape as the network sees it.

    The shape is moved so that the middle of its bounding box is the origin, and scaled into the unit sphere. The
    background is black.

    Returns:
        (V, S, S) uint8 gray views, in the order of the ring.
    """
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    placed = mesh.vertices - (low + high) / 2
    placed = placed / np.linalg.norm(placed, axis=1).max()
    cameras = ring_of_cameras(settings.views, settings.elevation)
    with torch.no_grad():
        images = render_soft(
            torch.from_numpy(placed).float(),
            torch.from_numpy(mesh.faces),
            cameras,
            settings.image_size,
            Softness(SOFTNESS),
            LIGHT,
        )
    return images.gray.mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
