"""A network that gives a shape from one image: what all of them have in common, and their folders on disk.

Shapes lie in their own frame, +y up, within the ball of radius 0.5 around the origin. Where a network answers in the
frame of the camera instead (`frame` is "view"), its axes are those of the camera, x right, y up, z towards it, around
the same origin.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from liftnet.core.errors import LiftnetError
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.mesh.mesh import TriangleMesh
from liftnet.models import reconstruction_networks
from liftnet.models.depth_input import box_around, cut, cut_share
from liftnet.models.folder import CONFIG, ModelKind, SavedModel, build_architecture, model_folder
from liftnet.models.folder import load_model as load_network
from liftnet.models.folder import save_model as save_network
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
        voxels: Along a side of the grids of voxels that it is trained with.
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


def initial_network(settings: NetworkSettings, seed: int) -> ReconstructionNetwork:
    """A network to train; the seed decides its weights, and the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network_from(settings)


def resized(images: Tensor, side: int) -> Tensor:
    """Square pictures (B, C, S, S) as (B, C, side, side), bilinear and without aliasing."""
    if images.shape[-1] == side:
        return images
    return torch.nn.functional.interpolate(
        images, size=(side, side), mode="bilinear", align_corners=False, antialias=True
    )


def on_background(images: Tensor, gray: float) -> Tensor:
    """Pictures (B, 4, S, S) as (B, 3, S, S): the shape before an even background."""
    colours, mask = images[:, :3], images[:, 3:]
    return colours * mask + gray * (1 - mask)


RECONSTRUCTION: ModelKind[NetworkSettings, ReconstructionNetwork] = ModelKind(
    "reconstruction network", NetworkSettings, network_from, "reconstruct train"
)


@dataclass(frozen=True)
class Camera:
    """How the pictures that a network has seen were taken, the middle of each number: what a photograph is taken for.

    Attributes:
        distance: Of the camera from the shape's origin.
        half_width: Tangent of half its viewing angle.
        fill: Longer side of the shape in a picture, as a share of the picture's side.
    """

    distance: float
    half_width: float
    fill: float


@dataclass
class ReconstructionModel:
    """A network with all it takes to run it.

    Attributes:
        network: The network, in evaluation mode.
        camera: What photographs are taken for.
        notes: What config.json says besides: settings, training, data.
    """

    network: ReconstructionNetwork
    camera: Camera
    notes: dict[str, Any] = field(default_factory=dict)

    def views(self, image: UInt8Array, mask: BoolArray | None = None) -> Views:
        """A photograph as the network sees it: cropped so that the sculpture fills the square as in training.

        Args:
            image: (H, W, 3) uint8 RGB, as displayed.
            mask: (H, W) bool, the sculpture; without one all of the image counts as foreground.

        Raises:
            ValueError: The mask is not of the image's size.
        """
        if mask is None:
            mask = np.ones(image.shape[:2], bool)
        if mask.shape != image.shape[:2]:
            raise ValueError(f"the mask is {mask.shape}, the image {image.shape[:2]}")
        box, side = box_around(mask, (1 / self.camera.fill - 1) / 2), self.network.image_size
        share = cut_share(mask, box, side)
        pixels = np.where(share[..., None] > 0, cut(image, box, side), 0)  # black off the shape, as in training
        planes = torch.from_numpy(np.concatenate([pixels, share[..., None]], 2)).permute(2, 0, 1)[None].float() / 255
        distance, half_width = torch.tensor([self.camera.distance]), torch.tensor([self.camera.half_width])
        return Views(planes, torch.eye(3)[None], distance, half_width)

    @torch.inference_mode()
    def reconstruct(self, image: UInt8Array, mask: BoolArray | None = None) -> TriangleMesh:
        """The shape that a photograph shows.

        Args:
            image: (H, W, 3) uint8 RGB, as displayed.
            mask: (H, W) bool, the sculpture; without one all of the image counts as foreground.

        Returns:
            A mesh in the ball of radius 0.5, y up: in the shape's own frame, its front towards +z, or for networks
            whose `frame` is "view" as the camera sees it. Without faces where the network says that there is nothing.

        Raises:
            ValueError: What the network says is not finite, or the mask is not of the image's size.
        """
        device = next(self.network.parameters()).device
        vertices, faces = self.network.surfaces(self.network(self.views(image, mask).to(device)))[0]
        if not bool(vertices.isfinite().all()):
            raise ValueError("the vertices of the mesh are not finite")
        return TriangleMesh(vertices.double().cpu().numpy(), faces.cpu().numpy())


def save_model(folder: Path, model: ReconstructionModel) -> None:
    """Write model.safetensors and config.json, each atomically."""
    notes = model.notes | {"camera": asdict(model.camera)}
    save_network(folder, RECONSTRUCTION, SavedModel(model.network, model.network.settings, notes))


def load_model(source: Path | str, device: str = "cpu") -> ReconstructionModel:
    """Read what `save_model` wrote.

    Args:
        source: The folder, or the name of a model that ships with the package.
        device: Where the network goes, as torch names it.

    Raises:
        LiftnetError: A file is missing, damaged or of another version or kind of model.
    """
    saved = load_network(source, RECONSTRUCTION, device)
    try:
        camera = Camera(**{name: float(value) for name, value in saved.notes.pop("camera").items()})
        if not all(0 < value < math.inf for value in asdict(camera).values()):
            raise ValueError(f"{camera} is none")
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        what = model_folder(source) / CONFIG
        remedy = f"Train it again with `{RECONSTRUCTION.command}`"
        raise LiftnetError(what, f"does not say how its pictures were taken ({error})", remedy) from error
    return ReconstructionModel(saved.network, camera, saved.notes)
