"""Training of the detector of points of interest as LIFT trains its own, and its calibration to a probability."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.types import FloatArray
from liftnet.drkfs.quadruplets import PATCH, Pool, Quadruplets, draw_quadruplets
from liftnet.drkfs.settings import DetectorSettings
from liftnet.learn import loop
from liftnet.learn.checkpoint import Checkpoint, Row, identity
from liftnet.learn.loop import Run
from liftnet.learn.task import LossTerms, Networks, Part, Task, Validation, mean_terms
from liftnet.models.point_detector import MAXIMA, PointDetector

VALIDATION_QUADRUPLETS = 512
CALIBRATION_QUADRUPLETS = 2048
CHUNK = 256
SOFTNESS = 10.0  # strength of LIFT's soft maximum and soft position
WINDOW = PATCH // 4  # px, side of the windows whose overlap is measured: what may count as one place


class DetectorTask(Task):
    """Learns the detector from quadruplets of patches.

    Args:
        train: What it learns from.
        validation: What its loss is measured on, now and then; it decides nothing.
        settings: Quadruplets in a step, weight of the positions.
        seed: Of initial weights and draws.
    """

    name = "the detector"

    def __init__(self, train: Pool, validation: Pool, settings: DetectorSettings, seed: int) -> None:
        self.train, self.validation, self.settings, self.seed = train, validation, settings, seed
        self.detector = without_brightness(untrained_detector(seed, trainable=True))
        self.networks = {"detector": self.detector}

    def batch(self, step: int, part: Part) -> tuple[Tensor, Tensor]:
        """Patches (4, N, 48, 48) and offsets (2, N, 2) of quadruplets."""
        generator = np.random.default_rng(stable_seed(self.seed, "detector", str(step), *part.names))
        drawn = draw_quadruplets(self.train, self.settings.train.batch_size // part.processes, generator)
        return drawn.patches, drawn.offsets

    def terms(self, networks: Networks, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> LossTerms:
        """The loss of a batch, and its two parts."""
        classification, position = quadruplet_losses(self.detector, Quadruplets(*batch))
        loss = classification + self.settings.position_weight * position
        return {"loss": loss, "classification": classification.detach(), "position": position.detach()}

    def after_step(self) -> None:
        """Filters have no mean."""
        without_brightness(self.detector)

    def validate(self, networks: Networks, at: Validation) -> Row:
        """The same losses of quadruplets of held-out patches."""
        generator = np.random.default_rng(stable_seed(self.seed, "validation"))
        batch = draw_quadruplets(self.validation, VALIDATION_QUADRUPLETS, generator)
        classification, position = quadruplet_losses(
            self.detector, Quadruplets(batch.patches.to(at.device), batch.offsets.to(at.device))
        )
        return {
            "iteration": at.step,
            "loss": mean_terms(at.terms)["loss"],
            "val_loss": float(classification + self.settings.position_weight * position),
            "val_classification": float(classification),
            "val_position": float(position),
            "cpu_seconds": round(at.cpu_seconds, 1),
        }

    def score(self, row: Row) -> None:
        """The last weights are kept."""
        return


def train_detector(
    train: Pool, validation: Pool, folder: Path, settings: DetectorSettings, seed: int
) -> tuple[PointDetector, Checkpoint]:
    """Train the detector; a stopped run resumes from `folder`/checkpoint.pt with the same numbers.

    Args:
        train: What it learns from.
        validation: What its loss is measured on, now and then; and what it is calibrated on in the end.
        folder: Of checkpoint.pt and metrics.csv.
        settings: Steps, batch, learning rate, weight of the positions.
        seed: Of initial weights and draws.

    Returns:
        The calibrated detector, frozen, and the state of the training.

    Raises:
        LiftnetError: The loss is no number.
    """
    task = DetectorTask(train, validation, settings, seed)
    data = [np.ascontiguousarray(pixels).tobytes() for pixels in (train.first, train.empty, validation.first)]
    run = Run("drkfs", folder, seed, identity(settings, seed, data), device="cpu")
    state = loop.train(task, settings.train, run)
    return calibrated(task.detector.requires_grad_(False), validation, seed), state


def untrained_detector(seed: int, trainable: bool = False) -> PointDetector:
    """The detector as its training begins, but for the brightness."""
    return PointDetector(trainable=trainable).randomise(stable_seed(seed, "detector") % 2**31)


def quadruplet_losses(detector: PointDetector, batch: Quadruplets) -> tuple[Tensor, Tensor]:
    """Classification and position losses of quadruplets, means over them (LIFT, section 3.3).

    LIFT compares the places in the two patches of a point with each other. That leaves a detector free to fire beside
    all points alike, so here they are compared with the point as well, all three by equal weight.
    """
    maps = detector.scores(batch.patches.flatten(0, 1), pad=False).unflatten(0, batch.patches.shape[:2])
    first, second = (soft_position(maps[side]) + batch.offsets[side] for side in (0, 1))
    point = torch.zeros_like(first)
    apart = torch.stack(
        [position_loss(*two, float(WINDOW)) for two in ((first, second), (first, point), (second, point))]
    )
    return classification_loss(*maps).mean(), apart.mean()


@torch.no_grad()
def without_brightness(detector: PointDetector) -> PointDetector:
    """Take the mean out of each filter, in place.

    Then an even surface scores the same however bright it is, and an even patch of a view has an even map: the faces
    of a plain shape are blank, as its background is.
    """
    detector.filters.sub_(detector.filters.mean((2, 3), keepdim=True))
    return detector


@torch.no_grad()
def peak_scores(detector: PointDetector, pool: Pool, seed: int) -> tuple[Tensor, Tensor]:
    """The highest scores of patches with a point (2 N,) and of patches without (N,), drawn from a pool."""
    generator = np.random.default_rng(stable_seed(seed, "peaks"))
    peaks: list[Tensor] = []
    for _ in range(CALIBRATION_QUADRUPLETS // CHUNK):
        batch = draw_quadruplets(pool, CHUNK, generator)
        maps = detector.scores(batch.patches.flatten(0, 1), pad=False)
        peaks.append(maps.amax((1, 2)).unflatten(0, batch.patches.shape[:2]))
    joined = torch.cat(peaks, dim=1)
    return joined[:2].flatten(), joined[3]


def calibrated(detector: PointDetector, pool: Pool, seed: int) -> PointDetector:
    """Fold into the filters the scale and the shift that make the sigmoid of the score a probability.

    The sigmoid of the highest score of a patch then is the probability that the patch holds a point, where as many
    patches do as do not (Platt, 1999). Scores are homogeneous of degree one in filters and biases, and a shift of all
    biases under one positive maximum shifts the score: equation 1 keeps its form.

    Args:
        detector: The trained detector.
        pool: Held-out patches.
        seed: Of the draws.
    """
    with_point, without = peak_scores(detector, pool, seed)
    scale, shift = logistic_fit(with_point.double(), without.double())
    result = PointDetector(detector.sums, detector.maxima)
    with torch.no_grad():
        result.filters.copy_(detector.filters * scale)
        result.biases.copy_(detector.biases * scale)
        result.biases[:MAXIMA] += shift
    return result


def logistic_fit(positive: Tensor, negative: Tensor, iterations: int = 100) -> tuple[float, float]:
    """Scale and shift of a score that make its sigmoid the probability of `positive`, both kinds equally likely.

    Args:
        positive: (N,) float64 scores.
        negative: (M,) float64 scores.
        iterations: Newton's steps.

    Raises:
        LiftnetError: The scores do not tell the two apart in the right direction.
    """
    scores = torch.cat([positive, negative])
    labels = torch.cat([torch.ones_like(positive), torch.zeros_like(negative)])
    weights = torch.cat(
        [torch.full_like(positive, 0.5 / len(positive)), torch.full_like(negative, 0.5 / len(negative))]
    )
    design = torch.stack([scores, torch.ones_like(scores)], dim=1)
    parameters = design.new_zeros(2)
    for _ in range(iterations):
        probability = torch.sigmoid(design @ parameters)
        gradient = design.T @ (weights * (probability - labels)) + 1e-6 * parameters
        curvature = (design * (weights * probability * (1 - probability))[:, None]).T @ design
        step = torch.linalg.solve(curvature + 1e-6 * torch.eye(2, dtype=design.dtype), gradient)
        parameters = parameters - step.clamp(-5, 5)
    if not parameters[0] > 0:
        raise LiftnetError(
            "drkfs train detector", "it scores patches without a point higher than those with one", "Train for longer"
        )
    return float(parameters[0]), float(parameters[1])


def soft_maximum(maps: Tensor) -> Tensor:
    """(N,) LIFT's soft maximum of score maps (N, H, W): the scaled logarithm of the mean of exponentials."""
    flat = maps.flatten(1)
    return (torch.logsumexp(SOFTNESS * flat, dim=1) - math.log(flat.shape[1])) / SOFTNESS


def soft_position(maps: Tensor) -> Tensor:
    """(N, 2) px, x and y of the soft arg max of score maps (N, H, W), from their centre (LIFT, equation 7)."""
    height, width = maps.shape[1:]
    weights = torch.softmax(SOFTNESS * maps.flatten(1), dim=1).reshape(maps.shape)
    x = torch.arange(width, dtype=maps.dtype, device=maps.device) - (width - 1) / 2
    y = torch.arange(height, dtype=maps.dtype, device=maps.device) - (height - 1) / 2
    return torch.stack([(weights.sum(1) * x).sum(1), (weights.sum(2) * y).sum(1)], dim=1)


def classification_loss(point: Tensor, same_point: Tensor, other_point: Tensor, no_point: Tensor) -> Tensor:
    """(N,) LIFT's classification loss of quadruplets (equation 6): a squared hinge on the soft maximum of each map.

    The three maps that hold a point share the weight of the one that holds none.

    Args:
        point: (N, H, W) scores of patches with a point.
        same_point: (N, H, W), of the same points in other images.
        other_point: (N, H, W), of other points.
        no_point: (N, H, W), of patches without a point.
    """
    present = [functional.relu(1 - soft_maximum(maps)).square() for maps in (point, same_point, other_point)]
    return (present[0] + present[1] + present[2]) / 6 + functional.relu(1 + soft_maximum(no_point)).square() / 2


def position_loss(first: Tensor, second: Tensor, side: float) -> Tensor:
    """(N,) how far apart two windows lie: one minus their overlap, and their gap where they do not touch.

    LIFT compares the places at which the detector fires in two patches of one point by windows of `side` around them:
    1 - intersection / union + gap / sqrt(union).

    Args:
        first: (N, 2) px, soft positions in one patch, from the point.
        second: (N, 2) px, the same in the other.
        side: px, of the windows.
    """
    apart = (first - second).abs()
    shared = functional.relu(side - apart).prod(dim=1)
    union = 2 * side**2 - shared
    gap = functional.relu(apart - side).sum(dim=1)
    return 1 - shared / union + gap / union.sqrt()


def separation(positive: FloatArray, negative: FloatArray) -> float:
    """The fraction of pairs in which the positive score is higher: the area below the ROC curve, ties by half."""
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    return float((ranks.mean() - (len(positive) + 1) / 2) / len(negative))
