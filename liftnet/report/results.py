"""What a run has left in its folder, read once for the whole page, and the photographs that the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import finished
from liftnet.core.ids import stable_seed
from liftnet.data.codes import NOT_STATED, SPLITS
from liftnet.data.dataset import open_shard, shard_paths
from liftnet.data.pictures import read_image
from liftnet.data.predictions import listed_predictions
from liftnet.data.schemas import MANIFEST, MASKS, PAIRS, TRIED, open_table, read_table

PAIR_COLUMNS = [
    *("pair_id", "work_id", "image_a", "image_b", "kept", "reason"),
    *("n_putative", "n_masked", "n_inliers", "n_guided"),
]


@dataclass(frozen=True)
class RunResults:
    """The results folder of a run. Tables are read when first asked for.

    Attributes:
        root: Folder that holds manifest.parquet, images/, masks/, pairs/, tables/ and what other stages wrote.
    """

    root: Path

    @cached_property
    def manifest(self) -> pd.DataFrame:
        """One row per URL asked for."""
        return read_table(self.root / "manifest.parquet", MANIFEST).to_pandas()

    @cached_property
    def images(self) -> pd.DataFrame:
        """The stored images, indexed by image_id."""
        stored = self.manifest[self.manifest["status"] == "ok"]
        return stored.drop_duplicates("image_id").set_index("image_id", drop=False).rename_axis(None)

    @cached_property
    def masks(self) -> pd.DataFrame | None:
        """One row per image that was segmented; None before the masks were predicted."""
        files = finished(self.root / "masks", "*.parquet")
        if not files:
            return None
        return pa.concat_tables([read_table(path, MASKS) for path in files]).to_pandas().drop_duplicates("image_id")

    @cached_property
    def pairs(self) -> pd.DataFrame | None:
        """One row per candidate pair without its points, `n_kept` of them and the file it stands in; None if none."""
        files = finished(self.root / "pairs", "*.parquet")
        frames = [_pairs_without_points(path) for path in files]
        return pd.concat(frames, ignore_index=True) if frames else None

    @cached_property
    def predictions(self) -> list[dict[str, Any]]:
        """Rows of predictions/index.json: image_id, npz, work_id, split, truth, metrics; empty without predictions."""
        return listed_predictions(self.root) if (self.root / "predictions" / "index.json").exists() else []

    @cached_property
    def tried(self) -> pd.DataFrame | None:
        """pair_id, kept and reason of every pair that was tried, as the dataset says; None if it does not."""
        path = self.root / "dataset" / "tried.parquet"
        if not path.exists():
            return None
        frame = read_table(path, TRIED).select(["pair_id", "kept", "reason"]).to_pandas()
        return frame.astype({"kept": bool})

    @cached_property
    def dataset_correspondences(self) -> int | None:
        """Correspondences in the shards; None without a dataset."""
        dataset = self.root / "dataset"
        if not dataset.is_dir():
            return None
        shards = [path for split in SPLITS for path in shard_paths(dataset, split)]
        return sum(pc.sum(open_shard(path).read(columns=["n"]).column("n")).as_py() or 0 for path in shards)


def _pairs_without_points(path: Path) -> pd.DataFrame:
    try:
        with open_table(path, PAIRS) as file:
            table = file.read(columns=[*PAIR_COLUMNS, "x1", "rejected_x1"])
    except (pa.ArrowException, OSError) as error:
        raise LiftnetError(path, f"is not a readable Parquet file ({error})", "Delete it and run `verify`") from error
    lengths = {
        "n_kept": pc.fill_null(pc.list_value_length(table.column("x1")), 0).to_numpy(),
        "n_rejected": pc.fill_null(pc.list_value_length(table.column("rejected_x1")), 0).to_numpy(),
    }
    frame = table.select(PAIR_COLUMNS).to_pandas()
    frame["kept"] = frame["kept"].fillna(False).astype(bool)
    frame["reason"] = frame["reason"].fillna(NOT_STATED)
    return frame.assign(**lengths, file=str(path), row=range(len(frame)))


@dataclass(frozen=True)
class Photograph:
    """An image as the page names it: `artist`, `work` and `split` come from the manifest."""

    image_id: str
    artist: str
    work: str
    split: str

    @property
    def name(self) -> str:
        """Work and artist in one line."""
        return f"{self.work}, {self.artist}" if self.artist else self.work


def photograph_pixels(run: RunResults, image: str) -> npt.NDArray[np.uint8]:
    """The stored image, (H, W, 3) uint8.

    Raises:
        BadImageError: It is not in the manifest, or its file is missing or damaged.
    """
    if image not in run.images.index:
        raise BadImageError(f"image {image}", "missing", "is not in the manifest")
    return read_image(run.root / "images" / str(run.images.loc[image, "file"]))


def photograph_of(run: RunResults, image: str) -> Photograph:
    """How the page names an image."""
    if image not in run.images.index:
        return Photograph(image, "", image, "")
    row = run.images.loc[image]
    return Photograph(image, str(row["artist"] or ""), str(row["work"] or ""), str(row["split"] or ""))


def ordered(frame: pd.DataFrame, seed: int, column: str) -> pd.DataFrame:
    """Rows in an order that depends on the seed and the ids in `column`, not on their order in the files."""
    keys = [stable_seed(seed, "report", str(value)) for value in frame[column]]
    return frame.assign(_key=keys).sort_values(["_key", column], kind="stable").drop(columns="_key")
