"""A fixed light and flat shading."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from liftnet.rasteriser.camera_batch import CameraBatch

MARGIN = 8.0  # the gradient of 1 / |n| overflows where |n|^2 falls to the largest number to the power of -2/3


@dataclass(frozen=True)
class Light:
    """Parallel light that stays where it is in the world, and light from everywhere.

    A surface with unit normal n has the gray value ambient + directional * max(0, n . l). Surfaces are two-sided: n is
    the normal that points to the camera. A wrapped light (Half Lambert) leaves out the maximum, so that faces that
    look away from the light differ in shade, too.

    Attributes:
        direction: Towards the light, in world coordinates (+y is up); of any length.
        ambient: Share of the light from everywhere.
        directional: Share of the parallel light.
        wrapped: Let shades fall further on the side away from the light; `ambient` is then at least `directional`.
    """

    direction: tuple[float, float, float] = (0.3, 0.8, 0.5)
    ambient: float = 0.5
    directional: float = 0.5
    wrapped: bool = False

    def __post_init__(self) -> None:
        length = math.hypot(*self.direction)
        if not (math.isfinite(length) and length > 0):
            raise ValueError(f"the direction of the light must be finite and not zero, not {self.direction}")
        if self.wrapped and self.directional > self.ambient:
            raise ValueError(
                "a wrapped light needs as much ambient as directional light, or some faces are below black"
            )

    def shade(self, corners: Tensor, cameras: CameraBatch) -> Tensor:
        """Gray values of faces; differentiable.

        Args:
            corners: (F, 3, 3) world coordinates of the corners of each face.
            cameras: N cameras.

        Returns:
            (N, F). A face without area has the ambient light alone.
        """
        direction = corners.new_tensor(self.direction)
        normals = face_normals(corners)
        facing = normals @ (direction / direction.norm())
        with torch.no_grad():
            cameras = cameras.to(corners)
            if cameras.orthographic:
                away = normals @ cameras.rotation[:, 2].T
            else:
                eyes = -torch.einsum("nji,nj->ni", cameras.rotation, cameras.translation)
                away = (normals * corners[:, 0]).sum(-1, keepdim=True) - normals @ eyes.T
        towards = torch.where(away.T > 0, -facing, facing)
        return self.ambient + self.directional * (towards if self.wrapped else towards.relu())


def face_normals(corners: Tensor) -> Tensor:
    """Unit normals (F, 3) of faces (F, 3, 3), right-handed; zero where a face has no area.

    Faces so small that the gradient would overflow on its way (in float32 of sides below about 6e-7, which marching
    cubes makes) have none: no pixel sees them turn.
    """
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1)
    squared = normals.square().sum(-1, keepdim=True)
    seen, steady = squared > 0, squared > torch.finfo(squared.dtype).max ** (-2 / 3) * MARGIN
    units = (normals * torch.where(seen, squared, 1).rsqrt()).detach()
    turning = normals * torch.where(steady, squared, 1).rsqrt()
    return torch.where(steady, turning, torch.where(seen, units, 0))
