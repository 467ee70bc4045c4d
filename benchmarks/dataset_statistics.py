"""All tables and figures of a dataset of the paper's size, from its files alone: CPU seconds and memory.

    python benchmarks/dataset_statistics.py FOLDER [--pairs 182000] [--works 1187]

The dataset is made up, but written by the project's own writer: 1,187 works of 138 artists from three sources, 182,000
kept pairs with 181 correspondences each on average, and twice as many pairs that were rejected. A fifth of the works
has focal lengths and pairs of true geometry, so that the angles between the cameras are estimated too; the points of
the others are random. `shard statistics` then runs as its rule calls it, on one thread. Beside it, the same counts,
means and quantiles (of all four counts and the score, by split) by DuckDB and by pandas; all three must agree. Writes
benchmarks/dataset_statistics.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import machine, measured, one_thread, peer, shown, spent, write_report
from scale import cost_of_command

from liftnet.core.ids import stable_id
from liftnet.data.codes import SPLITS
from liftnet.data.dataset import shard_paths
from liftnet.data.schemas import MANIFEST, PAIRS, table_writer, write_table
from liftnet.data.shards import Cutting, write_pairs
from liftnet.shard.statistics import tally_files
from liftnet.shard.tables import dataset_tables
from liftnet.shard.tally import PER_PAIR, SCALES, SCORE

PAGE = Path(__file__).with_suffix(".md")
ARTISTS, MEAN_POINTS, REJECTED = 138, 181, 2  # rejected pairs for each kept one
WIDTH, HEIGHT, FOCAL_35MM = 900, 600, 50.0
FOCAL = FOCAL_35MM / 36 * WIDTH
DISTANCE, TURN = 6.0, 4.0  # of the camera in radii of the body; degrees between neighbouring views
CALIBRATED = 5  # every fifth work has focal lengths
REASONS = ("few_putative", "few_masked", "few_inliers", "affine_homography")


@dataclass(frozen=True)
class Work:
    """A made-up work: its ids, its images and how many kept pairs it has."""

    number: int
    artist: str
    work: str
    split: str
    images: tuple[str, ...]
    pairs: int

    @property
    def calibrated(self) -> bool:
        """Whether the focal lengths of its images are known."""
        return self.number % CALIBRATED == 0


def made_works(count: int, pairs: int) -> list[Work]:
    """Works whose numbers of pairs spread as in a real collection, `pairs` in all."""
    rng = np.random.default_rng(0)
    shares = rng.gamma(0.8, size=count)
    wanted = np.maximum(np.rint(shares / shares.sum() * pairs).astype(int), 1)
    wanted[wanted.argmax()] += pairs - wanted.sum()
    works, first = [], 0
    for number, own in enumerate(wanted.tolist()):
        artist = number % ARTISTS
        views = int(np.ceil((1 + np.sqrt(1 + 8 * own * (1 + REJECTED))) / 2)) + 1
        images = tuple(f"{k:016x}" for k in range(first, first + views))
        first += views
        split = "train" if artist % 10 < 7 else SPLITS[1 + artist % 2]
        name = stable_id(f"artist {artist}")
        works.append(Work(number, name, stable_id(f"artist {artist}", f"work {number}"), split, images, own))
    return works


def pairs_of(work: Work) -> pa.Table:
    """The work's pairs: the kept ones with points, then the rejected ones without."""
    rng = np.random.default_rng(work.number)
    first, second = (ends[: work.pairs * (1 + REJECTED)] for ends in np.triu_indices(len(work.images), 1))
    kept = np.arange(len(first)) < work.pairs
    counts = np.where(kept, np.maximum(rng.gamma(1.6, MEAN_POINTS / 1.6, len(first)).astype(int), 20), 0)
    points, matrices = points_of(work, first[: work.pairs], second[: work.pairs], counts[: work.pairs], rng)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    lists = dict(zip(("x1", "y1", "x2", "y2"), points, strict=True)) | {"score": rng.beta(3, 4, counts.sum())}
    images = np.array(work.images)
    columns = {
        "pair_id": [f"{a}-{b}" for a, b in zip(images[first], images[second], strict=True)],
        **{"image_a": images[first], "image_b": images[second]},
        **{name: np.full(len(first), WIDTH) for name in ("width_a", "width_b")},
        **{name: np.full(len(first), HEIGHT) for name in ("height_a", "height_b")},
        **{"work_id": [work.work] * len(first), "artist_id": [work.artist] * len(first)},
        **{"split": [work.split] * len(first), "kept": kept},
        "reason": np.where(kept, "kept", np.array(REASONS)[rng.integers(len(REASONS), size=len(first))]),
        "n_putative": counts * 2 + rng.integers(10, 60, len(first)),
        "n_masked": counts * 3 // 2 + 5,
        "n_inliers": counts + rng.integers(0, 5, len(first)),
        "f_perspective": [*matrices.tolist(), *[None] * (len(first) - work.pairs)],
        **{name: pa.ListArray.from_arrays(offsets, pa.array(v.astype(np.float32))) for name, v in lists.items()},
    }
    nothing = {field.name: pa.nulls(len(first), field.type) for field in PAIRS if field.name not in columns}
    arrays = [columns[f.name] if f.name in columns else nothing[f.name] for f in PAIRS]
    return pa.table(
        [pa.array(a, f.type) if not isinstance(a, pa.Array) else a for a, f in zip(arrays, PAIRS, strict=True)], PAIRS
    )


def points_of(
    work: Work, first: np.ndarray, second: np.ndarray, counts: np.ndarray, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """x1, y1, x2, y2 (N,) of all pairs and their fundamental matrices (P, 9); random points if not calibrated."""
    if not work.calibrated:
        sides = (WIDTH, HEIGHT, WIDTH, HEIGHT)
        return [rng.uniform(0, side - 1, counts.sum()) for side in sides], rng.normal(size=(len(first), 9))
    body = rng.normal(size=(counts.sum(), 3))
    body /= np.linalg.norm(body, axis=1, keepdims=True) * (1 + 0.3 * rng.uniform(size=(len(body), 1)))
    angles = np.radians(TURN) * np.stack([first, second])
    rotations = [_about_vertical(angle) for angle in angles]
    place = np.array([0, 0, DISTANCE])
    seen = [np.einsum("nij,nj->ni", np.repeat(r, counts, axis=0), body) + place for r in rotations]
    centre = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    pixels = [s[:, :2] / s[:, 2:] * FOCAL + centre + rng.normal(0, 0.3, (len(s), 2)) for s in seen]
    turn = rotations[1] @ rotations[0].transpose(0, 2, 1)
    shift = place - turn[:, :, 2] * DISTANCE
    cross = np.zeros((len(first), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]], cross[:, [1, 2, 0], [2, 0, 1]] = shift, -shift
    inverse = np.linalg.inv([[FOCAL, 0, centre[0]], [0, FOCAL, centre[1]], [0, 0, 1]])
    matrices = (inverse.T @ cross @ turn @ inverse).reshape(-1, 9)
    matrices /= np.linalg.norm(matrices, axis=1, keepdims=True)
    return [pixels[0][:, 0], pixels[0][:, 1], pixels[1][:, 0], pixels[1][:, 1]], matrices


def _about_vertical(angles: np.ndarray) -> np.ndarray:
    zero, one = np.zeros(len(angles)), np.ones(len(angles))
    rows = [np.cos(angles), zero, np.sin(angles), zero, one, zero, -np.sin(angles), zero, np.cos(angles)]
    return np.stack(rows, axis=1).reshape(-1, 3, 3)


def images_of(works: list[Work]) -> Iterator[dict[str, object]]:
    """Rows of the manifest: the images, and a tenth more that failed."""
    sources = ("commons", "met", "cleveland")
    for work in works:
        for view, image in enumerate(work.images):
            source = sources[(work.number + view // 20) % 3]
            about = {"artist_id": work.artist, "work_id": work.work, "group_id": work.artist, "split": work.split}
            size = {"width": WIDTH, "height": HEIGHT, "focal_35mm": FOCAL_35MM if work.calibrated else None}
            spdx = ("CC0-1.0", "CC-BY-SA-4.0", "CC-BY-4.0")[view % 3]
            yield {"image_id": image, "status": "ok", "source": source, "license_spdx": spdx, **about, **size}
            if view % 10 == 0:
                yield {"status": "http_404", "source": source, **about}


def make(folder: Path, works: list[Work]) -> dict[str, float]:
    """Write the dataset to `folder/dataset`; what it took."""
    tables, dataset = folder / "pairs", folder / "dataset"
    dataset.mkdir(parents=True)
    files = [tables / f"{work.work}.parquet" for work in works]
    for path, work in zip(files, works, strict=True):
        write_table(path, pairs_of(work), PAIRS)
    with table_writer(dataset / "collected.parquet", MANIFEST) as write:
        write(images_of(works))
    manifest = pq.read_table(dataset / "collected.parquet")
    start = spent()
    with one_thread():
        write_pairs(dataset, files, Cutting(), "shard", manifest=manifest)
    return {"write_pairs, CPU s": spent() - start}


QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def ours(dataset: Path) -> pd.DataFrame:
    """Count, mean and quantiles by split, from our tally."""
    table = next(t for t in dataset_tables(tally_files(dataset)) if t.name == "matches_per_pair").frame
    return table.set_index(["quantity", "split"]).loc[:, ["n", "mean", "q05", "q25", "median", "q75", "q95"]]


def by_duckdb(dataset: Path) -> pd.DataFrame:
    """The same by DuckDB, one query a quantity over the Parquet files."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    rows = {}
    for split in (*SPLITS, "all"):
        files = [str(p) for name in (SPLITS if split == "all" else [split]) for p in shard_paths(dataset, name)]
        for column, quantity in [*PER_PAIR.items(), ("score", SCORE)]:
            values = f"unnest({column})" if column == "score" else column
            rows_of = f"(select {values} as v from read_parquet({files}))"
            query = f"select count(v), avg(v), quantile_cont(v, {list(QUANTILES)}) from {rows_of}"
            n, mean, quantiles = connection.execute(query).fetchone()
            scale = SCALES.get(quantity, 1)
            rows[quantity, split] = [n, mean / scale, *(q / scale for q in quantiles)]
    return _frame(rows)


def by_pandas(dataset: Path) -> pd.DataFrame:
    """The same by pandas, the columns of all shards in memory."""
    frames = {
        split: pd.concat([pd.read_parquet(p, columns=[*PER_PAIR, "score"]) for p in shard_paths(dataset, split)])
        for split in SPLITS
    }
    rows = {}
    for split in (*SPLITS, "all"):
        frame = pd.concat(frames.values()) if split == "all" else frames[split]
        for column, quantity in [*PER_PAIR.items(), ("score", SCORE)]:
            values = np.concatenate(frame[column].to_numpy()) if column == "score" else frame[column].to_numpy()
            scale = SCALES.get(quantity, 1)
            rows[quantity, split] = [len(values), values.mean() / scale, *(np.quantile(values, QUANTILES) / scale)]
    return _frame(rows)


def _frame(rows: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(rows, names=["quantity", "split"])
    return pd.DataFrame(rows.values(), index=index, columns=["n", "mean", "q05", "q25", "median", "q75", "q95"])


def compared(dataset: Path, runs: int) -> pd.DataFrame:
    """CPU seconds of each way to the same numbers, in turns; a disagreement ends the benchmark."""
    ways: dict[str, Callable[[Path], pd.DataFrame]] = {"liftnet, intervals included": ours}
    if peer("duckdb") is not None:
        ways["DuckDB"] = by_duckdb
    ways["pandas"] = by_pandas
    rows, truth = [], ours(dataset)
    for name, way in ways.items():
        way(dataset)
        result, seconds, times = measured(lambda way=way: way(dataset), runs)
        np.testing.assert_allclose(
            result.loc[truth.index].to_numpy(float), truth.to_numpy(float), rtol=1e-9, err_msg=name
        )
        rows.append({"way": name, "CPU s": seconds, "runs": times})
    return pd.DataFrame(rows)


def main() -> None:
    """Make the dataset if it is not there, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the dataset is made; kept")
    parser.add_argument("--pairs", type=int, default=182_000)
    parser.add_argument("--works", type=int, default=1187)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--report", type=Path, default=PAGE)
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.absolute()
    dataset, works = arguments.folder / "dataset", made_works(arguments.works, arguments.pairs)
    took = {} if dataset.exists() else make(arguments.folder, works)
    words = ("liftnet", "shard", "statistics", "--dataset", str(dataset), "--tables", str(arguments.folder / "tables"))
    with one_thread():
        costs = [cost_of_command(*words) for _ in range(arguments.runs)]
        table = compared(dataset, arguments.runs)
    seconds, memory = (float(np.median([getattr(cost, name) for cost in costs])) for name in ("cpu", "memory"))
    sizes = pd.read_csv(arguments.folder / "tables" / "split_sizes.csv", index_col=0)["all"]
    angles = pd.read_csv(arguments.folder / "tables" / "baseline_angles.csv").set_index("split").loc["all", "n"]
    size = sum(path.stat().st_size for path in dataset.iterdir()) / 1e6
    row = {"pairs": sizes["pairs"], "correspondences": sizes["correspondences"], "works": sizes["works"]}
    row |= {"images": sizes["images"], "pairs with an angle": angles, "dataset, MB": size, **took}
    row |= {"shard statistics, CPU s": seconds, "peak memory, MB": memory}
    page = [
        "# Statistics of a dataset",
        "Written by `python benchmarks/dataset_statistics.py FOLDER`, which see. `shard statistics` writes all tables "
        f"and figures; its median of {len(costs)} runs on one thread, start of Python included.",
        machine("pyarrow", "duckdb", "pandas", "numpy"),
        shown(pd.DataFrame([row]), dict.fromkeys(row, ",.0f") | {"shard statistics, CPU s": ".1f"}),
        "The same counts, means and quantiles of the four counts and the score by split, three ways whose numbers "
        "agree; ours has the bootstrap intervals, the other tables' counts and the list of images as well.",
        shown(table, {"CPU s": ".1f"}),
    ]
    write_report(arguments.report, page)


if __name__ == "__main__":
    main()
