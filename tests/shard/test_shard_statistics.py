"""Statistics: sums that add up in any order, against numpy and pandas, and tables whose numbers agree."""

import random
import shutil
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.data.codes import SPLITS
from liftnet.data.dataset import read_pairs
from liftnet.data.funnel import UNACCOUNTED
from liftnet.data.schemas import MANIFEST, PAIRS, TRUTH, write_table
from liftnet.data.shards import Cutting, write_pairs
from liftnet.data.truth import TrueView, save_truth
from liftnet.geometry.cameras import Camera
from liftnet.shard.statistics import tally_files, write_statistics
from liftnet.shard.tables import ALL, Counted
from liftnet.shard.tally import SCORE, Sums, Tally, measured, tally_pairs, total

WORKS = {
    "king": ("moore", "train", 8),
    "queen": ("moore", "train", 5),
    "wave": ("hepworth", "val", 6),
    "hat": ("arp", "test", 4),
}
HOSTILE = "<script>alert('$x_{')</script> \x07"


def image_rows():
    """Images of four works from two sources, one left out, one alone, some that failed."""
    number = 0
    for work, (artist, split, count) in WORKS.items():
        for view in range(count):
            number += 1
            yield {
                "image_id": f"{number:016x}",
                "artist_id": artist,
                "work_id": work,
                "group_id": artist,
                "split": split,
                "source": "met" if view % 2 else "commons",
                "image_url": f"http://host/museum/images/{work}/{view}.jpg",
                "status": "licence_rejected" if number == 1 else "ok",
                "width": 640 + number,
                "height": 480,
                "license": HOSTILE if view == 2 else "CC0" if view else None,
                "license_spdx": "CC0-1.0" if view % 3 == 1 else None,
            }
    yield {
        "image_id": f"{99:016x}",
        "work_id": "lone",
        "artist_id": "arp",
        "split": "test",
        "source": "met",
        "status": "ok",
    }
    for status, source in (("http_404", "met"), ("http_404", "met"), ("not_image", "commons"), ("http_404", None)):
        yield {"status": status, "source": source}


def pair_row(rng, a, b, kept):
    n = int(rng.integers(20, 90)) if kept else 0
    points = rng.uniform(0, 479, (4, n))
    return {
        "pair_id": f"{a['image_id']}-{b['image_id']}",
        **{name: a[name] for name in ("work_id", "artist_id", "split")},
        **{"image_a": a["image_id"], "image_b": b["image_id"]},
        **{"width_a": a["width"], "height_a": 480, "width_b": b["width"], "height_b": 480},
        **{"kept": kept, "reason": "kept" if kept else str(rng.choice(["few_putative", "chance"]))},
        **{"n_putative": 3 * n + 30, "n_masked": 2 * n + 7, "n_inliers": n + 3 if kept else 2},
        **dict(zip(("x1", "y1", "x2", "y2"), points, strict=True)),
        "score": rng.uniform(size=n),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset in small row groups, and the rows it was made of."""
    folder = tmp_path_factory.mktemp("statistics")
    dataset, rng = folder / "dataset", np.random.default_rng(0)
    images = list(image_rows())
    pairs = []
    for work in WORKS:
        views = [row for row in images if row.get("work_id") == work]
        pairs += [pair_row(rng, a, b, rng.uniform() < 0.6) for k, a in enumerate(views) for b in views[k + 1 :]]
    write_table(folder / "pairs.arrow", pairs, PAIRS)
    dataset.mkdir()
    manifest = pa.Table.from_pylist([row | {"status": "ok"} if "image_id" in row else row for row in images], MANIFEST)
    left_out = {f"{1:016x}": "licence_rejected"}
    write_pairs(dataset, [folder / "pairs.arrow"], Cutting(), "shard", left_out, manifest)
    write_table(dataset / "collected.parquet", images, MANIFEST)
    return dataset, images, pairs


@pytest.fixture(scope="module")
def tables(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    write_statistics(made[0], folder)
    return folder


def read(folder, name):
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])


def some_tally(values, work):
    return measured("quantity", "train", [work] * len(values), np.array(values, np.int64))


values = st.lists(st.integers(0, 50), max_size=8)


@settings(max_examples=50, deadline=None)
@given(values, values, values)
def test_tallies_are_a_commutative_monoid(first, second, third):
    a, b, c = (some_tally(v, work) for v, work in ((first, "king"), (second, "queen"), (third, "king")))
    assert (a + b) + c == a + (b + c) == total([c, a, b])
    assert a + b == b + a
    assert a + Tally({}) == a == Tally({}) + a
    assert a["histogram"].table.column("count").to_numpy().sum() == len(first)


def test_a_different_number_makes_a_different_tally():
    assert some_tally([1, 2], "king") != some_tally([1, 3], "king")
    assert some_tally([1, 2], "king") != some_tally([1, 2], "queen")
    assert Sums.empty("works") != Sums.of(
        "works", {"split": "x", "artist_id": ["a"], "work_id": ["b"], "pairs": [1], "correspondences": [1]}
    )


def test_cut_and_order_of_the_shards_do_not_matter(made, tmp_path):
    whole = tally_files(made[0])
    shutil.copytree(made[0], tmp_path / "cut")
    for split in SPLITS:
        path = tmp_path / "cut" / f"{split}-00000-of-00001.parquet"
        table = pq.read_table(path)
        rows = np.random.default_rng(1).permutation(len(table))
        for part in range(3):
            name = f"{split}-{part:05d}-of-00003.parquet"
            pq.write_table(table.take(rows[part::3]), tmp_path / "cut" / name, row_group_size=4)
        path.unlink()
    assert tally_files(tmp_path / "cut") == whole
    parts = [tally_pairs(path, "train") for path in (tmp_path / "cut").glob("train-*.parquet")]
    random.Random(2).shuffle(parts)
    assert total(parts) == sum(parts, start=Tally({}))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=60), st.floats(0, 1))
def test_quantiles_and_moments_are_those_of_numpy(numbers, share):
    counted = Counted(*np.unique(np.array(numbers, np.int64), return_counts=True))
    assert counted.n == len(numbers)
    assert counted.mean() == pytest.approx(np.mean(numbers))
    assert counted.quantile(share) == pytest.approx(np.quantile(numbers, share), rel=1e-9, abs=1e-6)
    if len(numbers) > 1:
        assert counted.deviation() == pytest.approx(np.std(numbers, ddof=1), rel=1e-9, abs=1e-9)
    else:
        assert counted.deviation() is None


def test_distributions_against_the_pairs_themselves(made, tables):
    pairs = [pair for split in SPLITS for pair in read_pairs(made[0], split)]
    frame = read(tables, "matches_per_pair").set_index(["quantity", "split"])
    counts = np.array([len(pair) for pair in pairs])
    row = frame.loc[("correspondences", "all")]
    assert row["n"] == len(pairs)
    assert row["mean"] == pytest.approx(counts.mean())
    assert row["sd"] == pytest.approx(counts.std(ddof=1))
    assert row[["min", "q05", "q25", "median", "q75", "q95", "max"]].tolist() == pytest.approx(
        np.quantile(counts, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).tolist()
    )
    assert row["iqr"] == pytest.approx(row["q75"] - row["q25"])
    assert row["mean_low"] < row["mean"] < row["mean_high"]
    train = [len(pair) for pair in pairs if pair.work_id in ("king", "queen")]
    assert frame.loc[("correspondences", "train")]["mean"] == pytest.approx(np.mean(train))
    scores = np.concatenate([pair.scores for pair in pairs])
    assert frame.loc[(SCORE, "all")]["n"] == len(scores)
    assert frame.loc[(SCORE, "all")]["mean"] == pytest.approx(scores.mean(), abs=1e-6)
    assert frame.loc[(SCORE, "all")]["median"] == pytest.approx(np.median(scores), abs=1e-6)


def test_images_views_sizes_and_licences(made, tables):
    dataset, images, _ = made
    held = pd.DataFrame([row for row in images if row["status"] == "ok"])
    frame = read(tables, "images_per_work").set_index(["quantity", "split"])
    per_work = held.groupby("work_id").size()
    assert frame.loc[("images per work", "all")]["mean"] == pytest.approx(per_work.mean())
    assert frame.loc[("images per artist", "all")]["max"] == held.groupby("artist_id").size().max()
    views = {}
    for pair in (pair for split in SPLITS for pair in read_pairs(dataset, split)):
        views.setdefault(pair.work_id, set()).update((pair.image_a, pair.image_b))
    assert frame.loc[("views per work", "all")]["mean"] == pytest.approx(np.mean([len(v) for v in views.values()]))
    sizes = read(tables, "resolution").set_index(["quantity", "split"])
    known = held.dropna(subset=["width"])
    assert sizes.loc[("megapixels", "all")]["mean"] == pytest.approx((known["width"] * known["height"]).mean() / 1e6)
    licences = read(tables, "licences").set_index("licence")
    assert licences["all"].sum() == len(held)
    assert licences.loc["CC0-1.0", "all"] == held["license_spdx"].eq("CC0-1.0").sum()
    assert licences["share"].sum() == pytest.approx(1)
    assert not licences.index.str.contains("[<>$']").any()
    sizes = read(tables, "split_sizes").set_index("quantity")
    assert sizes.loc["images", "all"] == len(held) == sizes.loc["images", list(SPLITS)].sum()
    assert sizes.loc["pairs", "all"] == sizes.loc["pairs", list(SPLITS)].sum()
    assert sizes.loc["share of pairs", list(SPLITS)].sum() == pytest.approx(1)


def chains(frame):
    for _, rows in frame.groupby(["unit", "source"], sort=False):
        left = rows[rows["outcome"] == "remaining"]["count"].tolist()
        lost = rows[rows["outcome"] == "lost"].groupby("step")["count"].sum()
        steps = rows[rows["outcome"] == "remaining"]["step"].tolist()
        yield rows, left, [int(lost.get(step, 0)) for step in steps]


def test_the_funnel_adds_up_within_each_source_and_over_them(made, tables):
    _, images, pairs = made
    frame = read(tables, "funnel_by_source")
    for _, left, lost in chains(frame):
        assert [a - b for a, b in pairwise(left)] == lost[1:]
        assert min(left) >= 0
    assert UNACCOUNTED not in frame["reason"].tolist()
    for (unit, step, outcome, reason), rows in frame.fillna("").groupby(["unit", "step", "outcome", "reason"]):
        whole = rows[rows["source"] == ALL]["count"].sum()
        if "shards" not in step:
            assert rows[rows["source"] != ALL]["count"].sum() == whole, (unit, step, outcome, reason)
    asked = frame[(frame["step"] == "URLs and files asked for") & (frame["source"] != ALL)].set_index("source")[
        "count"
    ]
    assert asked.to_dict() == pd.Series([row["source"] or "not stated" for row in images]).value_counts().to_dict()
    left_out = frame[
        (frame["unit"] == "image pairs") & (frame["reason"] == "licence_rejected") & (frame["source"] == ALL)
    ]
    assert left_out["count"].sum() == sum(row["kept"] and row["image_a"] == f"{1:016x}" for row in pairs)
    alone = frame[(frame["reason"] == "only_image_of_its_work") & (frame["source"] == ALL)]
    assert alone["count"].tolist() == [1]
    assert "commons and met" in set(frame["source"])


def test_files_that_disagree_are_shown(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "dataset")
    path = tmp_path / "dataset" / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(2), path)
    write_statistics(tmp_path / "dataset", tmp_path / "tables")
    frame = read(tmp_path / "tables", "funnel_by_source")
    gap = frame[frame["reason"] == UNACCOUNTED].set_index("unit")["count"].to_dict()
    assert gap == {"image pairs": 2, "matches": sum(table.column("n").to_pylist()[:2])}


def test_figures_show_the_tables_numbers(made, tables):
    figures = tables / "figures"
    names = {path.stem for path in figures.glob("*.svg")}
    assert names == {"images_per_work", "matches_per_pair", "resolution", "licences", "funnel_by_source"}
    for name in names:
        root = ElementTree.parse(figures / f"{name}.svg").getroot()
        assert root.tag.endswith("svg")
        assert (figures / f"{name}.csv").stat().st_size > 20
    text = (figures / "licences.svg").read_text()
    assert "CC0-1.0" in text
    assert "<script" not in text
    shown = read(figures, "resolution")
    assert (
        shown["count"].sum()
        == read(tables, "resolution").set_index(["quantity", "split"]).loc[("long side", "all"), "n"]
    )
    curve = read(figures, "matches_per_pair").dropna(subset=["at_least"])
    counts = np.array([len(pair) for split in SPLITS for pair in read_pairs(made[0], split)])
    for row in curve[curve["quantity"] == "correspondences"].itertuples():
        assert row.share_of_pairs == pytest.approx(np.mean(counts >= row.at_least))


def test_the_same_dataset_gives_the_same_bytes(made, tables, tmp_path):
    write_statistics(made[0], tmp_path)
    for path in sorted(p for p in tables.rglob("*") if p.is_file()):
        assert (tmp_path / path.relative_to(tables)).read_bytes() == path.read_bytes(), path.name


def test_shards_alone_give_what_they_can_and_old_tables_go(made, tables, tmp_path):
    shutil.copytree(made[0], tmp_path / "dataset")
    shutil.copytree(tables, tmp_path / "tables")
    for name in ("collected.parquet", "tried.parquet"):
        (tmp_path / "dataset" / name).unlink()
    frame = write_statistics(tmp_path / "dataset", tmp_path / "tables")
    left = {path.stem for path in (tmp_path / "tables").glob("*.csv")}
    assert left == {"statistics", "split_sizes", "images_per_work", "matches_per_pair"}
    assert {path.stem for path in (tmp_path / "tables" / "figures").iterdir()} == {
        "images_per_work",
        "matches_per_pair",
    }
    assert frame.equals(write_statistics(made[0], tmp_path / "again"))


def test_no_pair_at_all(tmp_path):
    write_table(tmp_path / "none.arrow", [], PAIRS)
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    write_pairs(dataset, [tmp_path / "none.arrow"], Cutting(), "shard")
    write_table(dataset / "collected.parquet", list(image_rows()), MANIFEST)
    write_statistics(dataset, tmp_path / "tables")
    assert read(tmp_path / "tables", "split_sizes").set_index("quantity").loc["pairs"].tolist() == [0, 0, 0, 0]
    assert not (tmp_path / "tables" / "matches_per_pair.csv").exists()


def test_true_angles_of_a_museum(made, tmp_path):
    rows, angles = [], {}
    for row in made[1]:
        if "image_url" in row:
            angles[row["image_id"]] = angle = 3.0 * int(row["image_id"], 16)
            turn = np.radians(angle)
            rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
            name = f"truth/{row['image_id']}.npz"
            (tmp_path / "museum" / "truth").mkdir(parents=True, exist_ok=True)
            save_truth(tmp_path / "museum" / name, TrueView(np.ones((2, 2)), Camera(np.eye(3), rotation, np.zeros(3))))
            rows.append({"image_url": row["image_url"].split("/museum/")[1], "truth": name})
    write_table(tmp_path / "museum" / "truth.parquet", rows, TRUTH)
    write_statistics(made[0], tmp_path / "tables", tmp_path / "museum")
    frame = read(tmp_path / "tables", "baseline_angles").set_index(["quantity", "split"])
    pairs = [pair for split in SPLITS for pair in read_pairs(made[0], split)]
    truth = [abs(angles[pair.image_b] - angles[pair.image_a]) for pair in pairs]
    assert frame.loc[("true angle between the cameras", "all")]["n"] == len(pairs)
    assert frame.loc[("true angle between the cameras", "all")]["mean"] == pytest.approx(np.mean(truth), abs=1e-3)
