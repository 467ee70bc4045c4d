"""Bags of geometric words, alone and in pairs, and their distance (Bronstein et al., Shape Google, TOG 2011)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from scipy.cluster.vq import kmeans2

from liftnet.core.documents import parse_json
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.stored_arrays import open_tensors
from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.mesh import TriangleMesh
from liftnet.models.folder import Card, check_shipped, paragraph
from liftnet.shape.collection import LabelledMesh, labelled_meshes, read_or_none
from liftnet.shape.laplacian import (
    Spectrum,
    heat_kernel_signature,
    point_spectrum,
    sampled_spectrum,
    surface_spectrum,
)
from liftnet.shape.settings import ShapeGoogleSettings

LOG = get_logger("drkfs")
VOCABULARY = "vocabulary.safetensors"
POINTS_A_SHAPE = 300  # signatures of a shape that take part in the clustering
ITERATIONS = 50
REMEDY = "Train one with `python -m liftnet drkfs train vocabulary`, or leave it out to use the one of the package"


def describe(
    mesh: TriangleMesh, vocabulary: Vocabulary | None = None, seed: int = 0, points: FloatArray | None = None
) -> FloatArray:
    """The bag of features of a shape: how much of its area belongs to each word.

    It depends neither on place, rotation, scale nor bending, and not on how the surface is cut into triangles. Its
    cost is that of the vocabulary's number of points, however many faces there are.

    Args:
        mesh: The surface, open or not, of whatever parts.
        vocabulary: The words; those of the package if None.
        seed: Of the points that are drawn.
        points: (N, 3) of its surface, drawn evenly, instead of such; words of meshes' vertices do not use them.

    Returns:
        (W,) fractions, their sum is 1.
    """
    vocabulary = vocabulary or load_vocabulary()
    signatures, areas = signatures_of(mesh, vocabulary.settings, seed, points)
    return areas @ vocabulary.memberships(signatures)


def describe_pairs(
    mesh: TriangleMesh, vocabulary: Vocabulary | None = None, seed: int = 0, time: float | None = None
) -> FloatArray:
    """The spatially sensitive bag of a shape: how much of its heat goes from word to word.

    Args:
        mesh: The surface.
        vocabulary: The words; those of the package if None.
        seed: Of the points that are drawn.
        time: How long the heat flows, in units of the area; the first time of the signatures if None.

    Returns:
        (W, W) integral of theta(x) theta(y)^T K_t(x, y) over all pairs of points, symmetric, its sum is 1.
    """
    vocabulary = vocabulary or load_vocabulary()
    spectrum = spectrum_of(mesh, vocabulary.settings, seed)
    members = vocabulary.memberships(heat_kernel_signature(spectrum, vocabulary.times))
    along = spectrum.functions.T @ (spectrum.areas[:, None] * members)
    decay = np.exp(-spectrum.eigenvalues * (vocabulary.times[0] if time is None else time))
    return along.T @ (decay[:, None] * along)


def distance(a: FloatArray, b: FloatArray) -> float:
    """The sum of absolute differences of two bags, both from one vocabulary: 0 to 2 for `describe`.

    Raises:
        ValueError: The bags have different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"bags of one vocabulary have the same shape, these have {a.shape} and {b.shape}")
    return float(np.abs(a - b).sum())


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """Geometric words and how the signatures they are compared with are computed.

    Attributes:
        words: (W, T) signatures at T times.
        sigma: Width of a word: a signature at this distance still belongs to it by exp(-1/2).
        settings: Times, points and eigenfunctions of the signatures.
        shapes: Number of shapes it was learnt from.
    """

    words: FloatArray
    sigma: float
    settings: ShapeGoogleSettings
    shapes: int

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.words)} words from {self.shapes} shapes)"

    @property
    def times(self) -> FloatArray:
        """(T,) times of the signatures, in units of the area."""
        return times_of(self.settings)

    def memberships(self, signatures: FloatArray) -> FloatArray:
        """(N, W) how far each of the signatures (N, T) belongs to each word; rows sum to 1.

        theta_w(x) = c(x) exp(-|p(x) - w|^2 / (2 sigma^2)), the soft quantisation of Shape Google.
        """
        squared = ((signatures[:, None] - self.words) ** 2).sum(-1)
        weights = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / (2 * self.sigma**2))
        return weights / weights.sum(axis=1, keepdims=True)

    def save(self, path: Path | str) -> None:
        """Write it as safetensors, atomically."""
        from safetensors.numpy import save

        recipe = {"settings": self.settings.model_dump(), "shapes": self.shapes}
        tensors = {"words": self.words.astype(np.float64), "sigma": np.array([self.sigma], np.float64)}
        write_bytes(path, save(tensors, metadata={"recipe": json.dumps(recipe, sort_keys=True)}))


def load_vocabulary(path: Path | str | None = None) -> Vocabulary:
    """Read a vocabulary; without a path the one that comes with the package.

    Raises:
        LiftnetError: The file is missing, damaged or no vocabulary.
    """
    return _shipped() if path is None else _read(Path(path))


@lru_cache(maxsize=1)
def _shipped() -> Vocabulary:
    return _read(Path(str(files("liftnet.shape") / VOCABULARY)))


def _read(path: Path) -> Vocabulary:
    from safetensors import SafetensorError

    if not path.exists():
        raise LiftnetError(path, "does not exist", REMEDY)
    check_shipped(path)
    try:
        with open_tensors(path, "numpy") as opened:
            recipe = parse_json((opened.metadata() or {})["recipe"])
            words, sigma = opened.get_tensor("words"), float(opened.get_tensor("sigma")[0])
        settings, shapes = ShapeGoogleSettings(**recipe["settings"]), int(recipe["shapes"])
    except (SafetensorError, KeyError, ValueError, TypeError, ValidationError, OSError) as error:
        raise LiftnetError(path, f"is no vocabulary of Shape Google ({error})", REMEDY) from error
    if words.ndim != 2 or words.shape[1] != settings.times or not sigma > 0 or not np.isfinite(words).all():
        raise LiftnetError(path, f"has words {words.shape} for {settings.times} times", REMEDY)
    return Vocabulary(words, sigma, settings, shapes)


def times_of(settings: ShapeGoogleSettings) -> FloatArray:
    """(T,) times of the signatures in geometric progression, in units of the area."""
    return np.geomspace(settings.first_time, settings.last_time, settings.times)


def spectrum_of(
    mesh: TriangleMesh, settings: ShapeGoogleSettings, seed: int = 0, points: FloatArray | None = None
) -> Spectrum:
    """The eigenfunctions that the settings ask for: on points of the surface, or on the mesh's vertices."""
    if settings.surface == "mesh":
        return surface_spectrum(mesh, settings.eigenpairs)
    if points is not None:
        return point_spectrum(points[: settings.points], settings.eigenpairs)
    return sampled_spectrum(mesh, settings.points, settings.eigenpairs, seed)


def signatures_of(
    mesh: TriangleMesh, settings: ShapeGoogleSettings, seed: int = 0, points: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Signatures (N, T) of points of a surface, and the fraction of the area (N,) that each stands for."""
    spectrum = spectrum_of(mesh, settings, seed, points)
    return heat_kernel_signature(spectrum, times_of(settings)), spectrum.areas


def drawn_signatures(mesh: TriangleMesh, settings: ShapeGoogleSettings, seed: int = 0) -> FloatArray:
    """The signatures (at most 300, T) of a shape that take part in the clustering, drawn by area."""
    signatures, areas = signatures_of(mesh, settings, seed)
    generator = np.random.default_rng(seed)
    return signatures[generator.choice(len(areas), min(POINTS_A_SHAPE, len(areas)), replace=False, p=areas)]


def cluster_words(drawn: list[FloatArray], settings: ShapeGoogleSettings, seed: int = 0) -> Vocabulary:
    """Cluster signatures into words.

    Args:
        drawn: Signatures (N_i, T) of each shape.
        settings: How they were computed, and how many words.
        seed: Of the clusters' beginning.

    Returns:
        The centres of k-means, and `softness` times the median radius of the clusters as the words' width.

    Raises:
        LiftnetError: There are too few signatures for so many words.
    """
    together = np.concatenate(drawn) if drawn else np.zeros((0, 1))
    if len(together) < 2 * settings.words:
        reason = f"give {len(together)} signatures, too few for {settings.words} words"
        raise LiftnetError("the shapes", reason, "Give more shapes, or ask for fewer words")
    generator = np.random.default_rng(seed)
    # begun at signatures as they come: k-means++ spends most words on the few thin parts, whose signatures are huge,
    # and finds shapes of a class much worse
    words, word = kmeans2(together, settings.words, ITERATIONS, minit="points", seed=generator)
    return Vocabulary(words, settings.softness * _radius(together, words, word), settings, len(drawn))


def _radius(signatures: FloatArray, words: FloatArray, word: IntArray) -> float:
    """The median over clusters of the root mean square distance of their members from their centre."""
    squared = ((signatures - words[word]) ** 2).sum(-1)
    members = np.bincount(word, minlength=len(words))
    means = np.bincount(word, squared, len(words)) / np.maximum(members, 1)
    return float(np.sqrt(np.median(means[members > 1])))


def train_vocabulary(
    meshes: Path, model: Path, settings: ShapeGoogleSettings, seed: int = 0, threads: int = 1
) -> Vocabulary:
    """Learn words from the shapes of the split train and write vocabulary.safetensors and README.md.

    Args:
        meshes: Folder of `<class>/<name>.ply`, as `render shapes` writes it.
        model: Folder that is written.
        settings: Signatures and words.
        seed: Of the points that are drawn and of the clusters.
        threads: Shapes that are described at a time; the words do not depend on it.

    Raises:
        LiftnetError: The folder cannot be used, or there are too few shapes that can be read.
    """
    shapes = [shape for shape in labelled_meshes(meshes) if shape.split == "train"]

    def signatures(shape: LabelledMesh) -> FloatArray | None:
        mesh = read_or_none(shape)
        try:
            return None if mesh is None else drawn_signatures(mesh, settings, seed)
        except (ValueError, RuntimeError) as error:  # of the Laplacian and of ARPACK
            LOG.warning("left out: %s has no spectrum (%s)", shape.path, error)
            return None

    found = map_threads(signatures, shapes, threads, "drkfs", "signatures of shapes")
    vocabulary = cluster_words([drawn for drawn in found if drawn is not None], settings, seed)
    vocabulary.save(model / VOCABULARY)
    _card(vocabulary, sorted({shape.label for shape in shapes}), seed).write(model)
    LOG.info("%d words of %d shapes: %s", len(vocabulary.words), len(shapes), model)
    return vocabulary


def _card(vocabulary: Vocabulary, classes: list[str], seed: int) -> Card:
    settings = vocabulary.settings
    what = f"""{len(vocabulary.words)} words for the bags of features of Bronstein et al., Shape Google (TOG 2011): the
        centres of k-means over heat kernel signatures of {vocabulary.shapes} shapes (those of the split train); seed
        {seed}."""
    facts = [
        f"Classes: {', '.join(classes)}.",
        f"Signature: {settings.times} times from {settings.first_time:g} to {settings.last_time:g} in units of the "
        f"shape's area, from {settings.eigenpairs} eigenfunctions of the Laplacian on {settings.points} points drawn "
        "from the surface.",
        f"Width of a word: sigma = {vocabulary.sigma:.4g}, {settings.softness:g} times the median radius of the "
        "clusters.",
        f"`{VOCABULARY}` holds `words`, `sigma` and, in its metadata, these settings; descriptors of two shapes can "
        "be compared where both come from one vocabulary.",
    ]
    return Card(
        title="Geometric words of Shape Google",
        licence="other",
        tags=("3d-shape-retrieval", "shape-google"),
        summary=paragraph(what),
        data="\n".join(f"- {fact}" for fact in facts),
    )
