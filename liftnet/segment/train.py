"""Training of the segmenter from masked images, the card of what was trained, and its table of held-out works."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.ids import stable_seed
from liftnet.core.log import duration, get_logger
from liftnet.core.opening import read_bytes, read_text
from liftnet.learn.checkpoint import Row, identity
from liftnet.learn.loop import Run, is_first_process, train
from liftnet.learn.task import LossTerms, Networks, Part, Task, Validation
from liftnet.models.folder import Card, paragraph, shapes_of
from liftnet.models.segmentation_networks import SHIPPED_SEGMENTER, NetworkSettings, PredictionSettings
from liftnet.models.segmenter import SEGMENTER, SegmentationNetwork, Segmenter
from liftnet.segment.augment import Scenery, augment, background_plate
from liftnet.segment.evaluate import evaluate_heldout, iou
from liftnet.segment.samples import Division, Sample, all_masked_images, digest, divide, load_samples
from liftnet.segment.settings import DataSettings, SegmenterSettings, SegmentTrainingSettings

LOG = get_logger("segment")
CHECKPOINT = "last.pt"
AS_TRAINED = PredictionSettings(test_time_scales=[1.0])  # what a validation measures
FEW = 8  # training images that choose the weights where none is kept for it
Groups = list[list[list[Sample]]]  # by collection, by work
USAGE = """```python
from liftnet.data.pictures import read_image
from liftnet.models.segmentation_networks import PredictionSettings
from liftnet.models.segmenter import Segmenter, mask_image

segmenter = Segmenter.load("{folder}")
mask, confidence = mask_image(segmenter, read_image("photo.jpg"), PredictionSettings())  # (H, W) bool
```

From the command line:

    python -m liftnet segment images photo.jpg --model {folder} --out masks/"""
LIMITS = """It masks one sculpture that stands out: a second one that touches its outline is taken too. Photographs
    unlike those it learnt from may be masked worse, and its confidence ranks the masks of one work better than those
    of different works. The photographs keep their own licences."""


@dataclass(frozen=True)
class SegmentFolders:
    """Where the command reads and writes.

    Attributes:
        root: Folder with manifest.parquet, images/ and hand_masks/.
        model: Folder of the segmenter.
        tables: Folder of the tables.
    """

    root: Path
    model: Path
    tables: Path


def make_segmenter(folders: SegmentFolders, settings: SegmenterSettings, seed: int, threads: int) -> None:
    """Train a segmenter, or take the weights that are given, and write the table of held-out works.

    Where no image has a manual mask, the segmenter that comes with the package is taken.

    Raises:
        LiftnetError: A file is at fault.
    """
    torch.set_num_threads(threads)
    images, others = all_masked_images(folders.root, settings)
    division = divide(images, settings.data, seed, others)
    LOG.info("%d masked images, and %d that only train; %s", len(images), len(others), division.note)
    weights, why = settings.weights, "the weights were given"
    if weights is None and not images and not others:
        weights, why = SHIPPED_SEGMENTER, "no manual masks, so the segmenter that comes with liftnet"
        LOG.info("no image has a manual mask: the segmenter that comes with liftnet masks them; look at its masks")
    if weights is not None:
        segmenter = use_given_weights(weights, folders.model, settings)
        # nothing was trained here, so all masked images can be compared where no split holds any out
        elsewhere = [image for image in images if image.split != "train"]
        division = replace(division, heldout=elsewhere or images, note=why)
    else:
        segmenter = train_segmenter(division, folders.model, settings, seed, threads)
    if not is_first_process():
        return
    stem = folders.tables / "segmentation"
    last = evaluate_heldout(segmenter, division.heldout, settings.predict, stem, division.note).iloc[-1]
    segmenter_card(segmenter, folders.model.resolve().name, stem.with_suffix(".md")).write(folders.model)
    measured = f"IoU {last.iou:.3f}, accuracy {last.accuracy:.3f}" if last.n else "nothing held out to measure it on"
    LOG.info("segmenter in %s; %d held-out images: %s; table in %s.*", folders.model, last.n, measured, stem)


def train_segmenter(
    division: Division, model: Path, settings: SegmenterSettings, seed: int, threads: int
) -> Segmenter:
    """Train on the masked images of `division` and write the folder `model`.

    Args:
        division: Which images train and which choose the weights.
        model: Folder for model.safetensors, config.json, metrics.csv and last.pt.
        settings: How.
        seed: Seed of initial weights, sampling and augmentation.
        threads: Threads that read images; torch's own are set by the caller.

    Returns:
        The segmenter with the weights of the best validation.

    Raises:
        LiftnetError: No masked image can be read, or an encoder or a file is at fault.
    """
    start = time.monotonic()
    side = settings.network.image_size
    samples = load_samples(division.train, side, threads)
    validation = load_samples(division.validation, side, threads)
    if not samples:
        raise LiftnetError(
            "segment train", "none of the training images with manual masks can be read", "Collect them again"
        )
    LOG.info("training on %d masked images, %d more choose the checkpoint", len(samples), len(validation))
    settings = settings.model_copy(update={"train": _with_known_start(settings, division)})
    before = _seen_before(settings.train, division)
    network, used = initial_network(settings, seed)
    task = MaskTask(network, samples, validation or samples[:FEW], settings, seed, pretrained=used != "none")
    decisive = SegmenterSettings(
        network=settings.network, augmentation=settings.augmentation, train=settings.train, data=DataSettings()
    )
    known = identity(decisive, seed, [used, digest(samples), digest(validation)])
    run = Run("segment", model, seed, known, settings.predict.device, checkpoint=CHECKPOINT)
    state = train(task, settings.train, run)
    segmenter = Segmenter(network, settings.network, {"settings": settings.model_dump(), "seed": seed})
    segmenter.notes["training"] = {
        "encoder_weights": used,
        "images": len(samples),
        "works": len({sample.work_id for sample in samples}),
        "seen_works": sorted(before | {image.work_id for image in [*division.train, *division.validation]}),
        "held_out": division.note,
        "iterations": state.step,
        "best_iteration": state.best_step,
        "validation_iou": state.best_row["validation_iou"],
    }
    if is_first_process():
        segmenter.save(model)
        LOG.info(
            "best validation IoU %.4f at iteration %d; training took %s",
            state.best_row["validation_iou"],
            state.best_step,
            duration(time.monotonic() - start),
        )
    return segmenter


def _with_known_start(settings: SegmenterSettings, division: Division) -> SegmentTrainingSettings:
    """How to train, from scratch where the shipped segmenter is asked for and is no start of this training."""
    if settings.train.init_from != SHIPPED_SEGMENTER:
        return settings.train
    network, works = Segmenter.shipped_config()
    seen = works & {image.work_id for image in division.heldout}
    if not seen and _shapes(network) == _shapes(settings.network):
        return settings.train
    reason = "has seen works that are held out here" if seen else "is another network"
    LOG.info("training starts from scratch: the segmenter that comes with liftnet %s", reason)
    return settings.train.model_copy(update={"init_from": None})


def _shapes(settings: NetworkSettings) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights of a network, which takes no memory for them."""
    with torch.device("meta"):
        return shapes_of(SEGMENTER.build(settings).state_dict())


def _seen_before(settings: SegmentTrainingSettings, division: Division) -> set[str]:
    """The works that the segmenter `init_from` has seen."""
    if settings.init_from is None:
        return set()
    seen = Segmenter.load(settings.init_from, "cpu").notes.get("training", {}).get("seen_works")
    if seen is None:
        raise LiftnetError(
            settings.init_from, "does not say which works it has seen", "Train it again, or leave `init_from` out"
        )
    both = sorted(set(seen) & {image.work_id for image in division.heldout})
    if both:
        raise LiftnetError(
            settings.init_from,
            f"has seen {len(both)} of the works that are held out, {both[0]} for one",
            "Start from a segmenter trained without them, or leave `init_from` out",
        )
    return set(seen)


def initial_network(settings: SegmenterSettings, seed: int) -> tuple[SegmentationNetwork, str]:
    """A network to train, and what its weights are, in words that tell them from others.

    Raises:
        LiftnetError: The weights to start from cannot be read or are of another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "initial weights"))
        network = SEGMENTER.build(settings.network)
    if settings.train.init_from is None:
        return network, network.load_pretrained(settings.network.encoder_weights)
    return network, _take_weights(network, settings.network, settings.train.init_from)


def _take_weights(network: SegmentationNetwork, settings: NetworkSettings, source: str) -> str:
    """Load the weights of a trained segmenter; return what they are, and their digest."""
    given = Segmenter.load(source, "cpu")
    try:
        network.load_state_dict(given.network.state_dict())
    except RuntimeError as error:
        theirs, ours = given.settings.model_dump(), settings.model_dump()
        others = ", ".join(f"{name} {value}" for name, value in theirs.items() if ours[name] != value)
        raise LiftnetError(
            source, f"holds another network: it has {others}", "Set these of network.* to it"
        ) from error
    state = hashlib.sha256()
    for value in given.network.state_dict().values():
        state.update(value.cpu().numpy().tobytes())
    LOG.info("training starts from the segmenter in %s", source)
    return f"segmenter {state.hexdigest()[:16]}"


class MaskTask(Task):
    """Foreground masks from masked images, each seen anew in every step.

    Args:
        network: What is trained.
        samples: What it learns from.
        validation: What chooses the weights.
        settings: Augmentation, batch, threshold.
        seed: The run's seed.
        pretrained: Whether the network's encoder starts from given weights, and so learns more slowly.
    """

    name = "the segmenter"
    headline = "validation_iou"

    def __init__(
        self,
        network: SegmentationNetwork,
        samples: Sequence[Sample],
        validation: Sequence[Sample],
        settings: SegmenterSettings,
        seed: int,
        pretrained: bool,
    ) -> None:
        self.network, self.validation, self.settings, self.seed = network, validation, settings, seed
        self.networks = {"segmenter": network}
        self.encoder_rate = settings.train.optimiser.encoder_rate if pretrained else 1.0
        plates = [plate for sample in samples if (plate := background_plate(sample)) is not None]
        self.scenery, self.groups = Scenery(plates, samples), _groups(samples)

    def parameter_groups(self) -> list[dict[str, object]]:
        """The encoder's parameters, if it has one, which have a learning rate of their own, and all others."""
        encoder = self.network.pretrained_part()
        if encoder is None:
            return [{"params": list(self.network.parameters())}]
        inner = list(encoder.parameters())
        known = {id(parameter) for parameter in inner}
        outer = [parameter for parameter in self.network.parameters() if id(parameter) not in known]
        return [{"params": inner, "rate_factor": self.encoder_rate}, {"params": outer}]

    def batch(self, step: int, part: Part) -> tuple[Tensor, Tensor]:
        """Images in which collections are equally likely, and works within one, however many images they have."""
        rng = np.random.default_rng(stable_seed(self.seed, "iteration", str(step), *part.names))
        pairs = []
        for _ in range(self.settings.train.batch_size // part.processes):
            works = self.groups[int(rng.integers(len(self.groups)))]
            images = works[int(rng.integers(len(works)))]
            sample = images[int(rng.integers(len(images)))]
            pairs.append(
                augment(sample, self.scenery, self.settings.augmentation, self.settings.network.image_size, rng)
            )
        pictures, masks = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*pairs, strict=True))
        return pictures.contiguous(memory_format=torch.channels_last), masks

    def terms(self, networks: Networks, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> LossTerms:
        """The loss of a batch, a scalar."""
        images, masks = batch
        return {"loss": mask_loss(networks["segmenter"](images), masks)}

    def validate(self, networks: Networks, at: Validation) -> Row:
        """The mean IoU of the validation images, seen as in training."""
        segmenter = Segmenter(self.network.eval(), self.settings.network)
        threshold = self.settings.predict.threshold
        scores = [
            iou(segmenter.predict(sample.image, AS_TRAINED) >= threshold, sample.mask >= 128)
            for sample in self.validation
        ]
        loss, score = float(np.mean([float(step["loss"]) for step in at.terms])), float(np.mean(scores))
        LOG.info("iteration %d: loss %.4f, validation IoU %.4f", at.step, loss, score)
        return {"iteration": float(at.step), "loss": loss, "validation_iou": score}

    def score(self, row: Row) -> tuple[float, ...]:
        """The IoU."""
        return (float(row["validation_iou"]),)


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy plus one minus the soft IoU, averaged over the batch.

    The soft IoU is that of Rahman and Wang (ISVC 2016): sums of products in place of counts, one an image.

    Args:
        logits: (B, 1, H, W) float.
        target: (B, 1, H, W) float in [0, 1].

    Returns:
        A scalar.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    probability = logits.sigmoid()
    both = (probability * target).sum((1, 2, 3))
    either = (probability + target - probability * target).sum((1, 2, 3))
    return entropy + (1 - (both + 1) / (either + 1)).mean()


def _groups(samples: Sequence[Sample]) -> Groups:
    """The samples by collection and, within it, by work, in the order of their names."""
    groups: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        groups.setdefault(sample.collection, {}).setdefault(sample.work_id, []).append(sample)
    return [[works[work] for work in sorted(works)] for _, works in sorted(groups.items())]


def use_given_weights(weights: Path | str, model: Path, settings: SegmenterSettings) -> Segmenter:
    """Copy a trained segmenter's folder, or the shipped one, into `model` instead of training.

    Raises:
        LiftnetError: The folder does not hold a whole segmenter.
    """
    segmenter = Segmenter.load(weights, settings.predict.device)
    if Path(weights).resolve() != model.resolve():
        segmenter.notes = segmenter.notes | {"copied_from": str(weights)}
        segmenter.save(model)
        if (Path(weights) / "metrics.csv").exists():
            write_bytes(model / "metrics.csv", read_bytes(Path(weights) / "metrics.csv"))
    LOG.info("uses the weights in %s without training", weights)
    return segmenter


def segmenter_card(segmenter: Segmenter, name: str, table: Path | None = None) -> Card:
    """What the card of a segmenter says.

    Args:
        segmenter: The segmenter.
        name: Of its folder.
        table: segmentation.md of its held-out works, if there is one.
    """
    network, training = segmenter.settings, segmenter.notes.get("training")
    encoder = "" if segmenter.network.pretrained_part() is None else f"the encoder {network.encoder} and "
    return Card(
        title="Foreground masks of sculptures",
        licence="other",
        summary=paragraph(
            f"Which pixels of a photograph show the sculpture: a {network.architecture} with {encoder}"
            f"{network.channels} channels, trained at {network.image_size} px."
        ),
        tags=["image-segmentation", "sculpture", "pytorch"],
        usage=USAGE.format(folder=name),
        data=_data(training) if training else "",
        training=_training(training, segmenter) if training else "",
        evaluation=read_text(table) if table is not None and table.exists() else "",
        limits=paragraph(LIMITS),
        settings=segmenter.notes.get("settings", {}),
        defaults=SegmenterSettings(),
        front={"pipeline_tag": "image-segmentation"},
    )


def _data(training: Mapping[str, Any]) -> str:
    return paragraph(
        f"{training['images']:,} photographs of {training['works']:,} works with manual masks, and those that chose "
        f"the weights; {training['held_out']}. All {len(training['seen_works']):,} works that it has seen are named "
        "in config.json."
    )


def _training(training: Mapping[str, Any], segmenter: Segmenter) -> str:
    notes, started = segmenter.notes, "network" if segmenter.network.pretrained_part() is None else "encoder"
    start = "random weights" if training["encoder_weights"] == "none" else training["encoder_weights"]
    return paragraph(
        f"{training['iterations']:,} steps of {notes['settings']['train']['batch_size']} images; the {started} "
        f"started from {start}. Kept: step {training['best_iteration']:,}, with a validation IoU of "
        f"{training['validation_iou']:.4f}. Seed {notes['seed']}."
    )
