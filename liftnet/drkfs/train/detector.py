"""Training of the detector of points of interest as LIFT trains its own, and its calibration to a probability."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import meter
from liftnet.drkfs.settings import DetectorSettings
from liftnet.drkfs.train.checkpoints import SECONDS_BETWEEN_CHECKPOINTS, State, identity_of, read_state
from liftnet.drkfs.train.losses import classification_loss, position_loss, soft_position
from liftnet.drkfs.train.quadruplets import PATCH, Pool, Quadruplets, draw_quadruplets
from liftnet.models.point_detector import MAXIMA, PointDetector

VALIDATION_QUADRUPLETS = 512
CALIBRATION_QUADRUPLETS = 2048
CHUNK = 256
WINDOW = PATCH // 4  # px, side of the windows whose overlap is measured: what may count as one place


def train_detector(
    train: Pool, validation: Pool, folder: Path, settings: DetectorSettings, seed: int
) -> tuple[PointDetector, State]:
    """Train the detector; a stopped run goes on from `folder`/checkpoint.pt with the same numbers.

    Args:
        train: What it learns from.
        validation: What its loss is measured on, now and then; and what it is calibrated on in the end.
        folder: Of checkpoint.pt and metrics.csv.
        settings: Steps, batch, learning rate, weight of the positions.
        seed: Of initial weights and draws.

    Returns:
        The calibrated detector, frozen, and the run's state.

    Raises:
        LiftnetError: The loss is no number.
    """
    state = read_state(folder, identity_of(settings.training, seed, train.first, train.empty, validation.first))
    detector = without_brightness(PointDetector(trainable=True).randomise(stable_seed(seed, "detector") % 2**31))
    optimiser = torch.optim.Adam(detector.parameters(), lr=settings.training.learning_rate)
    if state.iteration:
        detector.load_state_dict(state.weights)
        optimiser.load_state_dict(state.optimiser)
    steps, saved = settings.training.steps, time.monotonic()
    with meter("drkfs", "training the detector, steps", steps - state.iteration) as advance:
        while state.iteration < steps:
            start = time.process_time()
            state.losses.append(_step(detector, optimiser, train, state.iteration, settings, seed))
            state.iteration += 1
            state.seconds += time.process_time() - start
            last = state.iteration == steps
            if last or state.iteration % settings.validate_every == 0:
                _validate(detector, validation, state, settings, seed)
            if last or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                state.weights, state.optimiser = detector.state_dict(), optimiser.state_dict()
                state.save(folder)
                saved = time.monotonic()
            advance(f", validation loss {state.metrics[-1]['val_loss']:.3f}" if state.metrics else "")
    detector.requires_grad_(False)
    return calibrated(detector, validation, seed), state


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


def _step(
    detector: PointDetector,
    optimiser: torch.optim.Optimizer,
    train: Pool,
    iteration: int,
    settings: DetectorSettings,
    seed: int,
) -> float:
    """One step; all that is random in it depends on the seed and its number alone."""
    generator = np.random.default_rng(stable_seed(seed, "detector", str(iteration)))
    classification, position = quadruplet_losses(detector, draw_quadruplets(train, settings.training.batch, generator))
    loss = classification + settings.training.position_weight * position
    if not torch.isfinite(loss):
        raise LiftnetError(
            "drkfs train detector", f"the loss is {loss.item()} at step {iteration}", "Lower training.learning_rate"
        )
    for group in optimiser.param_groups:
        group["lr"] = settings.training.learning_rate * (1 - iteration / settings.training.steps)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    without_brightness(detector)
    return float(loss.detach())


@torch.no_grad()
def without_brightness(detector: PointDetector) -> PointDetector:
    """Take the mean out of each filter, in place.

    Then an even surface scores the same however bright it is, and an even patch of a view has an even map: the faces
    of a plain shape are blank, as its background is.
    """
    detector.filters.sub_(detector.filters.mean((2, 3), keepdim=True))
    return detector


@torch.no_grad()
def _validate(detector: PointDetector, validation: Pool, state: State, settings: DetectorSettings, seed: int) -> None:
    generator = np.random.default_rng(stable_seed(seed, "validation"))
    batch = draw_quadruplets(validation, VALIDATION_QUADRUPLETS, generator)
    classification, position = quadruplet_losses(detector, batch)
    state.metrics.append(
        {
            "iteration": state.iteration,
            "loss": float(np.mean(state.losses)),
            "val_loss": float(classification + settings.training.position_weight * position),
            "val_classification": float(classification),
            "val_position": float(position),
            "cpu_seconds": round(state.seconds, 1),
        }
    )
    state.losses = []


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
