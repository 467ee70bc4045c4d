"""A network that gives a shape from one image: what all of them have in common, and their folders on disk.

Shapes lie in their own frame, +y up, within the ball of radius 0.5 around the origin. Where a network answers in the
frame of the camera instead (`frame` is "view"), its axes are those of the camera, x right, y up, z towards it, around
the same origin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from liftnet.models import reconstruction_networks
from liftnet.models.folder import ModelKind, build_architecture
from liftnet.models.reconstruction_networks import NetworkSettings

Frame = Literal["object", "view"]
Surface = tuple[Tensor, Tensor]
"""Vertices (V, 3), differentiable, and faces (F, 3) of a mesh; both may be empty."""


@dataclass(frozen=True, eq=False)
class Views:
    """Pictures of B shapes and how they were taken.

    Attributes:
        images: (B, 4, S, S) in [0, 1]: red, green, blue and the mask; the shape fills the picture.
        rotation: (B, 3, 3), from the shape's frame to that of the camera: x right, y up, z towards it.
        distance: (B,) of the camera from the shape's origin, which lies on its axis.
        half_width: (B,) tangent of half its viewing angle: what the picture shows at distance 1.
    """

    images: Tensor
    rotation: Tensor
    distance: Tensor
    half_width: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Views:
        """The same on another device."""
        return Views(*(getattr(self, each.name).to(device, non_blocking=non_blocking) for each in fields(self)))


class ReconstructionNetwork(nn.Module, ABC):
    """Base of the networks in `liftnet.models.reconstruction_networks`.

    What `forward` returns is the network's own, for its loss; `surfaces` makes meshes of it.

    Attributes:
        image_size: Side of the square pictures it sees, px; others are resized by `forward`.
        frame: Which frame its shapes lie in.
        voxels: Cells along a side of the grids of voxels that it is trained with.
        own_losses: What its paper trains it with: names of losses of the stage `reconstruct`, each with its weight.
        settings: What `network_from` built it from.
    """

    image_size: int
    frame: Frame = "object"
    voxels: int = 32
    own_losses: Mapping[str, float] = MappingProxyType({})
    settings: NetworkSettings

    @abstractmethod
    def forward(self, views: Views) -> Any:
        """What the network says of B pictures."""

    @abstractmethod
    def surfaces(self, prediction: Any) -> list[Surface]:
        """The mesh of each of the B shapes in the network's frame, differentiable in the prediction."""

    def object_surfaces(self, prediction: Any, views: Views) -> list[Surface]:
        """The mesh of each of the B shapes in the shape's own frame, whatever the network's."""
        surfaces = self.surfaces(prediction)
        if self.frame == "object":
            return surfaces
        turned = zip(surfaces, views.rotation, strict=True)
        return [(vertices @ rotation.to(vertices), faces) for (vertices, faces), rotation in turned]


def network_from(settings: NetworkSettings) -> ReconstructionNetwork:
    """The network that the settings describe, with random weights."""
    network: ReconstructionNetwork = build_architecture(reconstruction_networks, settings.architecture, settings)
    network.settings = settings
    return network


def resized(images: Tensor, side: int) -> Tensor:
    """Square pictures (B, C, S, S) as (B, C, side, side), bilinear and without aliasing."""
    if images.shape[-1] == side:
        return images
    return torch.nn.functional.interpolate(
        images, size=(side, side), mode="bilinear", align_corners=False, antialias=True
    )


RECONSTRUCTION: ModelKind[NetworkSettings, ReconstructionNetwork] = ModelKind(
    "reconstruction network", NetworkSettings, network_from, "reconstruct train"
)
