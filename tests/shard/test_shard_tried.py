"""Every pair that was tried stands in tried.parquet, once, with what became of it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.data.dataset import read_pairs
from liftnet.data.schemas import MANIFEST, PAIRS, TRIED, read_table, write_table
from liftnet.data.shards import Cutting, write_pairs


def row(a, b, kept, reason, n=4, split="train"):
    points = [float(k) for k in range(n)]
    lists = dict.fromkeys(("x1", "y1", "x2", "y2"), points) | {"score": [0.5] * n}
    counts = {"n_putative": 40, "n_masked": 20, "n_inliers": n}
    sizes = dict.fromkeys(("width_a", "height_a", "width_b", "height_b"), 100)
    about = {"pair_id": f"{a}-{b}", "work_id": "king", "artist_id": "moore", "split": split}
    return about | {"image_a": a, "image_b": b, "kept": kept, "reason": reason} | lists | counts | sizes


@pytest.fixture
def files(tmp_path):
    """Two tables of pairs, five pairs, three of them kept."""
    rows = [row("a", "b", True, "kept", 5), row("a", "c", False, "few_inliers"), row("b", "c", True, "kept", 6)]
    write_table(tmp_path / "one.parquet", rows, PAIRS)
    rows = [row("d", "e", True, "kept", 7, "val"), row("d", "f", None, None, 0, "val")]
    write_table(tmp_path / "two.parquet", rows, PAIRS)
    return [tmp_path / "one.parquet", tmp_path / "two.parquet"]


def written(folder, files, **options):
    folder.mkdir()
    write_pairs(folder, files, Cutting(), "shard", **options)
    return read_table(folder / "tried.parquet", TRIED).to_pylist()


def test_kept_and_rejected_pairs_with_their_reasons_and_sources(tmp_path, files):
    sources = {"a": "met", "b": "met", "c": "commons", "d": None}
    images = [{"image_id": image, "status": "ok", "source": source} for image, source in sources.items()]
    manifest = pa.Table.from_pylist([*images, {"image_id": None, "status": "http_404", "source": "met"}], MANIFEST)
    rows = written(tmp_path / "out", files, manifest=manifest)
    assert [(r["pair_id"], r["kept"], r["reason"], r["n"]) for r in rows] == [
        ("a-b", True, "kept", 5),
        ("a-c", False, "few_inliers", 0),
        ("b-c", True, "kept", 6),
        ("d-e", True, "kept", 7),
        ("d-f", False, "not_stated", 0),
    ]
    assert [(r["source_a"], r["source_b"]) for r in rows] == [
        ("met", "met"),
        ("met", "commons"),
        ("met", "commons"),
        (None, None),
        (None, None),
    ]


def test_pairs_of_left_out_images_are_not_in_the_shards_but_counted(tmp_path, files):
    rows = written(tmp_path / "out", files, left_out={"c": "licence", "e": "withheld", "nobody": "licence"})
    assert [(r["kept"], r["reason"], r["n"]) for r in rows] == [
        (True, "kept", 5),
        (False, "few_inliers", 0),
        (False, "licence", 0),
        (False, "withheld", 0),
        (False, "not_stated", 0),
    ]
    assert [pair.pair_id for pair in read_pairs(tmp_path / "out", "train")] == ["a-b"]
    assert list(read_pairs(tmp_path / "out", "val")) == []
    assert sum(r["n"] for r in rows) == sum(len(p) for s in ("train", "val") for p in read_pairs(tmp_path / "out", s))


def test_of_two_left_out_images_the_first_ones_reason_stands(tmp_path, files):
    rows = written(tmp_path / "out", files, left_out={"b": "late", "a": "early"})
    assert rows[0]["reason"] == "early"


def test_an_empty_table_of_pairs_gives_an_empty_table_of_tried_ones(tmp_path):
    write_table(tmp_path / "none.parquet", [], PAIRS)
    assert written(tmp_path / "out", [tmp_path / "none.parquet"]) == []
    assert pq.read_schema(tmp_path / "out" / "tried.parquet").names == TRIED.names
