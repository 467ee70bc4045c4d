"""Reconstructions without a network, which the others are to be seen beside: means, retrieval, the shape's own voxels.

Retrieval is the opponent of every network that is trained on generated or repeated shapes; the shape's own voxels are
the best that a network of voxels can reach.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger, progress
from liftnet.core.types import BoolArray, Float32Array, FloatArray, IntArray
from liftnet.data.reconstruction_set import Pictures, ReconstructionSet, ReconstructionShape
from liftnet.mesh.marching_cubes import MarchingCubes
from liftnet.mesh.reading import load_mesh
from liftnet.models.reconstruction import resized
from liftnet.reconstruct.cases import Case, Reconstruction, Source

LOG = get_logger("reconstruct")
SIDE = 16  # px of the pictures that are compared
LEVELS = np.linspace(0.05, 0.95, 37)
GRAY = (0.2126, 0.7152, 0.0722)  # luminance of sRGB's primaries


class Reference(ABC):
    """Makes a reconstruction of each case from the training shapes, or from the case's own shape.

    Args:
        data: The set.
        classes: Whose training shapes are known.
        resolution: Voxels a side.
    """

    def __init__(self, data: ReconstructionSet, classes: Sequence[str], resolution: int) -> None:
        self.data, self.classes, self.resolution = data, classes, resolution

    def __call__(self, cases: Sequence[Case]) -> list[Reconstruction]:
        """The reconstruction of each case."""
        return [self.reconstruct(case) for case in cases]

    @abstractmethod
    def reconstruct(self, case: Case) -> Reconstruction:
        """The reconstruction of a case."""

    @cached_property
    def known(self) -> tuple[ReconstructionShape, ...]:
        """The training shapes."""
        return self.data.shapes("train", self.classes)

    @cached_property
    def voxels(self) -> BoolArray:
        """(N, R^3) of the training shapes."""
        listed = progress(self.known, "reconstruct", "reading voxels")
        return np.stack([self.data.voxels(shape, self.resolution).ravel() for shape in listed])

    def whole(self, shape: ReconstructionShape) -> Reconstruction:
        """A shape of the set as it is."""
        points, normals = (np.asarray(rows, np.float64) for rows in self.data.surface(shape))
        return Reconstruction(load_mesh(self.data.mesh_file(shape)), surface=(points, normals))

    def solid(self, values: FloatArray, level: float) -> Reconstruction:
        """The surface of a grid (R^3,) at a level."""
        side = self.resolution
        grid = torch.as_tensor(values, dtype=torch.float32).reshape(1, side, side, side)
        vertices, faces = MarchingCubes(level, empty="mesh")(grid)
        return Reconstruction.of_arrays(vertices[0].double().numpy(), faces[0].numpy())


class Mean(Reference):
    """The mean of all training shapes: what is known without looking."""

    def reconstruct(self, case: Case) -> Reconstruction:
        """The mean."""
        return self.mean

    @cached_property
    def mean(self) -> Reconstruction:
        """Of all training shapes."""
        return self.mean_of(self.voxels)

    def mean_of(self, voxels: BoolArray) -> Reconstruction:
        """The mean of shapes, at the level at which it has the largest mean IoU with them."""
        mean = voxels.mean(0)
        return self.solid(mean, max(LEVELS, key=lambda level: float(overlaps(mean[None] >= level, voxels).mean())))


class ClassMean(Mean):
    """The mean of the training shapes of the case's own class: what is known by whoever can tell classes apart."""

    def reconstruct(self, case: Case) -> Reconstruction:
        """The mean of its class."""
        return self.means[case.shape.class_name]

    @cached_property
    def means(self) -> dict[str, Reconstruction]:
        """By class."""
        labels = np.array([shape.class_name for shape in self.known])
        return {name: self.mean_of(self.voxels[labels == name]) for name in np.unique(labels).tolist()}


class Retrieval(Reference):
    """The training shape with the picture most like the case's: gray and mask at 16 px, by squared differences."""

    def reconstruct(self, case: Case) -> Reconstruction:
        """The nearest picture's shape."""
        mine = thumbnails(self.data.pictures(case.shape, [case.view]))
        pictures, owners = self.pictures
        return self.whole(self.known[owners[np.square(pictures - mine).sum(1).argmin()]])

    @cached_property
    def pictures(self) -> tuple[Float32Array, IntArray]:
        """Small pictures (P, 512) of the training shapes, and which shape each shows."""
        listed = progress(self.known, "reconstruct", "reading pictures")
        small = [thumbnails(self.data.pictures(shape)) for shape in listed]
        return np.concatenate(small), np.repeat(np.arange(len(small)), [len(each) for each in small])


class RetrievalOracle(Reference):
    """The training shape with the largest IoU with the true shape: the best that any retrieval could find."""

    def reconstruct(self, case: Case) -> Reconstruction:
        """The shape that overlaps most."""
        mine = self.data.voxels(case.shape, self.resolution).reshape(1, -1)
        return self.whole(self.known[overlaps(mine, self.voxels).argmax()])


class OwnVoxels(Reference):
    """The surface of the true shape's own voxels: the best that a network of such voxels could do."""

    def reconstruct(self, case: Case) -> Reconstruction:
        """Its voxels."""
        return self.solid(self.data.voxels(case.shape, self.resolution).ravel().astype(np.float32), 0.5)


REFERENCES: dict[str, type[Reference]] = {
    "mean": Mean,
    "class_mean": ClassMean,
    "retrieval": Retrieval,
    "retrieval_oracle": RetrievalOracle,
    "own_voxels": OwnVoxels,
}
"""What is reconstructed without a network, by name."""


def reference(name: str, data: ReconstructionSet, classes: Sequence[str], resolution: int) -> Source:
    """A reference by its name; the training shapes are read when it is first used.

    Raises:
        LiftnetError: There is none of this name.
    """
    if name not in REFERENCES:
        raise LiftnetError(f"--reference {name}", "is not known", f"Choose one of {', '.join(REFERENCES)}")
    return REFERENCES[name](data, classes, resolution)


def overlaps(mine: BoolArray, others: BoolArray) -> FloatArray:
    """(N,) intersection over union of voxels (1, V) with each of (N, V); 0 where both are empty."""
    shared = (mine & others).sum(1)
    return np.asarray(shared / np.maximum((mine | others).sum(1), 1))


def thumbnails(pictures: Pictures) -> Float32Array:
    """(K, 512) gray values before black, then masks, of pictures made 16 px small."""
    planes = torch.from_numpy(pictures.images).float() / 255
    mask = planes[:, 3:]
    gray = (planes[:, :3] * torch.tensor(GRAY)[:, None, None]).sum(1, keepdim=True) * mask
    return resized(torch.cat([gray, mask], 1), SIDE).flatten(1).numpy()
