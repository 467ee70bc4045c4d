"""`verify evaluate`: pairs by reason, and the precision of the matches after each step against the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from liftnet.io.errors import LiftnetError
from liftnet.io.log import get_logger
from liftnet.io.parallel import map_threads
from liftnet.io.schemas import PAIRS, read_table
from liftnet.io.tables import write_tables
from liftnet.io.truth import TrueView, load_truth, truth_files
from liftnet.verify.decide import REASONS
from liftnet.verify.files import ImageRow, MaskFolder, list_values, read_images, read_matches
from liftnet.verify.truth import transfer_errors

FloatArray = npt.NDArray[np.floating]
LOG = get_logger("verify")
SPLITS = ("train", "val", "test")
STEPS = {
    "putative": "putative",
    "foreground": "on the foreground",
    "epipolar": "agree with an affine F",
    "kept": "of kept pairs",
}
WITHIN_PX = (1, 2, 4)
VIEWS_IN_MEMORY = 64  # of one work at a time; about 2 MB each

Measured = tuple[FloatArray, npt.NDArray[np.bool_]]  # of one pair: distances in px, whether the true point is visible
Errors = dict[tuple[str, str], list[Measured]]  # by split and step


def evaluate(root: Path, museum: Path | None, tables: Path, threads: int = 1) -> None:
    """Write `pairs_by_reason` and, with a museum, `correspondences_truth` as CSV, Markdown and LaTeX.

    Args:
        root: Folder with manifest.parquet, pairs/, matches/ and masks/.
        museum: Museum with the truth of the images; images it does not know are left out.
        tables: Folder to write to.
        threads: Worker threads, parallel over works.

    Raises:
        LiftnetError: A table cannot be read or the tables cannot be written.
    """
    files = sorted((root / "pairs").glob("*.parquet"))
    if not files:
        raise LiftnetError(root / "pairs", "holds no table of pairs", "Run `verify run` for each work first")
    light = ["split", "kept", "reason", "n_f"]
    pairs = pa.concat_tables([read_table(file, PAIRS).select(light) for file in files]).to_pandas()
    by_reason = count_by_reason(pairs)
    write_tables(by_reason, tables / "pairs_by_reason", "Pairs of images by what was decided on them.")
    kept = pairs[pairs["kept"]]
    text = f"{len(pairs)} pairs: {len(kept)} kept with {kept['n_f'].sum()} correspondences"
    if museum is not None:
        precision = _precision(root, museum, files, threads)
        caption = (
            "Matches against the true geometry of the views: share within 1, 2 and 4 px of the true and visible "
            "position in the other image, median distance (px) of those on the object, and share off the object."
        )
        write_tables(precision, tables / "correspondences_truth", caption)
        last = precision.iloc[-1]
        text += f", {last['within_2_px']:.1%} within 2 px of the truth ({last['pairs']} pairs with a truth)"
    LOG.info("%s; tables written to %s", text, tables)


def count_by_reason(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs for each reason and split, in the order in which the reasons are asked, and their sum.

    Args:
        pairs: Columns `split` (null where no image is known) and `reason`.

    Returns:
        Columns reason, meaning, train, val, test, unknown (only where a split is null) and all.
    """
    split = pairs["split"].where(pairs["split"].isin(SPLITS), "unknown")
    names = [*SPLITS, *(["unknown"] if (split == "unknown").any() else [])]
    table = pd.crosstab(pairs["reason"], split).reindex(columns=names, fill_value=0)
    known = [reason for reason in REASONS if reason in table.index]
    table = table.reindex(known + sorted(set(table.index) - set(known)))
    table.loc["all"] = table.sum()
    table["all"] = table.sum(axis=1)
    meaning = [REASONS.get(reason, "not matched" if reason != "all" else "") for reason in table.index]
    table.insert(0, "meaning", meaning)
    return table.astype(dict.fromkeys([*names, "all"], "int64")).rename_axis("reason").reset_index()


class _Truth:
    """The true views of a museum, by image id."""

    def __init__(self, museum: Path, images: dict[str, ImageRow]) -> None:
        files = truth_files(museum)
        self.files = {image.image_id: files[image.image_url] for image in images.values() if image.image_url in files}
        self.view = lru_cache(VIEWS_IN_MEMORY)(self._load)
        if not self.files:
            raise LiftnetError(museum, "knows none of the images in the manifest", "Name the museum they come from")

    def _load(self, image_id: str) -> TrueView:
        return load_truth(self.files[image_id])


def _precision(root: Path, museum: Path, files: list[Path], threads: int) -> pd.DataFrame:
    images = read_images(root)
    truth = _Truth(museum, images)
    masks = MaskFolder(root / "masks") if (root / "masks").is_dir() else None

    def measure(file: Path) -> Errors:
        return _errors_of_work(file, root / "matches" / file.name, images, truth, masks)

    errors: Errors = defaultdict(list)
    for found in map_threads(measure, files, threads, "verify", "measuring works"):
        for key, arrays in found.items():
            errors[key] += arrays
            errors["all", key[1]] += arrays
    rows = [_precision_row(split, step, errors[split, step]) for split in (*SPLITS, "all") for step in STEPS]
    return pd.DataFrame(rows)


def _errors_of_work(
    pairs: Path, matches: Path, images: dict[str, ImageRow], truth: _Truth, masks: MaskFolder | None
) -> Errors:
    errors: Errors = defaultdict(list)
    for split, step, image_a, image_b, points_a, points_b in _steps(pairs, matches, images, masks):
        if image_a in truth.files and image_b in truth.files:
            views = truth.view(image_a), truth.view(image_b)
            errors[split, step].append(transfer_errors(*views, points_a, points_b))
    return errors


Step = tuple[str, str, str, str, FloatArray, FloatArray]


def _steps(pairs: Path, matches: Path, images: dict[str, ImageRow], masks: MaskFolder | None) -> Iterator[Step]:
    """Split, step, both image ids and the matched points that are left after each step, pair by pair."""
    table = read_table(pairs, PAIRS).combine_chunks()
    lists = [list_values(table.column(name)) for name in ("x1", "y1", "x2", "y2")]
    plain = (table.column(name).to_pylist() for name in ("split", "kept", "n_f", "image_a", "image_b"))
    for split, kept, n_f, image_a, image_b, x1, y1, x2, y2 in zip(*plain, *lists, strict=True):
        points = np.column_stack([x1, y1]), np.column_stack([x2, y2])
        if n_f:
            yield split, "epipolar", image_a, image_b, *points
        if kept:
            yield split, "kept", image_a, image_b, *points
    if not matches.is_file():
        LOG.warning("%s is not there any more: its putative matches are not measured", matches)
        return
    for pair in read_matches(matches):
        a, b = images.get(pair.image_a), images.get(pair.image_b)
        if a is None or b is None or not len(pair.score) or not pair.is_consistent:
            continue
        yield a.split, "putative", pair.image_a, pair.image_b, pair.points_a, pair.points_b
        on = masks.both_on_foreground(pair, a, b) if masks else None
        if on is not None and on.any():
            yield a.split, "foreground", pair.image_a, pair.image_b, pair.points_a[on], pair.points_b[on]


def _precision_row(split: str, step: str, measured: list[Measured]) -> dict[str, Any]:
    distance = np.concatenate([np.empty(0), *(distances for distances, _ in measured)])
    visible = np.concatenate([np.empty(0, np.bool_), *(seen for _, seen in measured)])
    on_object, n = np.isfinite(distance), len(distance)
    row: dict[str, Any] = {"split": split, "matches": STEPS[step], "pairs": len(measured), "correspondences": n}
    for limit in WITHIN_PX:
        row[f"within_{limit}_px"] = float((visible & (distance <= limit)).mean()) if n else float("nan")
    row["median_error_px"] = float(np.median(distance[on_object])) if on_object.any() else float("nan")
    row["off_object"] = float((~on_object).mean()) if n else float("nan")
    return row
