"""Training of the patch descriptor HardNet by its published recipe, on points of the dataset.

Mishchuk, Mishkin, Radenovic and Matas, "Working hard to know your neighbor's margins: Local descriptor learning loss"
(NIPS 2017), and their code: stochastic gradient descent from a learning rate of 10 that falls linearly to 0, momentum
and dampening .9, weight decay 1e-4, orthogonal initial weights of gain .6, quarter turns and mirror images. Only batch
and number of steps are smaller here: they had a GPU.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from kornia.feature import HardNet
from torch import Tensor, nn
from torch.nn import functional

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import meter
from liftnet.drkfs.settings import DescriptorSettings
from liftnet.drkfs.train.checkpoints import SECONDS_BETWEEN_CHECKPOINTS, State, identity_of, read_state
from liftnet.drkfs.train.losses import hardest_in_batch
from liftnet.drkfs.train.measures import false_positive_rate

UInt8s = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
MOMENTUM = DAMPENING = 0.9
WEIGHT_DECAY = 1e-4
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

    pixels: UInt8s
    track: Indices
    place: Indices

    def rows(self, count: int, generator: np.random.Generator) -> tuple[Indices, Indices]:
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
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        features = network.features(standard)
    return functional.normalize(features.float().flatten(1), dim=1)


@torch.no_grad()
def describe_all(network: nn.Module, pixels: UInt8s, precision: str = "float32") -> npt.NDArray[np.float32]:
    """(N, 128) descriptors of uint8 patches (N, 32, 32) by HardNet, or by another module of (N, 1, 32, 32)."""
    network.eval()
    parts = []
    for start in range(0, len(pixels), CHUNK):
        patches = torch.from_numpy(pixels[start : start + CHUNK]).float() / 255
        parts.append(
            describe(network, patches, precision) if isinstance(network, HardNet) else network(patches[:, None])
        )
    return torch.cat(parts).numpy() if parts else np.empty((0, 128), np.float32)


def train_descriptor(
    train: Patches, validation: Patches, folder: Path, settings: DescriptorSettings, seed: int
) -> tuple[HardNet, State]:
    """Train HardNet; a stopped run goes on from `folder`/checkpoint.pt with the same numbers.

    Args:
        train: What it learns from.
        validation: What FPR95 is measured on, now and then; it decides nothing.
        folder: Of checkpoint.pt and metrics.csv.
        settings: Steps, batch, learning rate, precision.
        seed: Of initial weights, draws, turns and dropout.

    Raises:
        LiftnetError: There are fewer than two points, or the loss is no number.
    """
    state = read_state(folder, identity_of(settings.training, seed, train.pixels, train.track, validation.pixels))
    network = new_hardnet(seed)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=1.0, momentum=MOMENTUM, dampening=DAMPENING, weight_decay=WEIGHT_DECAY
    )
    if state.iteration:
        network.load_state_dict(state.weights)
        optimiser.load_state_dict(state.optimiser)
    steps, saved = settings.training.steps, time.monotonic()
    with meter("drkfs", "training HardNet, steps", steps - state.iteration) as advance:
        while state.iteration < steps:
            start = time.process_time()
            state.losses.append(_step(network, optimiser, train, state.iteration, settings, seed))
            state.iteration += 1
            state.seconds += time.process_time() - start
            last = state.iteration == steps
            if last or state.iteration % settings.validate_every == 0:
                _validate(network, validation, state, settings, seed)
            if last or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                state.weights, state.optimiser = network.state_dict(), optimiser.state_dict()
                state.save(folder)
                saved = time.monotonic()
            advance(f", FPR95 {state.metrics[-1]['val_fpr95']:.2%}" if state.metrics else "")
    return network.eval(), state


def _step(
    network: HardNet,
    optimiser: torch.optim.Optimizer,
    train: Patches,
    iteration: int,
    settings: DescriptorSettings,
    seed: int,
) -> float:
    """One step; all that is random in it depends on the seed and its number alone."""
    generator = np.random.default_rng(stable_seed(seed, "descriptor", str(iteration)))
    first, second = train.rows(settings.training.batch, generator)
    if len(first) < 2:
        raise LiftnetError(
            "drkfs train descriptor", "fewer than two points are seen twice", "Collect more photographs"
        )
    pixels = torch.from_numpy(train.pixels[np.stack([first, second])]).float() / 255
    patches = turned(pixels, torch.from_numpy(generator.integers(8, size=len(first))))
    for group in optimiser.param_groups:
        group["lr"] = settings.training.learning_rate * (1 - iteration / settings.training.steps)
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "dropout", str(iteration)))
        descriptors = describe(network, patches.flatten(0, 1), settings.training.precision)
    loss = hardest_in_batch(descriptors[: len(first)], descriptors[len(first) :])
    if not torch.isfinite(loss):
        raise LiftnetError(
            "drkfs train descriptor",
            f"the loss is {loss.item()} at step {iteration}",
            "Lower training.learning_rate",
        )
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def turned(pixels: Tensor, turns: Tensor) -> Tensor:
    """Turn patches (2, N, H, W) by `turns` (N,) quarters, both of a point alike; from 4 on they are mirrored too."""
    result = torch.empty_like(pixels)
    for turn in range(8):
        rows = turns == turn
        some = pixels[:, rows].rot90(turn % 4, dims=(-2, -1))
        result[:, rows] = some.flip(-1) if turn >= 4 else some
    return result


def _validate(network: HardNet, validation: Patches, state: State, settings: DescriptorSettings, seed: int) -> None:
    first, second = validation.rows(VALIDATION_PAIRS, np.random.default_rng(stable_seed(seed, "validation")))
    rows = np.concatenate([first, second])
    described = describe_all(network, validation.pixels[rows], settings.training.precision)
    a, b = described[: len(first)], described[len(first) :]
    state.metrics.append(
        {
            "iteration": state.iteration,
            "loss": float(np.mean(state.losses)),
            "val_fpr95": false_positive_rate(a, b),
            "learning_rate": settings.training.learning_rate * (1 - (state.iteration - 1) / settings.training.steps),
            "cpu_seconds": round(state.seconds, 1),
        }
    )
    state.losses = []
