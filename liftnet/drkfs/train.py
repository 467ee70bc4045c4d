"""From a run's results to a trained detector or descriptor with its card."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from liftnet.core.ids import stable_seed
from liftnet.core.log import duration, get_logger
from liftnet.core.settings import Settings
from liftnet.data.dataset import read_pairs
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.drkfs.detector import peak_scores, separation, train_detector, untrained_detector
from liftnet.drkfs.hardnet import (
    Patches,
    describe_all,
    false_positive_rate,
    mean_matching_precision,
    new_hardnet,
    train_descriptor,
)
from liftnet.drkfs.points import PointSet, load_division, load_points, photo_tour_patches
from liftnet.drkfs.quadruplets import Pool, joined, load_pool, render_pools
from liftnet.drkfs.settings import DescriptorSettings, DetectorSettings
from liftnet.learn.checkpoint import Checkpoint
from liftnet.models.folder import Card, ModelKind, SavedModel, paragraph, read_config, save_model, table
from liftnet.models.patch_descriptors import HARDNET, HardnetSettings
from liftnet.models.point_detector import POINT_DETECTOR, PointDetector, PointDetectorSettings

LOG = get_logger("drkfs")
HELD_OUT_SPLIT = "test"
FEWER_HELD_OUT = 4  # held-out points of the detector are fewer by this factor
MOST_PATCHES = 20_000  # described for the card's figures
# what the cards say whatever was learnt from; the rest is filled in when they are written
DETECTOR_CARD = Card(
    title="Detector of points of interest for DR-KFS",
    licence="",
    tags=("keypoint-detection", "sculpture", "pytorch"),
    summary="""The detector of LIFT (Yi et al., ECCV 2016) in its form: a convolution of 25 x 25 pixels with 16
        outputs, joined by generalised hinging hyperplanes, 10,016 numbers. Its sigmoid is the probability that a
        pixel is a point of interest. Input: gray values in [0, 1].""",
    training="""Quadruplets of patches as in LIFT: two of one point, one of another point, one without a point, at the
        scale that SIFT found, drawn in proportion to it. Squared hinge on the soft maximum of each score map, and the
        overlap of windows around the soft positions in the two patches of a point and around the point itself; Adam,
        the learning rate falling linearly to 0. Filters have no mean. The background is masked out where the run has
        masks. In the end scale and shift of the score are fitted on held-out patches, so that the sigmoid of a patch's
        highest score is the probability that it holds a point, where half of all patches do.""",
    evaluation="""`separation` is how often the highest score of a patch with a point is above that of a patch without
        one (chance: 0.5); the probabilities are means of the sigmoid of these scores.""",
)
HARDNET_CARD = Card(
    title="HardNet trained on photographs of sculptures",
    licence="",
    tags=("local-descriptor", "sculpture", "pytorch"),
    summary="""HardNet (Mishchuk et al., NIPS 2017) in kornia's architecture and names of weights: 128 numbers of unit
        length for a gray patch of 32 x 32 pixels, whose mean and standard deviation do not matter.""",
    training="""The published recipe: triplet margin 1 with the hardest negative in the batch and anchor swap,
        stochastic gradient descent with momentum and dampening .9, the learning rate falling linearly to 0, weight
        decay 1e-4, dropout .3, orthogonal weights at first, quarter turns and mirror images. Patches are cut at
        64 x 64 pixels in SIFT's scale and direction and halved. Batch and number of steps are smaller than the
        published 1,024 and about 49,000.""",
    evaluation="""`fpr95` is the fraction of wrong pairs of patches that are as close as 95 % of the right ones (0 is
        best); `matching_ap` the mean average precision of nearest neighbours between two images (1 is best). SIFT
        found the points, so they are such as SIFT can match.""",
)
RENDERS = """Up to half of the patches come from gray renders of generated meshes (`render shapes`), without texture
    as DR-KFS's views: corners of one view that another, by its true depth, sees at the same place and has a corner
    at. One mesh in five is held out: half of their points calibrate, the others are measured on."""
LIMITS = """It has seen nothing but the data above: other subjects, cameras and kinds of images may be worse served.
    Points come from matches of SIFT that an affine epipolar geometry verified; what SIFT does not find was not
    learnt."""


@dataclass(frozen=True)
class TrainingInputs:
    """What a training reads and where it writes.

    Attributes:
        root: A run's results: images/, manifest.parquet, and where they are there features/ and masks/.
        dataset: Folder of the dataset.
        model: Folder for model.safetensors, config.json, metrics.csv, README.md and checkpoint.pt.
        licence: Of the weights, as model hubs name it.
        half: Whether to store weights in half precision.
        meshes: Folder of meshes whose gray renders the detector learns from too.
    """

    root: Path
    dataset: Path
    model: Path
    licence: str = "other"
    half: bool = False
    meshes: Path | None = None


def run_descriptor(inputs: TrainingInputs, settings: DescriptorSettings, seed: int) -> None:
    """Train HardNet on the dataset's points, measure it on works it has not seen, write it with its card.

    Raises:
        LiftnetError: There is nothing to train on, or a file cannot be read or written.
    """
    train, validation = load_division(inputs.root, inputs.dataset)
    network, state = train_descriptor(
        patches_of(train, inputs.root, settings),
        patches_of(validation, inputs.root, settings),
        inputs.model,
        settings,
        seed,
    )
    if inputs.half:
        network = network.half().float()  # measured as it is stored
    unseen, name = _unseen(inputs, validation)
    measures = _measured_descriptor(network, unseen, patches_of(unseen, inputs.root, settings), seed)
    notes = _notes(inputs, settings, (train, unseen), state)
    notes |= {"seed": seed, "measured_on": name, "measures": measures}
    _save(inputs, HARDNET, SavedModel(network, HardnetSettings(), notes), HARDNET_CARD)


def run_detector(inputs: TrainingInputs, settings: DetectorSettings, seed: int) -> None:
    """Train the detector on the dataset's points, measure it on works it has not seen, write it with its card.

    Raises:
        LiftnetError: There is nothing to train on, or a file cannot be read or written.
    """
    train, validation = load_division(inputs.root, inputs.dataset)
    unseen, name = _unseen(inputs, validation)
    most = settings.points // (2 if inputs.meshes else 1)
    pools = [
        load_pool(points, inputs.root, settings.patch_scale, max(4, most // factor), seed)
        for points, factor in ((train, 1), (validation, FEWER_HELD_OUT), (unseen, FEWER_HELD_OUT))
    ]
    renders: dict[str, Pool] = {}
    if inputs.meshes:
        rendered, held_out = render_pools(inputs.meshes, most, seed)
        half = held_out.divided()
        pools = [joined(pool, more) for pool, more in zip(pools[:2], (rendered, half[0]), strict=True)] + pools[2:]
        renders = {"renders": half[1]}
    detector, state = train_detector(pools[0], pools[1], inputs.model, settings, seed)
    untrained = untrained_detector(seed)
    measures = {
        f"{label}, {what}": _measured_detector(tried, pool, seed)
        for what, pool in ({"photographs": pools[2]} | renders).items()
        for label, tried in (("trained", detector), ("untrained", untrained))
    }
    notes = _notes(inputs, settings, (train, unseen), state)
    notes |= {"seed": seed, "measured_on": name, "measures": measures}
    _save(inputs, POINT_DETECTOR, SavedModel(detector, PointDetectorSettings(), notes), DETECTOR_CARD)


def _measured_detector(detector: PointDetector, pool: Pool, seed: int) -> dict[str, float]:
    points, empty = peak_scores(detector, pool, seed + 1)
    return {
        "separation": separation(points.numpy(), empty.numpy()),
        "probability_with_point": float(points.sigmoid().mean()),
        "probability_without_point": float(empty.sigmoid().mean()),
    }


def patches_of(points: PointSet, root: Path, settings: DescriptorSettings) -> Patches:
    """The descriptor's patches of all observations."""
    return Patches(photo_tour_patches(points, root / "images", settings.patch_scale), points.track, points.place)


def _unseen(inputs: TrainingInputs, validation: PointSet) -> tuple[PointSet, str]:
    """Points to measure on: of the split "test", or where it is empty of the works held out in training."""
    if next(read_pairs(inputs.dataset, HELD_OUT_SPLIT), None) is None:
        return validation, "works held out from training"
    return load_points(inputs.root, inputs.dataset, HELD_OUT_SPLIT), "the split test"


def _measured_descriptor(network: nn.Module, points: PointSet, patches: Patches, seed: int) -> dict[str, Any]:
    """FPR95 and mean average precision of matching, of the trained network and of the untrained one."""
    first, second = patches.rows(MOST_PATCHES // 2, np.random.default_rng(stable_seed(seed, "measure")))
    measures: dict[str, Any] = {"pairs_of_patches": len(first)}
    for label, tried in (("trained", network), ("untrained", new_hardnet(seed))):
        described = describe_all(tried, patches.pixels)
        precision, pairs = mean_matching_precision(described, points, seed=seed)
        measures["pairs_of_images"] = pairs
        measures[label] = {"fpr95": false_positive_rate(described[first], described[second]), "matching_ap": precision}
    return measures


def _notes(
    inputs: TrainingInputs, settings: Settings, points: tuple[PointSet, PointSet], state: Checkpoint
) -> dict[str, Any]:
    """What config.json says besides what the weights are of."""
    train, unseen = points
    return {
        "licence": inputs.licence,
        "precision": "float16" if inputs.half else "float32",
        "settings": settings.model_dump(mode="json"),
        "training": {
            "steps": state.step,
            "cpu_seconds": round(state.cpu_seconds),
            "works": len(set(train.works)),
            "images": len(train.images),
            "points": train.tracks,
            "observations": len(train),
            "licences_of_images": _licences(inputs.root, train.images),
        },
        "renders": inputs.meshes is not None,
        "held_out": {"works": len(set(unseen.works)), "images": len(unseen.images), "points": unseen.tracks},
    }


def _licences(root: Path, images: tuple[str, ...]) -> dict[str, int]:
    """How many images are under each licence; empty without a manifest."""
    manifest = root / "manifest.parquet"
    if not manifest.exists():
        return {}
    rows = read_table(manifest, MANIFEST).select(["image_id", "license"]).to_pylist()
    chosen = set(images)
    return dict(sorted(Counter(row["license"] or "unknown" for row in rows if row["image_id"] in chosen).items()))


def _save(inputs: TrainingInputs, kind: ModelKind[Any, Any], model: SavedModel[Any, Any], card: Card) -> None:
    """Write the model and, from what config.json then holds, README.md."""
    folder = inputs.model
    save_model(folder, kind, model, inputs.half)
    config = read_config(folder, kind.name, f"Train it again with `{kind.command}`")
    training, held_out, measures = config["training"], config["held_out"], config["measures"]
    licences = ", ".join(f"{name}: {count:,}" for name, count in training["licences_of_images"].items())
    steps = f"{training['steps']:,} steps, {training['cpu_seconds']:,} CPU seconds, seed {config['seed']}."
    recipe = [paragraph(card.training), paragraph(RENDERS) if config["renders"] else "", steps]
    measured = paragraph(
        f"On {config['measured_on']}: {held_out['points']:,} points in {held_out['images']:,} images of"
        f" {held_out['works']:,} works that were not trained on. {card.evaluation}"
    )
    figures = [{"weights": name, **values} for name, values in measures.items() if isinstance(values, dict)]
    replace(
        card,
        licence=config["licence"],
        summary=paragraph(card.summary),
        data=paragraph(
            f"{training['points']:,} points with {training['observations']:,} patches, joined from verified"
            f" correspondences between {training['images']:,} images of {training['works']:,} works."
            + (f" Licences of the images: {licences}." if licences else "")
        ),
        training="\n\n".join(filter(None, recipe)),
        evaluation=f"{measured}\n\n{table(figures)}",
        limits=paragraph(LIMITS),
        settings=config["settings"],
        weights=f"The weights: {config['licence']}. SHA-256 of the weights' file ({config['precision']}):\n\n"
        f"`{config['sha256']}`",
    ).write(folder)
    took = duration(training["cpu_seconds"])
    LOG.info("trained for %d steps in %s of one core; %s", training["steps"], took, folder)
