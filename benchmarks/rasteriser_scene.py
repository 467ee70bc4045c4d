"""The scene on which rasterisers are measured: a rough sphere seen by the metric's cameras."""

from __future__ import annotations

from typing import NamedTuple

import torch
import trimesh
from torch import Tensor

from liftnet.rasteriser import Light, hemisphere

VIEWS, SIDE, SUBDIVISIONS = 25, 256, 4
SIGMAS = (1e-5, 1e-4)


class Scene(NamedTuple):
    """What all rasterisers are given: (N, V, 3) x, y in [-1, 1] and z; (F, 3); (N, F) gray values."""

    points: Tensor
    faces: Tensor
    shades: Tensor

    def triangles(self) -> tuple[Tensor, Tensor, Tensor]:
        """Triangles (N F, 3, 3), their shades (N F,) and images (N F,)."""
        image = torch.arange(len(self.points), device=self.points.device).repeat_interleave(len(self.faces))
        return self.points[:, self.faces].flatten(0, 1), self.shades.flatten(), image

    def to(self, device: str) -> Scene:
        """The same scene on a device."""
        return Scene(*(values.to(device) for values in self))


def sphere(subdivisions: int = SUBDIVISIONS, noise: float = 0.02) -> tuple[Tensor, Tensor]:
    """A sphere of radius 0.5 whose vertices are off it by a share `noise` (one sigma): 20 x 4^subdivisions faces."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.5)
    vertices = torch.tensor(ball.vertices, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    return vertices * (1 + noise * torch.randn(len(vertices), 1, generator=generator)), torch.tensor(ball.faces)


def projected(subdivisions: int = SUBDIVISIONS, views: int = VIEWS) -> Scene:
    """The sphere as the cameras of the hemisphere see it."""
    vertices, faces = sphere(subdivisions)
    cameras = hemisphere(views)
    return Scene(cameras.project(vertices), faces, Light().shade(vertices[faces], cameras))
