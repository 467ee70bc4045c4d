"""MVCNN as it is used: the views of a shape, a trained network, descriptors and classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from liftnet.core.types import UInt8Array
from liftnet.mesh.mesh import FloatArray, TriangleMesh
from liftnet.models.folder import WEIGHTS, ModelKind, SavedModel, load_model, save_model
from liftnet.models.mvcnn import ViewNetwork
from liftnet.rasteriser import Light, Softness, render_soft
from liftnet.rasteriser.camera_batch import CameraBatch, look_at
from liftnet.shape.settings import MvcnnNetworkSettings, MvcnnSettings, ViewSettings

HALF_ANGLE = 15.0  # degrees; from this distance the unit sphere just fills the image
DISTANCE = 1 / math.sin(math.radians(HALF_ANGLE))
SOFTNESS = 3e-5  # squared image distance: a quarter of a pixel at 112 px, against steps at edges
LIGHT = Light(ambient=0.3, directional=0.7)
MVCNN: ModelKind[MvcnnNetworkSettings, ViewNetwork] = ModelKind(
    "mvcnn",
    MvcnnNetworkSettings,
    lambda settings: ViewNetwork(settings.backbone, len(settings.classes)),
    "drkfs train mvcnn",
)


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


def shaded_views(mesh: TriangleMesh, settings: ViewSettings) -> UInt8Array:
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


@dataclass(frozen=True, repr=False)
class Mvcnn:
    """A network and what it was trained to see.

    Attributes:
        network: In evaluation mode.
        settings: The views it expects, its backbone and its classes.
    """

    network: ViewNetwork
    settings: MvcnnNetworkSettings

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its classes."""
        return tuple(self.settings.classes)

    def __repr__(self) -> str:
        return f"Mvcnn({self.settings.backbone}, {len(self.classes)} classes)"

    @torch.inference_mode()
    def describe_views(self, views: UInt8Array) -> tuple[FloatArray, FloatArray]:
        """The descriptor (D,), of length 1, and the probabilities of the classes (C,), by views (V, S, S)."""
        described = self.network.describe(torch.from_numpy(views)[None])
        descriptor = nn.functional.normalize(described[0], dim=0)
        return descriptor.numpy(), self.network.classifier(described)[0].softmax(0).numpy()

    def save(self, folder: Path, notes: dict[str, object]) -> None:
        """Write weights and config.json, atomically."""
        save_model(folder, MVCNN, SavedModel(self.network, self.settings, notes))


def load_mvcnn(path: Path | str) -> Mvcnn:
    """Read a trained network.

    Args:
        path: Its folder, or model.safetensors in it.

    Raises:
        LiftnetError: A file is missing, damaged or of another model.
    """
    path = Path(path)
    folder = path.parent if path.name == WEIGHTS else path
    weights = folder / WEIGHTS
    return _read(folder, weights.stat().st_mtime_ns if weights.exists() else 0)


@lru_cache(maxsize=2)
def _read(folder: Path, changed: int) -> Mvcnn:
    """Read a folder once; again when it has changed."""
    saved = load_model(folder, MVCNN)
    return Mvcnn(saved.network, saved.settings)


def untrained_mvcnn(settings: MvcnnSettings, classes: Sequence[str] = ("none",), seed: int = 0) -> Mvcnn:
    """A network with the weights that training starts from; its descriptors are the backbone's own."""
    network, _ = initial_network(settings, len(classes), seed)
    return Mvcnn(network.eval(), network_settings(settings, classes))


def initial_network(settings: MvcnnSettings, classes: int, seed: int) -> tuple[ViewNetwork, str]:
    """A network to train, and what its backbone starts from; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ViewNetwork(settings.backbone, classes)
    return network, network.start(settings.init_from)


def network_settings(settings: ViewSettings, classes: Sequence[str]) -> MvcnnNetworkSettings:
    """What a network is that sees such views and knows such classes."""
    return MvcnnNetworkSettings(**settings.model_dump(include=set(ViewSettings.model_fields)), classes=list(classes))


def describe(mesh: TriangleMesh, model: Mvcnn) -> FloatArray:
    """The descriptor of a shape: features of the views, the largest over all views, scaled to length 1.

    The shape stands upright (+y up); where it stands, how large it is and, nearly, how it is turned by multiples of
    360 / views degrees about the vertical make no difference.

    Returns:
        (D,) float32; 1280 numbers of EfficientNet-Lite0, 4096 of VGG-11.
    """
    return model.describe_views(shaded_views(mesh, model.settings))[0]


def classify(mesh: TriangleMesh, model: Mvcnn) -> dict[str, float]:
    """The probability of each class."""
    probabilities = model.describe_views(shaded_views(mesh, model.settings))[1]
    return dict(zip(model.classes, probabilities.tolist(), strict=True))


def distance(a: FloatArray, b: FloatArray) -> float:
    """The Euclidean distance of two descriptors, both of one network: 0 to 2.

    Raises:
        ValueError: The descriptors have different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"descriptors of one network have the same shape, these have {a.shape} and {b.shape}")
    return float(np.linalg.norm(a.astype(np.float64) - b))
