"""The dataset: what goes in comes out, whatever fails leaves the old one."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.core.errors import LiftnetError
from liftnet.data import shards as shards_module
from liftnet.data.codes import SPLITS
from liftnet.data.dataset import count_pairs, shard_paths
from liftnet.data.schemas import DATASET, MANIFEST, PAIRS, write_table
from liftnet.data.shards import Cutting, cut, write_pairs
from liftnet.shard import load_pair, read_pairs
from liftnet.shard import write as write_module
from liftnet.shard.settings import ShardSettings
from liftnet.shard.statistics import SplitSize, count_splits, write_statistics
from liftnet.shard.write import write_dataset


def pair_row(image_a, image_b, n=5, kept=True, split="train", artist="moore-000001", work="king-000001", **other):
    rng = np.random.default_rng(int(hashlib.sha256((image_a + image_b).encode()).hexdigest()[:8], 16))
    row = {
        "pair_id": f"{image_a}-{image_b}",
        "work_id": work,
        "artist_id": artist,
        "split": split,
        "image_a": image_a,
        "image_b": image_b,
        "width_a": 640,
        "height_a": 480,
        "width_b": 320,
        "height_b": 2048,
        "kept": kept,
        "reason": "kept" if kept else "too_few_putative",
        "x1": rng.uniform(0, 639, n),
        "y1": rng.uniform(0, 479, n),
        "x2": rng.uniform(0, 319, n),
        "y2": rng.uniform(0, 2047, n),
        "score": rng.uniform(0, 1, n),
    }
    return row | other


def manifest_row(image, split="train", license="CC0-1.0", **other):
    return {
        "image_id": image,
        "artist": "Moore",
        "artist_id": "moore-000001",
        "work": "King",
        "work_id": "king-000001",
        "status": "ok",
        "file": f"{image}.jpg",
        "license": license,
        "split": split,
    } | other


@pytest.fixture
def root(tmp_path):
    """Three works, two splits with pairs, none in `test`."""
    root = tmp_path / "results"
    images = [f"{n:016x}" for n in range(6)]
    (root / "images").mkdir(parents=True)
    for image in images:
        (root / "images" / f"{image}.jpg").write_bytes(b"\xff\xd8" + image.encode() * 50)
    rows = [manifest_row(image, "val" if n > 3 else "train") for n, image in enumerate(images)]
    rows.append(manifest_row(None, status="http_404", file=None))
    write_table(root / "manifest.parquet", rows, MANIFEST)
    i = images
    king = [pair_row(i[1], i[2], 7), pair_row(i[0], i[1], 3), pair_row(i[0], i[2], 9, kept=False)]
    queen = [pair_row(i[2], i[3], 11, work="queen-000002")]
    wave = [pair_row(i[4], i[5], 4, split="val", work="wave-000003", artist="hepworth-000002")]
    for name, pairs in (("king", king), ("queen", queen), ("wave", wave)):
        write_table(root / "pairs" / f"{name}.parquet", pairs, PAIRS)
    return root


def digests(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_only_kept_pairs_are_written_sorted_and_split(root, tmp_path, caplog):
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    assert "has no pairs in the split test: nothing measures a model on artists" in caplog.text
    assert "in the split val" not in caplog.text
    assert count_pairs(tmp_path / "dataset") == {"train": 3, "val": 1, "test": 0}
    assert len(list(read_pairs(tmp_path / "dataset", "validation"))) == 1
    with pytest.raises(LiftnetError, match="'tran': is not a split; did you mean 'train'"):
        list(read_pairs(tmp_path / "dataset", "tran"))
    train = list(read_pairs(tmp_path / "dataset", "train"))
    assert [pair.pair_id for pair in train] == sorted(f"{a:016x}-{b:016x}" for a, b in ((0, 1), (1, 2), (2, 3)))
    assert [len(pair) for pair in train] == [3, 7, 11]
    assert [pair.artist_id for pair in read_pairs(tmp_path / "dataset", "val")] == ["hepworth-000002"]
    assert list(read_pairs(tmp_path / "dataset", "test")) == []
    assert shard_paths(tmp_path / "dataset", "test")[0].name == "test-00000-of-00001.parquet"


def test_pixels_come_back_within_a_64th(root, tmp_path):
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    pair = load_pair(tmp_path / "dataset", f"{1:016x}-{2:016x}")
    truth = pair_row(f"{1:016x}", f"{2:016x}", 7)
    assert pair.points_a.dtype == np.float32
    assert pair.points_a.shape == (7, 2)
    np.testing.assert_allclose(pair.points_a, np.column_stack([truth["x1"], truth["y1"]]), atol=1 / 64 + 1e-6)
    np.testing.assert_allclose(pair.points_b, np.column_stack([truth["x2"], truth["y2"]]), atol=1 / 64 + 1e-6)
    np.testing.assert_allclose(pair.scores, truth["score"], atol=0.5 / 255 + 1e-6)
    assert pair.size_b == (320, 2048)
    assert "7 correspondences" in repr(pair)
    with pytest.raises(LiftnetError, match="has no pair"):
        load_pair(tmp_path / "dataset", "nothing")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(0, 2047, width=32), max_size=20),
        min_size=1,
        max_size=6,
    )
)
def test_round_trip_of_any_coordinates(tmp_path_factory, coordinates):
    rows = []
    for n, values in enumerate(coordinates):
        lists = dict.fromkeys(("x1", "y1", "x2", "y2"), values) | {"score": [0.5] * len(values)}
        sizes = dict.fromkeys(("width_a", "height_a", "width_b", "height_b"), 2048)
        rows.append(pair_row(f"{n:04d}", "b", **lists, **sizes))
    folder = tmp_path_factory.mktemp("shards")
    write_table(folder / "pairs.arrow", rows, PAIRS)
    write_pairs(folder, [folder / "pairs.arrow"], Cutting(), "shard")
    for pair, values in zip(read_pairs(folder, "train"), coordinates, strict=True):
        assert pair.points_b.shape == (len(values), 2)
        assert np.abs(pair.points_b - np.array(values).reshape(-1, 1)).max(initial=0) <= 1 / 64


def test_files_are_encoded_as_the_layout_says(root, tmp_path):
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    file = pq.ParquetFile(tmp_path / "dataset" / "train-00000-of-00001.parquet")
    assert file.schema_arrow.metadata[b"liftnet.coordinate_scale"] == b"32"
    assert file.schema_arrow.metadata[b"liftnet.schema_version"] == DATASET.metadata[b"liftnet.schema_version"]
    group = file.metadata.row_group(0)
    columns = {group.column(k).path_in_schema: group.column(k) for k in range(group.num_columns)}
    for name in ("x1", "y1", "x2", "y2", "score"):
        column = columns[f"{name}.list.element"]
        assert column.compression == "ZSTD"
        assert "BYTE_STREAM_SPLIT" in column.encodings
        assert not column.has_dictionary_page
    assert file.schema_arrow.field("x1").type.value_type == pa.uint16()


def test_the_same_input_gives_the_same_bytes_and_replaces_the_old(root, tmp_path):
    out = tmp_path / "dataset"
    write_dataset(root, out, ShardSettings())
    first = digests(out)
    (out / "train-00007-of-00009.parquet").write_bytes(b"left over from an older run")
    write_dataset(root, out, ShardSettings())
    assert digests(out) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "results"]


def test_image_shards_carry_the_stored_bytes(root, tmp_path):
    (root / "images" / f"{3:016x}.jpg").unlink()
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    train = pq.read_table(tmp_path / "dataset" / "images-train-00000-of-00001.parquet").to_pylist()
    assert [row["image_id"] for row in train] == [f"{n:016x}" for n in range(3)]
    assert train[0]["image"]["bytes"] == (root / "images" / f"{0:016x}.jpg").read_bytes()
    assert train[0]["license"] == "CC0-1.0"
    assert pq.read_table(tmp_path / "dataset" / "images-test-00000-of-00001.parquet").num_rows == 0
    assert "| missing_file (its file is gone) | 1 |" in (tmp_path / "dataset" / "README.md").read_text()
    assert f"{2:016x}-{3:016x}" not in [pair.pair_id for pair in read_pairs(tmp_path / "dataset", "train")]
    write_dataset(root, tmp_path / "lean", ShardSettings(images=False))
    assert not list((tmp_path / "lean").glob("images-*"))


def test_card_counts_licences_and_survives_hostile_names(root, tmp_path):
    rows = [manifest_row(f"{n:016x}", license=name) for n, name in enumerate(["CC0-1.0", "CC0-1.0", "<b>|x", None])]
    write_table(root / "manifest.parquet", rows, MANIFEST)
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    card = (tmp_path / "dataset" / "README.md").read_text()
    assert "| CC0-1.0 | 2 |" in card
    assert "| bx (not understood) | 1 |" in card
    assert "2 of the\nphotographs in the dataset have a licence that is not stated or not understood: **do not" in card
    assert "| not stated | 1 |" in card
    assert "| matching pairs | 3 | 0 | 0 | 3 |" in card  # those of val are no longer in the manifest
    assert all(f"`{name}`" in card for name in DATASET.names)


def test_statistics_from_the_shards_alone(root, tmp_path):
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    for path in root.rglob("*.parquet"):
        path.unlink()
    frame = write_statistics(tmp_path / "dataset", tmp_path / "tables").set_index("quantity")
    assert list(frame.columns) == ["train", "val", "test", "all"]
    assert frame.loc["artists"].tolist() == [1, 1, 0, 2]
    assert frame.loc["works"].tolist() == [2, 1, 0, 3]
    assert frame.loc["matching pairs"].tolist() == [3, 1, 0, 4]
    average = frame.loc["average correspondences per pair"].tolist()
    assert average == [7, 4, None, 25 / 4]
    assert {p.suffix for p in (tmp_path / "tables").glob("statistics.*")} == {".csv", ".md", ".tex"}


def test_tallies_merge_over_shards_without_counting_twice(root, tmp_path):
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    whole = pq.read_table(tmp_path / "dataset" / "train-00000-of-00001.parquet")
    for n in range(3):
        path = tmp_path / "dataset" / f"train-{n:05d}-of-00003.parquet"
        pq.write_table(whole.slice(n, 1), path)
    (tmp_path / "dataset" / "train-00000-of-00001.parquet").unlink()
    assert count_splits(tmp_path / "dataset")["train"] == SplitSize(artists=1, works=2, pairs=3, correspondences=21)
    assert [pair.pair_id for pair in read_pairs(tmp_path / "dataset", "train")] == whole["pair_id"].to_pylist()
    assert len(load_pair(tmp_path / "dataset", f"{2:016x}-{3:016x}")) == 11


def test_a_missing_shard_is_noticed(root, tmp_path):
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    (tmp_path / "dataset" / "val-00000-of-00001.parquet").rename(tmp_path / "dataset" / "val-00001-of-00002.parquet")
    with pytest.raises(LiftnetError, match="has 1 of 2 val shards"):
        count_splits(tmp_path / "dataset")
    with pytest.raises(LiftnetError, match="holds no train shards"):
        list(read_pairs(tmp_path / "nowhere", "train"))


@given(st.lists(st.integers(1, 40_000_000), max_size=40))
def test_shards_cover_all_rows_and_keep_near_the_cap(sizes):
    parts = cut(np.array(sizes, dtype=np.int64), 64)
    assert [row for part in parts for row in part] == list(range(len(sizes)))
    assert all(sum(sizes[part.start : part.stop - 1]) <= 64_000_000 for part in parts)


def test_row_groups_have_the_set_length(tmp_path):
    rows = [pair_row(f"{n:016x}", "f" * 16, 1) for n in range(1300)]
    write_table(tmp_path / "pairs.arrow", rows, PAIRS)
    write_pairs(tmp_path, [tmp_path / "pairs.arrow"], Cutting(rows_per_group=512), "shard")
    metadata = pq.ParquetFile(tmp_path / "train-00000-of-00001.parquet").metadata
    assert [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)] == [512, 512, 276]


@pytest.mark.parametrize("run_bytes", [1, 3000, 10**9])
def test_shards_hold_the_sorted_pairs_however_they_were_sorted_on_disk(tmp_path, monkeypatch, run_bytes):
    monkeypatch.setattr(shards_module, "RUN_BYTES", run_bytes)
    monkeypatch.setattr(shards_module, "ROW_BYTES", 10_000_000)  # so that six or seven pairs fill a shard
    rng = np.random.default_rng(0)
    ids = [f"{value:016x}" for value in rng.choice(2**40, 80, replace=False)]
    rows = [
        pair_row(a, "f" * 16, int(n), split=SPLITS[k % 2])
        for k, (a, n) in enumerate(zip(ids, rng.integers(0, 40, 80), strict=True))
    ]
    files = [tmp_path / f"work-{k}.parquet" for k in range(9)]
    for k, file in enumerate(files):
        write_table(file, rows[k::9], PAIRS)
    out = tmp_path / "out"
    out.mkdir()
    write_pairs(out, files, Cutting(shard_mb=64), "shard")
    for split in SPLITS:
        expected = sorted((row for row in rows if row["split"] == split), key=lambda row: row["pair_id"])
        found = list(read_pairs(out, split))
        assert [pair.pair_id for pair in found] == [row["pair_id"] for row in expected]
        for pair, row in zip(found, expected, strict=True):
            np.testing.assert_allclose(pair.points_a[:, 0], row["x1"], atol=1 / 64 + 1e-6)
            np.testing.assert_allclose(pair.scores, row["score"], atol=0.5 / 255 + 1e-6)
    assert [len(shard_paths(out, split)) for split in SPLITS] == [7, 7, 1]
    assert [path for path in out.iterdir() if path.suffix != ".parquet"] == []


def test_too_large_an_image_names_it_and_the_remedy(root, tmp_path):
    big = pair_row("0" * 15 + "1", "0" * 15 + "5", width_b=4000)
    write_table(root / "pairs" / "big.parquet", [big], PAIRS)
    with pytest.raises(LiftnetError, match=r"image 0000000000000005: has a side of 4000 px.*collect\.max_side"):
        write_dataset(root, tmp_path / "dataset", ShardSettings())
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize("value", [float("nan"), -3.0, 640.2])
def test_a_coordinate_outside_its_image_names_the_pair(root, tmp_path, value):
    bad = pair_row(f"{0:016x}", f"{4:016x}", 3) | {"x1": [1.0, value, 2.0]}
    write_table(root / "pairs" / "bad.parquet", [bad], PAIRS)
    with pytest.raises(LiftnetError, match=f"pair {0:016x}-{4:016x}: has x1"):
        write_dataset(root, tmp_path / "dataset", ShardSettings())


def test_bad_tables_are_named(root, tmp_path):
    write_table(root / "pairs" / "again.parquet", [pair_row(f"{1:016x}", f"{2:016x}")], PAIRS)
    with pytest.raises(LiftnetError, match="stands in two tables"):
        write_dataset(root, tmp_path / "dataset", ShardSettings())
    write_table(root / "pairs" / "again.parquet", [pair_row(f"{0:016x}", f"{3:016x}", split=None)], PAIRS)
    with pytest.raises(LiftnetError, match=r"again\.parquet: has pairs of the split None"):
        write_dataset(root, tmp_path / "dataset", ShardSettings())
    (root / "pairs" / "again.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(LiftnetError, match="not a readable Parquet file"):
        write_dataset(root, tmp_path / "dataset", ShardSettings())
    for path in (root / "pairs").iterdir():
        path.unlink()
    with pytest.raises(LiftnetError, match="holds no tables of pairs"):
        write_dataset(root, tmp_path / "dataset", ShardSettings())


def test_no_kept_pair_at_all_gives_three_empty_shards(root, tmp_path):
    for path in (root / "pairs").iterdir():
        path.unlink()
    write_table(root / "pairs" / "none.parquet", [pair_row("a" * 16, "b" * 16, kept=False)], PAIRS)
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    assert [list(read_pairs(tmp_path / "dataset", split)) for split in SPLITS] == [[], [], []]
    assert count_splits(tmp_path / "dataset")["all"] == SplitSize(0, 0, 0, 0)


def test_a_failure_leaves_the_old_dataset(root, tmp_path, monkeypatch):
    out = tmp_path / "dataset"
    write_dataset(root, out, ShardSettings())
    before = digests(out)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_module, "write_card", full)
    with pytest.raises(LiftnetError, match="the disk is full"):
        write_dataset(root, out, ShardSettings())
    assert digests(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "results"]


def test_a_kill_between_the_two_renames_is_mended(root, tmp_path):
    out = tmp_path / "dataset"
    write_dataset(root, out, ShardSettings())
    before = digests(out)
    os.rename(out, tmp_path / ".dataset.old-0123abcd")
    (tmp_path / ".dataset.part-0123abcd").mkdir()
    (root / "manifest.parquet").rename(root / "aside.parquet")
    with pytest.raises(LiftnetError, match="does not exist"):
        write_dataset(root, out, ShardSettings())
    (root / "aside.parquet").rename(root / "manifest.parquet")
    write_dataset(root, out, ShardSettings())
    assert digests(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "results"]


def test_a_folder_with_other_files_is_not_replaced(root, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(LiftnetError, match=r"holds 'thesis\.tex'"):
        write_dataset(root, tmp_path / "home", ShardSettings())
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"
    with pytest.raises(LiftnetError, match="is a file"):
        write_dataset(root, tmp_path / "home" / "thesis.tex", ShardSettings())


def test_commands(root, tmp_path, caplog):
    import argparse

    from liftnet.shard.cli import add_commands

    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    out: Path = tmp_path / "dataset"
    write = parser.parse_args(["shard", "write", "--root", str(root), "--out", str(out), "--no-images"])
    with caplog.at_level("INFO"):
        write.run(write)
        statistics = parser.parse_args(["shard", "statistics", "--dataset", str(out), "--tables", str(tmp_path / "t")])
        statistics.run(statistics)
    assert "wrote 4 pairs (3 train, 1 val, 0 test) with 25 correspondences" in caplog.text
    assert (tmp_path / "t" / "statistics.tex").exists()
