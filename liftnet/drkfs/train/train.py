"""From a run's results to a trained detector or descriptor with its card."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from torch import Tensor, nn

from liftnet.core.files import write_bytes, write_json
from liftnet.core.ids import stable_seed
from liftnet.core.log import duration, get_logger
from liftnet.core.settings import Settings
from liftnet.data.dataset import read_pairs
from liftnet.drkfs.settings import DescriptorSettings, DetectorSettings
from liftnet.drkfs.train.card import write_card
from liftnet.drkfs.train.detector import peak_scores, train_detector, untrained_detector
from liftnet.drkfs.train.hardnet import Patches, describe_all, new_hardnet, train_descriptor
from liftnet.drkfs.train.measures import false_positive_rate, mean_matching_precision, separation
from liftnet.drkfs.train.photo_patches import photo_tour_patches
from liftnet.drkfs.train.quadruplets import Pool, joined, load_pool
from liftnet.drkfs.train.renders import render_pools
from liftnet.drkfs.train.tracks import PointSet, load_division, load_points
from liftnet.learn.checkpoint import Checkpoint
from liftnet.models.point_detector import PointDetector

LOG = get_logger("drkfs")
FORMAT = 1
HELD_OUT_SPLIT = "test"
HELD_OUT_SHARE = 4  # held-out points of the detector are fewer by this
MOST_PATCHES = 20_000  # described for the card's figures


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
    config = _config("hardnet", inputs, settings, (train, unseen), state)
    config |= {"seed": seed, "measured_on": name, "measures": measures}
    _save(inputs, network, config)


def run_detector(inputs: TrainingInputs, settings: DetectorSettings, seed: int) -> None:
    """Train the detector on the dataset's points, measure it on works it has not seen, write it with its card.

    Raises:
        LiftnetError: There is nothing to train on, or a file cannot be read or written.
    """
    train, validation = load_division(inputs.root, inputs.dataset)
    unseen, name = _unseen(inputs, validation)
    most = settings.points // (2 if inputs.meshes else 1)
    pools = [
        load_pool(points, inputs.root, settings.patch_scale, max(4, most // share), seed)
        for points, share in ((train, 1), (validation, HELD_OUT_SHARE), (unseen, HELD_OUT_SHARE))
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
    config = _config("points", inputs, settings, (train, unseen), state)
    config |= {"seed": seed, "measured_on": name, "measures": measures}
    _save(inputs, detector, config)


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


def _config(
    model: str,
    inputs: TrainingInputs,
    settings: Settings,
    points: tuple[PointSet, PointSet],
    state: Checkpoint,
) -> dict[str, Any]:
    train, unseen = points
    return {
        "format": FORMAT,
        "model": model,
        "licence": inputs.licence,
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
    rows = pq.read_table(manifest, columns=["image_id", "license"]).to_pylist()
    wanted = set(images)
    return dict(sorted(Counter(row["license"] or "unknown" for row in rows if row["image_id"] in wanted).items()))


def _save(inputs: TrainingInputs, network: nn.Module, config: dict[str, Any]) -> None:
    """Write weights, config.json and the card."""
    from safetensors.torch import save

    weights = {name: _stored(tensor, inputs.half) for name, tensor in network.state_dict().items()}
    data = save({name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")})
    write_bytes(inputs.model / "model.safetensors", data)
    config |= {"precision": "float16" if inputs.half else "float32", "sha256": hashlib.sha256(data).hexdigest()}
    write_json(inputs.model / "config.json", config)
    write_card(inputs.model, config)
    took = duration(config["training"]["cpu_seconds"])
    LOG.info("trained for %d steps in %s of one core; %s", config["training"]["steps"], took, inputs.model)


def _stored(tensor: Tensor, half: bool) -> Tensor:
    kept = tensor.detach().cpu().contiguous()
    return kept.half() if half and kept.is_floating_point() else kept
