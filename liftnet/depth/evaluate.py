"""LiftNet beside two priors that look at the mask alone: on held-out pairs, and on the museum's true depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from liftnet.core.files import atomic_path, own_entries, write_json
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger, progress
from liftnet.core.tables import write_tables
from liftnet.core.types import Float32Array
from liftnet.data.manifest import StoredImage, stored_images, truths_of
from liftnet.data.truth import load_truth
from liftnet.depth.augment import Augmentation
from liftnet.depth.crops import CropStore, true_crop
from liftnet.depth.pairs import PairLoader, PairRow, PairTable, hold_out_works, limit_rows, sample_depth
from liftnet.depth.reprojection import CorrespondenceLoss, Criterion, correspondence_terms
from liftnet.depth.score import ALIGNMENT, DepthErrors, Predict, depth_errors, from_masks, mean_errors
from liftnet.depth.settings import EvaluateSettings, TrainSettings
from liftnet.models.depth_input import constant_depth, inflated_depth
from liftnet.models.liftnet import DepthModel, load_model

LOG = get_logger("depth")
HELD_OUT = ("test", "val")


@dataclass(frozen=True)
class EvaluationInputs:
    """Where things are.

    Attributes:
        root: Folder with manifest.parquet, images/ and masks/; predictions/ is written into it.
        dataset: Folder of the dataset.
        model: Folder of the model.
        tables: Folder of the tables.
        museum: Folder of the museum, for true depth; None without one.
        threads: Worker threads.
    """

    root: Path
    dataset: Path
    model: Path
    tables: Path
    museum: Path | None
    threads: int


def evaluate(inputs: EvaluationInputs, settings: EvaluateSettings, seed: int) -> None:
    """Write tables/depth_pairs.*, with a museum tables/depth_demo.*, and predictions/.

    Raises:
        LiftnetError: The model or a table cannot be read, or a folder cannot be written.
    """
    torch.set_num_threads(inputs.threads)
    model = load_model(inputs.model)
    methods = depth_methods(model)
    table, rows, split = held_out_pairs(inputs.dataset, model)
    rows = limit_rows(rows, settings.max_pairs)
    stored = stored_images(inputs.root)
    images = held_out_images(stored, split, rows)
    truths = truths_of(stored, inputs.museum) if inputs.museum else {}
    pair_images = {image for row in rows for image in (row.image_a, row.image_b)}
    store = CropStore(inputs.root, [*images, *pair_images], model.input, inputs.threads)
    depths = {name: method(store) for name, method in methods.items()}
    loader = PairLoader(table, rows, store, limit=10**9, augmentation=Augmentation())
    pairs = pair_table(loader, depths, model, split, seed)
    caption = (
        f"Reprojection of held-out correspondences ({split} pairs, both directions) through the affine camera that"
        f" fits each method's depth best, in pixels of the {model.input.image_size} px network input."
    )
    write_tables(pairs, inputs.tables / "depth_pairs", caption)
    examples = [Example(image_id, split) for image_id in images if image_id in store]
    errors = true_depth_errors(examples, store, depths, truths, inputs.threads)
    if inputs.museum:
        write_tables(demo_table(errors, model), inputs.tables / "depth_demo", _demo_caption(split, model))
    n = write_examples(inputs.root, examples, store, depths, settings.n_examples)
    LOG.info(
        "evaluated on %d held-out pairs and %d views with true depth (%s); %d predictions kept; %s",
        len(loader.rows),
        len(errors["liftnet"]),
        split,
        n,
        inputs.tables,
    )


def depth_methods(model: DepthModel) -> dict[str, Predict]:
    """What is compared: name to a function from all crops of a store to (n, S, S) depth."""
    return {
        "liftnet": lambda store: model.predict(store.images[: len(store)], store.masks[: len(store)]),
        "constant": from_masks(constant_depth),
        "inflated": from_masks(inflated_depth),
    }


def held_out_pairs(dataset: Path, model: DepthModel) -> tuple[PairTable, list[PairRow], str]:
    """The pairs that no training step saw: of the test artists, else of the val artists, else of held-out works.

    Returns:
        Their table, the pairs, and the name of the split.
    """
    for split in HELD_OUT:
        table = PairTable(dataset, split)
        if table.rows:
            return table, table.rows, split
    table = PairTable(dataset, "train")
    fraction = TrainSettings(**model.notes.get("settings", {})).validation.val_fraction
    return table, hold_out_works(table.rows, fraction)[1], "held-out works"


def held_out_images(images: Mapping[str, StoredImage], split: str, rows: list[PairRow]) -> list[str]:
    """Ids of all stored images of a split, or of the pairs given where works were held out."""
    if split in HELD_OUT:
        return sorted(image.image_id for image in images.values() if image.split == split)
    return sorted({image for row in rows for image in (row.image_a, row.image_b)})


def pair_table(
    loader: PairLoader, depths: dict[str, Float32Array], model: DepthModel, split: str, seed: int
) -> pd.DataFrame:
    """Reprojection error of each method over the loader's pairs in both directions."""
    loss = TrainSettings(**model.notes.get("settings", {})).loss
    criterion = Criterion(loss.threshold, loss.tau if loss.robust else math.inf)
    found: dict[str, list[CorrespondenceLoss]] = {name: [] for name in depths}
    for index, row in enumerate(progress(loader.rows, "depth", "measuring pairs")):
        batch = loader.batch(np.array([[index, 0], [index, 1]]), stable_seed(seed, row.pair_id))
        sources = [loader.store.index[row.image_a], loader.store.index[row.image_b]]
        for name, depth in depths.items():
            generator = torch.Generator().manual_seed(stable_seed(seed, "draws", row.pair_id))
            at_points = sample_depth(torch.from_numpy(depth[sources]), batch.source_xy)
            found[name].append(
                correspondence_terms(batch.source_xy, at_points, batch.target_xy, batch.mask, generator, criterion)
            )
    return pd.DataFrame(
        [
            {
                "method": name,
                "split": split,
                "n": len(terms),
                "robust_loss": _mean([t.loss for t in terms]),
                "median_px": _mean([t.median_error for t in terms]),
                "inlier_share": _mean([t.inlier_share for t in terms]),
                "alignment": "affine camera of each pair",
            }
            for name, terms in found.items()
        ]
    )


def _mean(values: list[torch.Tensor]) -> float:
    return float(torch.cat(values).mean()) if values else math.nan


def true_depth_errors(
    examples: list[Example],
    store: CropStore,
    depths: dict[str, Float32Array],
    truths: dict[str, Path],
    threads: int,
) -> dict[str, list[DepthErrors]]:
    """Errors of each method on each image with true depth, noted in the examples as well.

    Measured over the pixels of the crop that truly show the object.
    """
    errors: dict[str, list[DepthErrors]] = {name: [] for name in depths}
    for example in progress([e for e in examples if e.image_id in truths], "depth", "measuring depth"):
        row = store.index[example.image_id]
        truth = true_crop(load_truth(truths[example.image_id]), store.boxes[row], store.input.image_size)
        visible = np.isfinite(truth)
        if not visible.any():
            LOG.warning("%s: the object is not in the crop; left out", example.image_id)
            continue
        example.truth = truth
        for name, depth in depths.items():
            example.errors[name] = depth_errors(depth[row], truth, visible)
            errors[name].append(example.errors[name])
    return errors


def demo_table(errors: dict[str, list[DepthErrors]], model: DepthModel) -> pd.DataFrame:
    """Mean errors of each method over images: columns method, n, l1, rmse, rel_l1, rel_sq, rmse_affine, alignment."""
    size = model.input.image_size
    how = f"{ALIGNMENT}; rmse_affine: a d + b x + c y + e; true foreground; {size} px"
    rows = [{"method": name, "n": len(e), **mean_errors(e), "alignment": how} for name, e in errors.items()]
    return pd.DataFrame(rows)


def _demo_caption(split: str, model: DepthModel) -> str:
    return (
        f"Errors of predicted depth on the {split} views of the museum, means over n views, in half widths of the"
        f" {model.input.image_size} px crop with the object's median depth at 2.732. inflated: the mask as a"
        " rounded surface, the square root of the solution of Poisson's equation."
    )


@dataclass
class Example:
    """A held-out image and what was measured on it.

    Attributes:
        image_id: The image.
        split: Where it belongs.
        truth: (S, S) true depth, NaN off the object; None where it is not known.
        errors: Errors by method.
    """

    image_id: str
    split: str
    truth: npt.NDArray[np.floating] | None = None
    errors: dict[str, DepthErrors] = field(default_factory=dict)


def choose_examples(examples: list[Example], works: dict[str, str], limit: int) -> list[Example]:
    """One image of each work in turn until `limit` are chosen; works and images in the order of their ids."""
    by_work: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda e: (works.get(e.image_id, ""), e.image_id)):
        by_work.setdefault(works.get(example.image_id, ""), []).append(example)
    rounds = range(max(map(len, by_work.values()), default=0))
    in_turn = [members[k] for k in rounds for members in by_work.values() if k < len(members)]
    return in_turn[:limit]


def write_examples(
    root: Path, examples: list[Example], store: CropStore, depths: dict[str, Float32Array], limit: int
) -> int:
    """Write predictions/<image_id>.npz and predictions/index.json; older ones are removed.

    Each .npz holds rgb (S, S, 3) uint8, mask (S, S) bool, depth and inflated (S, S) float32, box (left, top, side) in
    pixels of the image and, where the truth is known, truth (S, S) float32 with NaN off the object. All depths grow
    away from the viewer.

    Returns:
        The number of images written.
    """
    folder = root / "predictions"
    works = {name: image.work_id for name, image in stored_images(root).items()}
    index = [_write_example(folder, one, store, depths, works) for one in choose_examples(examples, works, limit)]
    write_json(folder / "index.json", index)
    for old in set(own_entries(root, "predictions", "*.npz")) - {folder / entry["npz"] for entry in index}:
        old.unlink()
    return len(index)


def _write_example(
    folder: Path, example: Example, store: CropStore, depths: dict[str, Float32Array], works: dict[str, str]
) -> dict[str, Any]:
    row = store.index[example.image_id]
    box = store.boxes[row]
    arrays = {
        "rgb": np.asarray(store.images[row]),
        "mask": store.masks[row],
        "depth": depths["liftnet"][row],
        "inflated": depths["inflated"][row],
        "box": np.array([box.left, box.top, box.side]),
    }
    if example.truth is not None:
        arrays["truth"] = example.truth.astype(np.float32)
    name = f"{example.image_id}.npz"
    with atomic_path(folder / name) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    return {
        "image_id": example.image_id,
        "npz": name,
        "work_id": works.get(example.image_id),
        "split": example.split,
        "truth": example.truth is not None,
        "metrics": {method: asdict(errors) for method, errors in example.errors.items()},
    }
