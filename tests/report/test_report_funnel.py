"""The funnel adds up, whatever is missing."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.data.funnel import UNACCOUNTED
from liftnet.data.schemas import DATASET, PAIRS, TRIED, write_table
from liftnet.report.results import RunResults
from liftnet.report.tables import funnel, remaining, write_funnel


def assert_adds_up(frame):
    for _, rows in frame.groupby("unit", sort=False):
        before = None
        for _, step in rows.groupby("step", sort=False):
            left = step.loc[step["outcome"] == "remaining", "count"].sum()
            lost = step.loc[step["outcome"] == "lost", "count"].sum()
            assert before is None or before == left + lost
            before = left


def count(frame, unit, reason):
    return int(frame.loc[(frame["unit"] == unit) & (frame["reason"] == reason), "count"].sum())


def test_counts_of_a_known_run(made_run):
    frame = funnel(RunResults(made_run.root))
    assert_adds_up(frame)
    total = sum(map(len, made_run.images.values()))
    images = dict(remaining(frame, "images"))
    assert images["URLs and files asked for"] == total + made_run.failed
    assert images["images stored"] == total
    assert images["images with a mask"] == total - 1
    assert images["images in a pair that was tried"] == total - 2
    assert count(frame, "images", "HTTP 404") == 2
    assert count(frame, "images", "the only image of its work") == 1
    pairs = dict(remaining(frame, "image pairs"))
    assert pairs["pairs of stored images of one work"] == 6 + 3 + 3
    assert (pairs["pairs tried"], pairs["pairs kept"]) == (made_run.tried, made_run.kept)
    points = dict(remaining(frame, "correspondences"))
    assert points["correspondences of kept pairs"] == made_run.correspondences
    assert count(frame, "correspondences", "masks not reached: too few putative matches") == 5
    assert not frame["reason"].eq(UNACCOUNTED).any()


def test_lost_pairs_and_images_appear(own_run):
    (own_run.root / "pairs" / "king-000002.parquet").unlink()
    frame = funnel(RunResults(own_run.root))
    assert_adds_up(frame)
    assert count(frame, "image pairs", "not tried") == 3
    assert count(frame, "images", "its work was not matched") == 3


def test_files_of_different_runs_are_called_so(own_run):
    rows = pq.read_table(own_run.root / "pairs" / "bird-000003.parquet").to_pylist()
    extra = [row | {"pair_id": f"old-{n}", "image_a": f"old-{n}"} for n, row in enumerate(rows)]
    write_table(own_run.root / "pairs" / "old.parquet", extra, PAIRS)
    write_dataset(own_run.root, 7)
    frame = funnel(RunResults(own_run.root))
    assert_adds_up(frame)
    assert count(frame, "image pairs", UNACCOUNTED) == -3
    assert dict(remaining(frame, "correspondences"))["correspondences in the dataset"] == 7
    assert count(frame, "correspondences", UNACCOUNTED) > 0


def write_dataset(root, n):
    for split in ("train", "val", "test"):
        rows = [{"pair_id": "a-b", "n": n}] if split == "train" else []
        write_table(root / "dataset" / f"{split}-00000-of-00001.parquet", rows, DATASET)


def test_pairs_that_the_dataset_leaves_out_have_their_reason(own_run):
    rows = [row for path in (own_run.root / "pairs").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    kept = [row for row in rows if row["kept"]]
    tried = [{"pair_id": row["pair_id"], "kept": row["kept"], "reason": row["reason"]} for row in rows]
    out = kept[0]["pair_id"]
    tried = [row | {"kept": False, "reason": "licence_rejected"} if row["pair_id"] == out else row for row in tried]
    write_table(own_run.root / "dataset" / "tried.parquet", tried, TRIED)
    write_dataset(own_run.root, own_run.correspondences - len(kept[0]["x1"]))
    frame = funnel(RunResults(own_run.root))
    assert_adds_up(frame)
    reason = "the licence does not fit the profile"
    assert count(frame, "image pairs", reason) == 1
    assert dict(remaining(frame, "image pairs"))["pairs in the dataset"] == own_run.kept - 1
    assert count(frame, "correspondences", f"pair left out: {reason}") == len(kept[0]["x1"])
    assert not frame["reason"].eq(UNACCOUNTED).any()


def test_a_run_that_has_only_collected(own_run):
    for name in ("masks", "pairs"):
        for path in (own_run.root / name).glob("*.parquet"):
            path.unlink()
    frame = funnel(RunResults(own_run.root))
    assert_adds_up(frame)
    assert frame["unit"].unique().tolist() == ["images"]


def test_the_table_is_written(made_run, tmp_path):
    frame = funnel(RunResults(made_run.root))
    write_funnel(frame, tmp_path)
    read = pd.read_csv(tmp_path / "funnel.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(read, frame, check_dtype=False)
    assert (tmp_path / "funnel.tex").read_text().startswith(r"\begin{table}")
    assert "add up" in (tmp_path / "funnel.md").read_text()


def test_damaged_inputs_are_named(own_run):
    (own_run.root / "pairs" / "wave-000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(LiftnetError, match=r"wave-000001\.parquet"):
        funnel(RunResults(own_run.root))
    (own_run.root / "manifest.parquet").unlink()
    with pytest.raises(LiftnetError, match="manifest"):
        funnel(RunResults(own_run.root))
