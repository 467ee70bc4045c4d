"""Batches of cameras that see a mesh: x right, y down, z away, images square."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, repr=False)
class CameraBatch:
    """N cameras that look along their z axis at square images.

    The image spans [-1, 1] in both of its coordinates, x right and y down; the centre of pixel i of S lies at
    (2 i + 1 - S) / S.

    Attributes:
        rotation: (N, 3, 3) R, world to camera.
        translation: (N, 3) t: a world point X has camera coordinates R X + t.
        half_width: Half the width of what the image shows: of parallel rays in world units, otherwise at distance 1,
            the tangent of half the viewing angle.
        orthographic: Parallel rays instead of rays through the camera's centre.
    """

    rotation: Tensor
    translation: Tensor
    half_width: float
    orthographic: bool = False

    def __post_init__(self) -> None:
        shapes = tuple(self.rotation.shape), tuple(self.translation.shape)
        if shapes[0][1:] != (3, 3) or shapes[1] != (shapes[0][0], 3):
            raise ValueError(f"cameras need rotations (N, 3, 3) and translations (N, 3), not {shapes}")
        if not (math.isfinite(self.half_width) and self.half_width > 0):
            raise ValueError(f"the half width of a camera's image must be positive, not {self.half_width}")

    def __len__(self) -> int:
        return len(self.rotation)

    def __repr__(self) -> str:
        kind = "orthographic" if self.orthographic else "perspective"
        return f"CameraBatch({len(self)} {kind}, half width {self.half_width:.4g})"

    def __getitem__(self, index: slice | Tensor | list[int]) -> CameraBatch:
        return CameraBatch(self.rotation[index], self.translation[index], self.half_width, self.orthographic)

    def to(self, like: Tensor) -> CameraBatch:
        """The same cameras with the device and the type of `like`."""
        return CameraBatch(self.rotation.to(like), self.translation.to(like), self.half_width, self.orthographic)

    def project(self, points: Tensor) -> Tensor:
        """Project world points; differentiable.

        Args:
            points: (V, 3) world coordinates, the same for all cameras.

        Returns:
            (N, V, 3): x and y of the image, in [-1, 1] where visible, and z, the depth along the optical axis. Points
            that are not in front of a perspective camera have no meaning here; the rasteriser clips before it divides.
        """
        return self.to_image(self.in_camera(points))

    def in_camera(self, points: Tensor) -> Tensor:
        """Camera coordinates (N, V, 3) of world points (V, 3)."""
        return torch.einsum("nij,vj->nvi", self.rotation, points) + self.translation[:, None]

    def to_image(self, points: Tensor) -> Tensor:
        """Image coordinates and depth of points in camera coordinates (..., 3)."""
        depth = points[..., 2:]
        scale = self.half_width if self.orthographic else self.half_width * depth
        return torch.cat([points[..., :2] / scale, depth], -1)


def look_at(
    eyes: Tensor,
    half_angle: float = 15.0,
    half_width: float | None = None,
    target: tuple[float, float, float] = (0.0, 0.0, 0.0),
    up: tuple[float, float, float] = (0.0, 1.0, 0.0),
) -> CameraBatch:
    """Cameras at `eyes` that look at `target`.

    Args:
        eyes: (N, 3) world positions.
        half_angle: Half the viewing angle of a perspective camera, degrees.
        half_width: If given, the cameras are orthographic and show this many world units to each side.
        target: The point in the middle of each image.
        up: The direction that points up in each image; where a camera looks along it, +z takes its place.

    Returns:
        N cameras.

    Raises:
        ValueError: An eye lies on the target.
    """
    forward = torch.as_tensor(target, dtype=eyes.dtype, device=eyes.device) - eyes
    distance = forward.norm(dim=-1, keepdim=True)
    if bool((distance < 1e-9).any()):
        raise ValueError("a camera cannot look at the point where it stands; move its eye away from the target")
    forward = forward / distance
    upward = torch.as_tensor(up, dtype=eyes.dtype, device=eyes.device).expand_as(forward)
    along = torch.linalg.cross(forward, upward, dim=-1).norm(dim=-1, keepdim=True) < 1e-6
    upward = torch.where(along, upward.new_tensor([0.0, 0.0, 1.0]), upward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, upward, dim=-1), dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(forward, right, dim=-1), forward], 1)
    translation = -torch.einsum("nij,nj->ni", rotation, eyes)
    if half_width is not None:
        return CameraBatch(rotation, translation, half_width, orthographic=True)
    return CameraBatch(rotation, translation, math.tan(math.radians(half_angle)))
