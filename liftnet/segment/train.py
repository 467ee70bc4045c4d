"""Training of the segmenter: a plain loop that can be killed at any time and goes on from its last checkpoint.

The same data, settings, seed and number of torch threads give the same weights bit for bit, killed or not; with
another number of threads (or another processor) sums are rounded in another order.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_bytes, write_text
from liftnet.core.ids import stable_seed
from liftnet.core.log import LineMeter, duration, get_logger
from liftnet.models.segmenter import Segmenter
from liftnet.segment.augment import Scenery, augment, background_plate
from liftnet.segment.metrics import iou, mask_loss
from liftnet.segment.samples import Division, Sample, digest, load_samples
from liftnet.segment.settings import SegmentSettings
from liftnet.segment.state import CHECKPOINT, TRAINING_SETTINGS, State, start_state

WARM_UP = 0.05  # share of the iterations in which the learning rate rises
Groups = list[list[list[Sample]]]  # by collection, by work


def train_segmenter(division: Division, model: Path, settings: SegmentSettings, seed: int, threads: int) -> Segmenter:
    """Train on the masked images of `division` and write the folder `model`.

    Args:
        division: Which images train and which choose the checkpoint.
        model: Folder for model.safetensors, config.json, metrics.csv and last.pt.
        settings: All settings of the stage.
        seed: Seed of initial weights, sampling and augmentation.
        threads: Threads that read images; torch's own are set by the caller.

    Returns:
        The segmenter with the weights of the best validation.

    Raises:
        LiftnetError: No masked image can be read, or an encoder or a file is at fault.
    """
    start = time.monotonic()
    train = load_samples(division.train, settings.image_size, threads)
    validation = load_samples(division.validation, settings.image_size, threads)
    if not train:
        raise LiftnetError(
            "segment train", "none of the hand-masked training images can be read", "Collect them again"
        )
    logger = get_logger("segment")
    logger.info("training on %d masked images, %d more choose the checkpoint", len(train), len(validation))
    before = _seen_before(settings, division)
    state = start_state(settings, seed, digest(train) + digest(validation))
    state.resume(model / CHECKPOINT)
    _run(state, train, validation or train[:8], model, settings, seed)
    state.network.load_state_dict(state.best)
    config = settings.model_dump(include=TRAINING_SETTINGS | {"test_time_flip"}) | {
        "encoder_weights": state.encoder_weights,
        "seed": seed,
        "training_images": len(train),
        "training_works": len({sample.work_id for sample in train}),
        "seen_works": sorted(before | {image.work_id for image in [*division.train, *division.validation]}),
        "best_iteration": state.best_iteration,
        "validation_iou": state.best_iou,
        "held_out": division.note,
    }
    segmenter = Segmenter(state.network, config, settings.device)
    segmenter.save(model)
    logger.info(
        "best validation IoU %.4f at iteration %d; training took %s",
        state.best_iou,
        state.best_iteration,
        duration(time.monotonic() - start),
    )
    return segmenter


def _seen_before(settings: SegmentSettings, division: Division) -> set[str]:
    """The works that the segmenter `settings.start` has seen.

    Raises:
        LiftnetError: It has seen a work that is held out, or does not say what it has seen.
    """
    if settings.start is None:
        return set()
    path = Path(settings.start) / "config.json"
    config = read_json(path)
    seen = config.get("seen_works") if isinstance(config, dict) else None
    if seen is None:
        raise LiftnetError(path, "does not say which works it has seen", "Train it again, or leave `start` out")
    both = sorted(set(seen) & {image.work_id for image in division.heldout})
    if both:
        raise LiftnetError(
            settings.start,
            f"has seen {len(both)} of the works that are held out, {both[0]} for one",
            "Start from a segmenter trained without them, or leave `start` out",
        )
    return set(seen)


def _run(
    state: State,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    model: Path,
    settings: SegmentSettings,
    seed: int,
) -> None:
    """Iterate up to `settings.iterations`, validating and writing a checkpoint now and then."""
    plates = [plate for sample in train if (plate := background_plate(sample)) is not None]
    scenery = Scenery(plates, train)
    groups = _groups(train)
    device = next(state.network.parameters()).device
    meter = LineMeter("segment", "training, iteration", settings.iterations - state.iteration)
    losses: list[float] = []
    while state.iteration < settings.iterations:
        # the randomness of an iteration depends on its number alone, so a resumed run repeats it exactly
        rng = np.random.default_rng(stable_seed(seed, "iteration", str(state.iteration)))
        images, masks = _batch(groups, scenery, settings, rng)
        losses.append(_step(state, images.to(device), masks.to(device), settings))
        state.iteration += 1
        if state.iteration % settings.validate_every == 0 or state.iteration == settings.iterations:
            _validate(state, validation, float(np.mean(losses)), settings)
            losses = []
            write_text(model / "metrics.csv", pd.DataFrame(state.metrics).to_csv(index=False, lineterminator="\n"))
            state.save(model / CHECKPOINT)
        meter.advance(f", best validation IoU {state.best_iou:.3f}" if state.best else "")


def _groups(train: Sequence[Sample]) -> Groups:
    """The samples by collection and, within it, by work, in the order of their names."""
    groups: dict[str, dict[str, list[Sample]]] = {}
    for sample in train:
        groups.setdefault(sample.collection, {}).setdefault(sample.work_id, []).append(sample)
    return [[works[work] for work in sorted(works)] for _, works in sorted(groups.items())]


def _batch(
    groups: Groups, scenery: Scenery, settings: SegmentSettings, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch in which collections are equally likely, and works within one, however many images they have."""
    pairs = []
    for _ in range(settings.batch_size):
        works = groups[int(rng.integers(len(groups)))]
        images = works[int(rng.integers(len(works)))]
        pairs.append(augment(images[int(rng.integers(len(images)))], scenery, settings, rng))
    pictures, masks = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*pairs, strict=True))
    return pictures.contiguous(memory_format=torch.channels_last), masks


def _step(state: State, images: torch.Tensor, masks: torch.Tensor, settings: SegmentSettings) -> float:
    rate = settings.learning_rate * rate_at(state.iteration, settings.iterations)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["share"]
    state.network.train()
    loss = mask_loss(state.network(images), masks)
    if not torch.isfinite(loss):
        raise LiftnetError(
            "segment train", f"the loss is {loss.item()} at iteration {state.iteration}", "Lower `learning_rate`"
        )
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimizer.step()
    return float(loss.detach())


def rate_at(iteration: int, iterations: int) -> float:
    """Share of the highest learning rate: a linear rise, then half a cosine down to zero."""
    rise = max(1, round(WARM_UP * iterations))
    if iteration < rise:
        return (iteration + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (iteration - rise) / max(1, iterations - rise)))


def _validate(state: State, validation: Sequence[Sample], loss: float, settings: SegmentSettings) -> None:
    config = {"encoder": settings.encoder, "image_size": settings.image_size, "test_time_flip": False}
    segmenter = Segmenter(state.network, config, settings.device)
    scores = [iou(segmenter.predict(sample.image) >= settings.threshold, sample.mask >= 128) for sample in validation]
    score = float(np.mean(scores))
    row = {"iteration": float(state.iteration), "loss": loss, "validation_iou": score}
    state.metrics.append(row)
    get_logger("segment").info("iteration %d: loss %.4f, validation IoU %.4f", state.iteration, loss, score)
    if score > state.best_iou:
        state.best_iou, state.best_iteration = score, state.iteration
        state.best = {name: value.detach().clone() for name, value in state.network.state_dict().items()}


def use_given_weights(weights: Path, model: Path, settings: SegmentSettings) -> Segmenter:
    """Copy a trained segmenter's folder into `model` instead of training.

    Raises:
        LiftnetError: The folder does not hold a whole segmenter.
    """
    segmenter = Segmenter.load(weights, settings.device)
    if weights.resolve() != model.resolve():
        segmenter.config = segmenter.config | {"copied_from": str(weights)}
        segmenter.save(model)
        if (weights / "metrics.csv").exists():
            write_bytes(model / "metrics.csv", (weights / "metrics.csv").read_bytes())
    get_logger("segment").info("uses the weights in %s without training", weights)
    return segmenter
