"""A trained MVCNN: from shapes to descriptors and classes, and its file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.types import FloatArray, UInt8Array
from liftnet.mesh.mesh import TriangleMesh
from liftnet.models.mvcnn import ViewNetwork
from liftnet.shape.mvcnn.settings import MvcnnSettings
from liftnet.shape.mvcnn.views import shaded_views

REMEDY = "Train one with `python -m liftnet drkfs train mvcnn`"


@dataclass(frozen=True, repr=False)
class Mvcnn:
    """A network and what it was trained to see.

    Attributes:
        network: In evaluation mode.
        settings: The views it expects, and its backbone.
        classes: Names of its classes.
    """

    network: ViewNetwork
    settings: MvcnnSettings
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Mvcnn({self.settings.backbone}, {len(self.classes)} classes)"

    @torch.inference_mode()
    def describe_views(self, views: UInt8Array) -> tuple[FloatArray, FloatArray]:
        """The descriptor (D,), of length 1, and the probabilities of the classes (C,), by views (V, S, S)."""
        described = self.network.describe(torch.from_numpy(views)[None])
        descriptor = nn.functional.normalize(described[0], dim=0)
        return descriptor.numpy(), self.network.classifier(described)[0].softmax(0).numpy()

    def save(self, path: Path | str) -> None:
        """Write the weights with settings and classes as safetensors, atomically."""
        from safetensors.torch import save

        recipe = {"settings": self.settings.model_dump(), "classes": self.classes}
        tensors = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        write_bytes(path, save(tensors, metadata={"recipe": json.dumps(recipe, sort_keys=True)}))


def load_mvcnn(path: Path | str) -> Mvcnn:
    """Read a trained network.

    Args:
        path: The file model.safetensors, or the folder that holds it.

    Raises:
        LiftnetError: The file is missing, damaged or no MVCNN.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise LiftnetError(path, "does not exist", REMEDY)
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _read(path: Path, changed: int) -> Mvcnn:
    """Read a file once; again when it has changed."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as opened:
            recipe = json.loads((opened.metadata() or {})["recipe"])
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (it is no dict)
        settings, classes = MvcnnSettings(**recipe["settings"]), tuple(recipe["classes"])
        network = ViewNetwork(settings.backbone, len(classes))
        network.load_state_dict(weights)
    except (SafetensorError, KeyError, TypeError, ValueError, ValidationError, RuntimeError, OSError) as error:
        raise LiftnetError(path, f"is no trained MVCNN ({str(error).splitlines()[0]})", REMEDY) from error
    return Mvcnn(network.eval(), settings, classes)


def untrained_mvcnn(settings: MvcnnSettings, classes: Sequence[str] = ("none",), seed: int = 0) -> Mvcnn:
    """A network with the weights that training starts from; its descriptors are the backbone's own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ViewNetwork(settings.backbone, len(classes))
    network.start(settings.init_from)
    return Mvcnn(network.eval(), settings, tuple(classes))


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
