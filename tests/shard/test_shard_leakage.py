"""Links across splits keep images out, and whatever stands in two splits is counted."""

import csv

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.__main__ import main
from liftnet.core.ids import components
from liftnet.data.schemas import MANIFEST, PAIRS, write_table
from liftnet.shard.leakage import LINK_INLIERS, withheld_images, write_leakage
from liftnet.shard.settings import ShardSettings
from liftnet.shard.write import write_dataset


def manifest(rows):
    return pa.Table.from_pylist([dict.fromkeys(MANIFEST.names) | row for row in rows], schema=MANIFEST)


def image(name, work, split, **other):
    row = {"image_id": name, "sha256": name.ljust(64, "0"), "work": work.title(), "work_id": work, "artist": "A"}
    return row | {"split": split, "status": "ok"} | other


def across(path, *links):
    rows = [
        {"pair_id": f"{a}-{b}", "image_a": a, "image_b": b, "reason": reason, "kept": reason == "kept", "n_inliers": n}
        for a, b, reason, n in links
    ]
    write_table(path, rows, PAIRS)
    return path


IMAGES = [
    image("a1", "bust", "train"),
    image("a2", "bust", "train"),
    image("b1", "kiss", "val"),
    image("b2", "kiss", "val"),
    image("c1", "hand", "test"),
    image("d1", "other", "train"),
]


@pytest.mark.parametrize("reason", ["kept", "duplicate", "affine_homography", "projective_homography"])
def test_a_link_keeps_out_the_whole_lower_work(tmp_path, reason):
    found = withheld_images(manifest(IMAGES), across(tmp_path / "p.parquet", ("a1", "b2", reason, LINK_INLIERS)))
    assert set(found) == {"a1", "a2"}
    assert found["a1"] == "its matches show the same object as Kiss by A, which is in val"


@pytest.mark.parametrize(("reason", "n"), [("watermark", 90), ("chance", 90), ("few_inliers", 19), ("kept", 19)])
def test_what_is_no_link(tmp_path, reason, n):
    assert withheld_images(manifest(IMAGES), across(tmp_path / "p.parquet", ("a1", "b2", reason, n))) == {}


def test_links_reach_through_other_works(tmp_path):
    """Bust is tied to kiss and kiss to hand, so neither may stay beside hand."""
    links = across(tmp_path / "p.parquet", ("a1", "b1", "kept", 50), ("b2", "c1", "duplicate", 50))
    assert set(withheld_images(manifest(IMAGES), links)) == {"a1", "a2", "b1", "b2"}


def test_what_collect_has_withheld_is_named_too(tmp_path):
    gone = image("0123456789abcdef", "x", "train", status="withheld", reason="tied", image_id=None)
    assert withheld_images(manifest([*IMAGES, gone])) == {"0123456789abcdef": "tied"}
    links = across(tmp_path / "p.parquet", ("a1", "nobody", "kept", 50))
    assert set(withheld_images(manifest([*IMAGES, gone]), links)) == {"0123456789abcdef"}


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=8), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_no_link_is_left_between_splits(tmp_path_factory, pairs, random):
    rows = [image(f"{n:02d}", f"work{n // 2}", ("train", "val", "test")[n // 2 % 3]) for n in range(12)]
    links = [(f"{min(a, b):02d}", f"{max(a, b):02d}", "kept", 40) for a, b in pairs if a != b]
    path = tmp_path_factory.mktemp("links") / "p.parquet"
    found = withheld_images(manifest(rows), across(path, *links))
    split = {row["image_id"]: row["split"] for row in rows}
    assert not [link for link in links if not {*link[:2]} & found.keys() and split[link[0]] != split[link[1]]]
    assert not [name for name in found if split[name] == "test"]  # the highest side stays
    random.shuffle(links)
    assert withheld_images(manifest(rows), across(path, *links)) == found


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=10))
def test_components_are_what_can_be_reached(ties):
    found = components(ties)
    reach = {name: {name} for tie in ties for name in tie}
    for _ in reach:
        for a, b in ties:
            both = reach[a] | reach[b]
            for name in both:
                reach[name] |= both
    assert found == {min(reach[name]): sorted(reach[name]) for name in reach}


def table_of(run, tmp_path, name="dataset"):
    write_dataset(run, tmp_path / name, ShardSettings())
    return write_leakage(tmp_path / name, run, tmp_path / "tables").set_index("what")


def test_a_leak_in_the_manifest_is_counted(new_run, tmp_path):
    run = tmp_path / "run"
    rows = new_run(run)
    rows["king"][0] |= {"phash": "00000000000000ff", "artist_wikidata": "Q1"}
    rows["kiss"][0] |= {"phash": "000000000000000f", "artist_wikidata": "Q1"}
    rows["queen"][0] |= {"near_image": rows["david"][1]["image_id"], "near_distance": 6}
    rows["wave"][0] |= {"near_image": rows["david"][1]["image_id"], "near_distance": 7}
    rows["david"][2]["sha256_raw"] = rows["kiss"][2]["sha256_raw"]
    rows["wave"][1]["group_id"] = rows["david"][1]["group_id"]
    write_table(run / "manifest.parquet", [row for work in rows.values() for row in work], MANIFEST)
    frame = table_of(run, tmp_path)
    assert not any("matches" in what for what in frame.index)  # nobody has looked
    near = frame.loc["pairs of images with hashes at most 6 bits apart"]
    assert near.to_dict() == {"train and val": 1, "train and test": 1, "val and test": 0}
    assert frame.loc["artists by Wikidata id in both", "train and val"] == 1
    assert frame.loc["files as downloaded in both", "val and test"] == 1
    assert frame.loc["groups in both", "train and test"] == 1
    assert frame.to_numpy().sum() == 5


def test_linked_works_are_left_out_so_that_nothing_leaks(new_run, tmp_path, capsys):
    run = tmp_path / "run"
    rows = new_run(run)
    a, b = rows["king"][0]["image_id"], rows["david"][0]["image_id"]
    across(run / "across" / "pairs.parquet", (min(a, b), max(a, b), "kept", 30))
    frame = table_of(run, tmp_path)
    assert frame.loc["pairs of images that verified matches link"].tolist() == [0, 0, 0]
    assert frame.to_numpy().sum() == 0
    with open(tmp_path / "dataset" / "splits" / "withheld.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    assert {row["image_id"] for row in listed} == {row["image_id"] for row in rows["king"]}
    assert all(row["reason"].endswith("David by Buonarroti, which is in test") for row in listed)
    assert (tmp_path / "dataset" / "splits" / "links.csv").read_text() == f"a,b\n{min(a, b)},{max(a, b)}\n"
    command = ["shard", "leakage", "--dataset", str(tmp_path / "dataset"), "--root", str(run)]
    command += ["--tables", str(tmp_path / "tables")]
    assert main(command) == 0
    assert pd.read_csv(tmp_path / "tables" / "leakage.csv").drop(columns="what").to_numpy().sum() == 0
    assert "withheld, so that it is so: 4" in (tmp_path / "tables" / "leakage.md").read_text()
    # a link found after the dataset was written
    c = rows["kiss"][0]["image_id"]
    across(run / "across" / "pairs.parquet", (min(c, b), max(c, b), "affine_homography", 30))
    assert main(command) == 1
    assert "1 of val and test" in capsys.readouterr().err
