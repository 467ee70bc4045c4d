"""Training of the patch descriptor HardNet by its published recipe, on points of the dataset.

Mishchuk, Mishkin, Radenovic and Matas, "Working hard to know your neighbor's margins: Local descriptor learning loss"
(NIPS 2017), and their code: stochastic gradient descent from a learning rate of 10 that falls linearly to 0, momentum
and dampening .9, weight decay 1e-4, orthogonal initial weights of gain .6, quarter turns and mirror images. Only batch
and number of steps are smaller here: they had a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from kornia.feature import HardNet
from scipy.sparse import csr_matrix, triu
from torch import Tensor, nn
from torch.nn import functional

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.types import BoolArray, Float32Array, FloatArray, Int64Array, UInt8Array
from liftnet.drkfs.points import PointSet
from liftnet.drkfs.settings import DescriptorSettings
from liftnet.learn import loop
from liftnet.learn.checkpoint import Checkpoint, Row, identity
from liftnet.learn.loop import Run
from liftnet.learn.task import LossTerms, Networks, Part, Task, Validation, mean_terms

MARGIN = 1.0  # HardNet, section 3
SAME = 0.008  # descriptors closer than this are of the same patch, and no negatives
GAIN = 0.6  # of the orthogonal initial weights
VALIDATION_PAIRS = 4000
CHUNK = 512  # patches described at once where no gradient is needed


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of points.

    Attributes:
        pixels: (N, 32, 32) uint8.
        track: (N,) the point that each shows, turned to one direction.
        place: (N,) the point that each shows, whatever the direction.
    """

    pixels: UInt8Array
    track: Int64Array
    place: Int64Array

    def rows(self, count: int, generator: np.random.Generator) -> tuple[Int64Array, Int64Array]:
        """Draw `count` points and two of the patches of each: two (count,) arrays of indices; no point twice.

        Where there are fewer points, all are drawn.
        """
        order = np.lexsort([generator.random(len(self.track)), self.track, self.place])
        place, track = self.place[order], self.track[order]
        same = np.flatnonzero((track[1:] == track[:-1]) & (place[1:] == place[:-1]))  # neighbours that are a pair
        picked = generator.permutation(same)
        _, first = np.unique(place[picked], return_index=True)
        chosen = generator.permutation(picked[first])[:count]
        return order[chosen], order[chosen + 1]


def new_hardnet(seed: int) -> HardNet:
    """HardNet as training begins: orthogonal weights of gain .6 from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "hardnet"))
        network = HardNet(pretrained=False)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight, gain=GAIN)
    return network


def describe(network: HardNet, patches: Tensor, precision: str = "float32") -> Tensor:
    """(N, 128) unit descriptors, float32, of patches (N, 32, 32); bfloat16 holds for the convolutions alone."""
    standard = network._normalize_input(patches[:, None])
    with torch.autocast(patches.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        features = network.features(standard)
    return functional.normalize(features.float().flatten(1), dim=1)


@torch.no_grad()
def describe_all(network: nn.Module, pixels: UInt8Array, precision: str = "float32") -> Float32Array:
    """(N, 128) descriptors of uint8 patches (N, 32, 32) by HardNet, or by another module of (N, 1, 32, 32)."""
    network.eval()
    parts = []
    for start in range(0, len(pixels), CHUNK):
        patches = torch.from_numpy(pixels[start : start + CHUNK]).float() / 255
        parts.append(
            describe(network, patches, precision) if isinstance(network, HardNet) else network(patches[:, None])
        )
    return torch.cat(parts).numpy() if parts else np.empty((0, 128), np.float32)


class HardnetTask(Task):
    """Learns HardNet from pairs of patches of the same points.

    Args:
        train: What it learns from.
        validation: What FPR95 is measured on, now and then; it decides nothing.
        settings: Points in a step, precision.
        seed: Of initial weights, draws and turns.
    """

    name, headline = "HardNet", "val_fpr95"

    def __init__(self, train: Patches, validation: Patches, settings: DescriptorSettings, seed: int) -> None:
        self.train, self.validation, self.settings, self.seed = train, validation, settings.train, seed
        self.network = new_hardnet(seed)
        self.networks = {"hardnet": self.network}

    def batch(self, step: int, part: Part) -> Tensor:
        """(2, N, 32, 32) patches of N points, both of a point turned alike.

        Raises:
            LiftnetError: There are fewer than two points.
        """
        generator = np.random.default_rng(stable_seed(self.seed, "descriptor", str(step), *part.names))
        first, second = self.train.rows(self.settings.batch_size // part.processes, generator)
        if len(first) < 2:
            what, reason = "drkfs train descriptor", "fewer than two points are seen twice"
            raise LiftnetError(what, reason, "Collect more photographs")
        pixels = torch.from_numpy(self.train.pixels[np.stack([first, second])]).float() / 255
        return turned(pixels, torch.from_numpy(generator.integers(8, size=len(first))))

    def terms(self, networks: Networks, batch: Tensor, generator: torch.Generator) -> LossTerms:
        """HardNet's loss of a batch."""
        descriptors = describe(self.network, batch.flatten(0, 1), self.settings.precision)
        return {"loss": hardest_in_batch(*descriptors.unflatten(0, batch.shape[:2]))}

    def validate(self, networks: Networks, at: Validation) -> Row:
        """FPR95 of pairs of held-out patches."""
        generator = np.random.default_rng(stable_seed(self.seed, "validation"))
        first, second = self.validation.rows(VALIDATION_PAIRS, generator)
        rows = np.concatenate([first, second])
        described = describe_all(self.network, self.validation.pixels[rows], self.settings.precision)
        return {
            "iteration": at.step,
            "loss": mean_terms(at.terms)["loss"],
            "val_fpr95": false_positive_rate(described[: len(first)], described[len(first) :]),
            "learning_rate": at.learning_rate,
            "cpu_seconds": round(at.cpu_seconds, 1),
        }

    def score(self, row: Row) -> None:
        """The last weights are kept."""
        return


def train_descriptor(
    train: Patches, validation: Patches, folder: Path, settings: DescriptorSettings, seed: int
) -> tuple[HardNet, Checkpoint]:
    """Train HardNet; a stopped run resumes from `folder`/checkpoint.pt with the same numbers.

    Args:
        train: What it learns from.
        validation: What FPR95 is measured on, now and then; it decides nothing.
        folder: Of checkpoint.pt and metrics.csv.
        settings: Steps, batch, learning rate, precision.
        seed: Of initial weights, draws, turns and dropout.

    Raises:
        LiftnetError: There are fewer than two points, or the loss is no number.
    """
    task = HardnetTask(train, validation, settings, seed)
    data = [np.ascontiguousarray(part).tobytes() for part in (train.pixels, train.track, validation.pixels)]
    run = Run("drkfs", folder, seed, identity(settings, seed, data), device="cpu")
    state = loop.train(task, settings.train, run)
    return task.network, state


def turned(pixels: Tensor, turns: Tensor) -> Tensor:
    """Turn patches (2, N, H, W) by `turns` (N,) quarters, both of a point alike; from 4 on they are mirrored too."""
    result = torch.empty_like(pixels)
    for turn in range(8):
        rows = turns == turn
        some = pixels[:, rows].rot90(turn % 4, dims=(-2, -1))
        result[:, rows] = some.flip(-1) if turn >= 4 else some
    return result


def descriptor_distances(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) Euclidean distances of unit descriptors (N, D) and (M, D), with a gradient where they are equal."""
    return torch.sqrt((2 - 2 * a @ b.T).clamp_min(0) + 1e-6)


def hardest_in_batch(first: Tensor, second: Tensor) -> Tensor:
    """HardNet's loss: each positive pair is told from the hardest negative of its batch.

    Mishchuk et al., "Working hard to know your neighbor's margins" (NIPS 2017), equations 3 and 4: the negative of a
    pair is the nearest of all descriptors of the other side to either of the two (anchor swap), and the triplet
    margin is 1.

    Args:
        first: (N, D) unit descriptors, a row a point.
        second: (N, D), of the same points in other images. No two rows are of one point.

    Returns:
        Scalar, the mean of max(0, 1 + positive distance - hardest negative distance).

    Raises:
        ValueError: The two are of different shape, or there is no negative.
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ValueError(f"descriptors are {tuple(first.shape)} and {tuple(second.shape)}, not twice (N >= 2, D)")
    distances = descriptor_distances(first, second)
    positive = distances.diagonal()
    no_negative = torch.eye(len(first), dtype=torch.bool, device=first.device) | (distances.detach() < SAME)
    others = distances.masked_fill(no_negative, math.inf)
    hardest = torch.minimum(others.amin(dim=1), others.amin(dim=0))
    return functional.relu(MARGIN + positive - hardest).mean()


def false_positive_rate(first: FloatArray, second: FloatArray, recall: float = 0.95) -> float:
    """FPR95: the fraction of wrong pairs that are as close as 95 % of the right ones (Winder and Brown, CVPR 2007).

    The wrong pairs are as many as the right ones: each first descriptor with the next point's second one.

    Args:
        first: (N, D) descriptors, a row a point, in random order.
        second: (N, D), of the same points in other images.
        recall: The fraction of right pairs.

    Returns:
        In [0, 1], 0 is best; NaN without at least two points.
    """
    if len(first) < 2:
        return float("nan")
    right = np.sort(np.linalg.norm(first - second, axis=1))
    wrong = np.linalg.norm(first - np.roll(second, 1, axis=0), axis=1)
    threshold = right[int(np.ceil(recall * len(right))) - 1]
    return float((wrong <= threshold).mean())


def average_precision(ranking: FloatArray, right: BoolArray, total: int) -> float:
    """Area below the curve of precision over recall, as HPatches measures matching (Balntas et al., CVPR 2017).

    Args:
        ranking: (M,) a distance or ratio of each match, low where it is trusted.
        right: (M,) whether the match is right.
        total: Number of right matches that could have been found.

    Returns:
        In [0, 1]; NaN where nothing could have been found.
    """
    if total == 0:
        return float("nan")
    hits = right[np.argsort(ranking, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / total)


def matching_precision(
    first: FloatArray, second: FloatArray, points_first: Int64Array, points_second: Int64Array
) -> float:
    """Average precision of nearest neighbours between the descriptors of two images, trusted by their distance.

    Args:
        first: (N, D) descriptors of one image.
        second: (M, D) of the other.
        points_first: (N,) which point each shows, no number twice in an image.
        points_second: (M,) the same.
    """
    if not len(first) or not len(second):
        return float("nan")
    products = first @ second.T
    squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * products
    nearest = squared.argmin(axis=1)
    distance = squared[np.arange(len(first)), nearest]
    total = int(np.isin(points_first, points_second).sum())
    return average_precision(distance, points_first == points_second[nearest], total)


def mean_matching_precision(
    descriptors: FloatArray, points: PointSet, pairs: int = 100, least: int = 20, seed: int = 0
) -> tuple[float, int]:
    """The mean of `matching_precision` over pairs of images that share points.

    Args:
        descriptors: (N, D), of all observations.
        points: The observations; those of an image that the other does not show are there to be confused.
        pairs: Pairs of images at most, drawn by the seed.
        least: Points that a pair shares at least.
        seed: Of the draw.

    Returns:
        The mean, and how many pairs it is of.
    """
    candidates = sharing_pairs(points, least)
    generator = np.random.default_rng(stable_seed(seed, "matching"))
    chosen = candidates[np.sort(generator.permutation(len(candidates))[:pairs])]
    values = []
    for a, b in chosen:
        first, second = np.flatnonzero(points.image == a), np.flatnonzero(points.image == b)
        values.append(
            matching_precision(descriptors[first], descriptors[second], points.track[first], points.track[second])
        )
    return (float(np.mean(values)) if values else float("nan")), len(values)


def sharing_pairs(points: PointSet, least: int) -> Int64Array:
    """(P, 2) pairs of images that show at least `least` of the same points, in order."""
    seen = csr_matrix(
        (np.ones(len(points)), (points.image, points.track)), shape=(len(points.images), max(1, points.tracks))
    )
    shared = triu((seen @ seen.T).tocoo(), k=1)
    enough = shared.data >= least
    pairs = np.stack([shared.row[enough], shared.col[enough]], axis=1).astype(np.int64)
    return pairs[np.lexsort([pairs[:, 1], pairs[:, 0]])]
