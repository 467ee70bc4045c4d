"""`shard verify` finds every fault that is put into a copy of a dataset, names its file and row, and nothing else."""

import argparse
import hashlib
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from liftnet.core.errors import LiftnetError
from liftnet.data.codes import SPLITS
from liftnet.data.schemas import MANIFEST, write_table
from liftnet.shard.check import verify_dataset
from liftnet.shard.check_files import MOST_SHOWN, Fault, Report
from liftnet.shard.checksums import sign_dataset
from liftnet.shard.cli import add_commands
from liftnet.shard.settings import ShardSettings
from liftnet.shard.write import write_dataset

TRAIN, IMAGES, COLLECTED = "train-00000-of-00001.parquet", "images-train-00000-of-00001.parquet", "collected.parquet"


@pytest.fixture
def copy(published, tmp_path):
    shutil.copytree(published, tmp_path / "copy")
    return tmp_path / "copy"


def found(dataset, quick=False, threads=1):
    """The faults of each check that has some, as text."""
    report = verify_dataset(dataset, threads, quick)
    return {check: [str(fault) for fault in faults] for check, faults in report.faults.items() if faults}


def contents(dataset, quick=False):
    """The same without croissant.json's checksums, which any change of a table leaves behind."""
    left = {
        check: [fault for fault in faults if "its SHA-256 is not that of" not in fault]
        for check, faults in found(dataset, quick).items()
    }
    return {check: faults for check, faults in left.items() if faults}


def changed(path, change):
    """Rewrite a table: `change` gets its rows as dicts and returns those to write."""
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), table.schema), path)


def signed(dataset):
    """Write the checksums anew, so that only the contents are at fault."""
    sign_dataset(dataset)


def first_row(**values):
    return lambda rows: [rows[0] | values, *rows[1:]]


def first_image(dataset):
    return pq.read_table(dataset / IMAGES).column("image_id")[0].as_py()


def first_pair(dataset):
    return pq.read_table(dataset / TRAIN).column("pair_id")[0].as_py()


def test_an_untouched_copy_has_no_fault_with_any_number_of_threads(published):
    assert found(published) == found(published, quick=True) == found(published, threads=3) == {}
    report = verify_dataset(published)
    assert list(report.checked) == [
        *("checksums", "tables", "row counts", "images", "pairs", "tracks", "linked pairs", "splits", "licences"),
        *(f"mini/{name}" for name in ("tables", "row counts", "images", "pairs")),
        *(f"mini/{name}" for name in ("tracks", "linked pairs", "splits", "licences")),
    ]
    assert report.checked["images"] == "24 images"
    assert report.checked["pairs"] == "36 pairs"


def test_a_flipped_bit_a_lost_and_a_foreign_file(copy):
    data = bytearray((copy / IMAGES).read_bytes())
    data[len(data) // 3] ^= 1
    (copy / IMAGES).write_bytes(data)
    (copy / "ATTRIBUTION.csv").unlink()
    (copy / "virus.exe").write_bytes(b"MZ")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "a-hub's-notes").write_text("are no part of the dataset")
    faults = found(copy)["checksums"]
    assert faults[:2] == ["ATTRIBUTION.csv: is missing", "virus.exe: is not listed in checksums.sha256"]
    assert faults[2].startswith(f"{IMAGES}: its SHA-256 is ")
    assert len(faults) == 3


@pytest.mark.parametrize("line", ["nonsense", f"{'0' * 64}  ../../etc/passwd", f"{'0' * 64}  /etc/passwd"])
def test_a_list_of_checksums_that_is_none(copy, line):
    with open(copy / "checksums.sha256", "a") as file:
        file.write(line + "\n")
    assert ["is no checksum of a file below it" in fault for fault in found(copy)["checksums"]] == [True]


@pytest.mark.parametrize("name", [TRAIN, IMAGES, COLLECTED, "tried.parquet"])
def test_a_table_cut_short(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-50])
    signed(copy)
    faults = contents(copy)
    assert len(faults["tables"]) == 1
    assert faults["tables"][0].startswith(f"{name}: ")
    assert set(faults) <= {"tables", "row counts", "images"}  # what rests on it; nothing else


def test_another_version_and_another_type(copy):
    table = pq.read_table(copy / TRAIN)
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, b"liftnet.schema_version": b"9"}), copy / TRAIN
    )
    images = pq.read_table(copy / IMAGES)
    wide = images.set_column(images.schema.get_field_index("width"), "width", images["width"].cast(pa.int64()))
    pq.write_table(wide.drop_columns(["camera"]), copy / IMAGES)
    signed(copy)
    assert [fault for fault in contents(copy)["tables"] if "holds the table 'dataset' in version 9" not in fault] == [
        f"{IMAGES}: its column width is of type int64, not int32",
        f"{IMAGES}: has no column camera",
    ]


def test_a_missing_shard(copy):
    (copy / "val-00000-of-00001.parquet").unlink()
    signed(copy)
    faults = contents(copy)
    assert "holds no val shards" in faults["tables"][0]
    assert "README.md: says that val has 12 pairs; the shards hold 0" in faults["row counts"]


def test_a_lost_row_is_missed_by_card_and_croissant(copy):
    changed(copy / TRAIN, lambda rows: rows[1:])
    signed(copy)
    assert contents(copy) == {
        "row counts": [
            f"{file}: says that train has 18 pairs; the shards hold 17" for file in ("README.md", "croissant.json")
        ]
    }


def test_a_card_and_a_croissant_that_say_something_else(copy):
    card = (copy / "README.md").read_text()
    (copy / "README.md").write_text(card.replace("num_examples: 18", "num_examples: 19"))
    (copy / "croissant.json").write_text("{")
    signed(copy)
    faults = contents(copy)["row counts"]
    assert faults[0] == "README.md: says that train has 19 pairs; the shards hold 18"
    assert faults[1].startswith("croissant.json: is not valid JSON")


def test_other_bytes_of_an_image(copy):
    image, other = (row["image_id"] for row in pq.read_table(copy / IMAGES).to_pylist()[:2])
    changed(copy / IMAGES, lambda rows: [rows[0] | {"image": rows[1]["image"]}, *rows[1:]])
    signed(copy)
    assert contents(copy) == {"images": [f"{IMAGES}, image {image}: its bytes hash to {other}"]}


def test_croissant_states_the_same_checksums(copy):
    """With changed tables its own are out of date, and it says so; a card may be edited."""
    with open(copy / "README.md", "a") as card:
        card.write("\nWhat only the makers know.\n")
    assert set(found(copy)) == {"checksums"}
    signed(copy)
    assert found(copy) == {}
    changed(copy / TRAIN, first_row(n_putative=99))
    signed(copy)
    assert found(copy) == {"row counts": [f"croissant.json, {TRAIN}: its SHA-256 is not that of checksums.sha256"]}


def test_another_size_than_stated(copy):
    image = first_image(copy)
    changed(copy / IMAGES, first_row(width=63))
    signed(copy)
    assert contents(copy) == {
        "images": [
            f"{IMAGES}, image {image}: its row differs from that of collected.parquet",
            f"{IMAGES}, image {image}: is 64x48 px, not 63x48 as stated",
        ]
    }


def test_an_image_that_is_gone_and_one_that_stands_there_twice(copy):
    rows = pq.read_table(copy / IMAGES).to_pylist()
    changed(copy / IMAGES, lambda rows: [*rows[1:], rows[-1]])
    signed(copy)
    assert contents(copy)["images"] == [
        f"images-*.parquet, image {rows[-1]['image_id']}: stands there twice",
        f"images-*.parquet, image {rows[0]['image_id']}: is missing; collected.parquet lists it",
    ]


def test_an_image_that_does_not_decode_is_found_unless_quick(new_run, tmp_path):
    rows = new_run(tmp_path / "run")
    broken = (tmp_path / "run" / "images" / rows["king"][0]["file"]).read_bytes()[:-300]
    digest = hashlib.sha256(broken).hexdigest()
    row = rows["king"][0] | {"image_id": digest[:16], "sha256": digest, "file": f"{digest[:16]}.jpg"}
    (tmp_path / "run" / "images" / row["file"]).write_bytes(broken)
    write_table(tmp_path / "run" / "manifest.parquet", [row, *rows["kiss"], *rows["david"]], MANIFEST)
    (tmp_path / "run" / "pairs" / "king-000002.parquet").unlink()
    for work in ("queen", "wave", "thinker"):
        (tmp_path / "run" / "pairs" / f"{work}-000002.parquet").unlink()
    write_dataset(tmp_path / "run", tmp_path / "dataset", ShardSettings())
    assert found(tmp_path / "dataset", quick=True) == {}
    faults = found(tmp_path / "dataset")["images"]
    assert len(faults) == 1
    assert f"image {digest[:16]}: cannot be decoded" in faults[0]


def test_a_pair_whose_image_is_not_in_the_dataset(copy):
    gone = pq.read_table(copy / TRAIN).column("image_a")[0].as_py()
    for name in (IMAGES, COLLECTED):
        changed(copy / name, lambda rows: [row for row in rows if row["image_id"] != gone])
    signed(copy)
    faults = contents(copy)
    assert f"{TRAIN}, pair {first_pair(copy)}: its image_a is not in the dataset" in faults["pairs"]
    assert all(gone in fault for fault in faults["pairs"])
    assert all("an image of it is not in the dataset" in fault for fault in faults["tracks"])
    assert set(faults) == {"pairs", "tracks", "row counts"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"x2": [0, 64 * 32, 5, 5, 5, 5], "n": 6}, "has x2 outside its image"),
        ({"y1": [48 * 32 - 1] * 6}, "has y1 outside its image"),
        ({"n": 5}, "has another number of x1 than n says"),
        ({"width_b": 65}, "its width_b is not that of its image_b"),
        ({"work_id": "wave-000002"}, "its work_id is not that of its image_a"),
        ({"pair_id": "0000-1111"}, "is not named after its images"),
    ],
)
def test_a_pair_that_is_not_right(copy, values, reason):
    rows = pq.read_table(copy / TRAIN).to_pylist()
    number = next(k for k, row in enumerate(rows) if row["n"] == 6 and row["work_id"] != "wave-000002")
    wrong = rows[number] | values
    changed(copy / TRAIN, lambda rows: [*rows[:number], wrong, *rows[number + 1 :]])
    signed(copy)
    faults = contents(copy)
    assert set(faults) == {"pairs"}
    assert f"{TRAIN}, pair {wrong['pair_id']}: {reason}" in faults["pairs"]
    assert all(wrong["pair_id"] in fault for fault in faults["pairs"])


def test_pairs_out_of_order_or_twice(copy):
    changed(copy / TRAIN, lambda rows: [rows[1], rows[0], rows[0], *rows[3:]])
    signed(copy)
    faults = contents(copy)["pairs"]
    assert len(faults) == 2
    assert all("not sorted, or twice" in fault for fault in faults)


def test_a_pair_in_another_split(copy):
    moved = pq.read_table(copy / "val-00000-of-00001.parquet").to_pylist()[0]
    changed(copy / TRAIN, lambda rows: sorted([*rows, moved], key=lambda row: row["pair_id"]))
    signed(copy)
    assert contents(copy)["pairs"] == [
        f"{TRAIN}, pair {moved['pair_id']}: its image_{side} is of another split" for side in "ab"
    ]


@pytest.mark.parametrize(("key", "name"), [("artist_id", "artist"), ("work_id", "work"), ("group_id", "group")])
def test_what_stands_in_two_splits(copy, key, name):
    rows = pq.read_table(copy / COLLECTED).to_pylist()
    tested = next(row[key] for row in rows if row["split"] == "test")
    changed(copy / COLLECTED, first_row(**{key: tested}))
    signed(copy)
    assert contents(copy)["splits"] == [f"{COLLECTED}, {key} {tested}: the {name} stands in test and train"]


def test_lists_of_splits_that_overlap(copy):
    with open(copy / "splits" / "test_works.txt", "a") as file:
        file.write("Moore\tKing\n")
    (copy / "splits" / "val_artists.txt").unlink()
    signed(copy)
    faults = contents(copy)["splits"]
    assert faults[0].startswith("splits/val_artists.txt: cannot be read")
    assert faults[1:] == ["splits/test_works.txt, Moore\tKing: also stands in the list of train"]


def test_a_licence_that_does_not_fit_the_profile(copy):
    image = first_image(copy)
    reserved = {"license_spdx": "LicenseRef-InC"}
    for name in (IMAGES, COLLECTED):
        changed(copy / name, lambda rows: [row | (reserved if row["image_id"] == image else {}) for row in rows])
    signed(copy)
    reason = "does not fit the profile research: all rights are reserved"
    assert contents(copy) == {"licences": [f"{COLLECTED}, image {image}: {reason}"]}


def test_a_card_that_names_no_profile(copy):
    parts = (copy / "README.md").read_text().split("---\n", 2)
    matter = yaml.safe_load(parts[1])
    matter["liftnet"]["licence_profile"] = "anything"
    (copy / "README.md").write_text("---\n" + yaml.safe_dump(matter) + "---\n" + parts[2])
    signed(copy)
    assert contents(copy) == {"licences": ["README.md: names the licence profile 'anything', which is none"]}


def test_a_fault_of_the_small_dataset_is_named_there(copy):
    changed(copy / "mini" / TRAIN, first_row(x1=[9999] * 6, n=6))
    signed(copy)
    faults = contents(copy)
    assert set(faults) == {"mini/pairs"}
    assert any(
        fault.startswith(f"mini/{TRAIN}, pair ") and "has x1 outside" in fault for fault in faults["mini/pairs"]
    )


def test_a_folder_that_is_no_dataset(tmp_path):
    with pytest.raises(LiftnetError, match="is no folder of a dataset"):
        verify_dataset(tmp_path)
    with pytest.raises(LiftnetError, match="is no folder of a dataset"):
        verify_dataset(tmp_path / "nowhere")


def test_a_report_names_so_many_faults_and_counts_the_others():
    report = Report()
    report.add("pairs", "900 pairs", [Fault("a.parquet", f"pair {n}", "is wrong") for n in range(MOST_SHOWN + 7)])
    lines = list(report.lines())
    assert lines[0] == f"pairs: 900 pairs, {MOST_SHOWN + 7} faults"
    assert lines[1] == "  a.parquet, pair 0: is wrong"
    assert lines[-1] == "  ... and 7 more"
    assert len(lines) == MOST_SHOWN + 2


def test_the_command_says_what_it_found_and_fails(copy, capsys):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args(["shard", "verify", "--dataset", str(copy), "--threads", "1"])
    assert arguments.run(arguments) == 0
    assert capsys.readouterr().out.endswith("is whole and as it describes itself\n")
    (copy / "ATTRIBUTION.html").unlink()
    quick = parser.parse_args(["shard", "verify", "--dataset", str(copy), "--quick"])
    assert quick.run(quick) == 1
    text = capsys.readouterr().out
    assert "checksums: 51 files, 1 faults\n  ATTRIBUTION.html: is missing\n" in text
    assert "images: 24 images (not decoded), ok" in text
    assert text.endswith("has 1 faults\n")


def test_croissant_and_card_agree_on_the_counts(published):
    described = json.loads((published / "croissant.json").read_text())
    counts = {
        s["@id"]: [part["value"] for part in s["annotation"]] for s in described["recordSet"] if "annotation" in s
    }
    tracks, linked = (
        [pq.read_metadata(published / f"{table}-{split}-00000-of-00001.parquet").num_rows for split in SPLITS]
        for table in ("tracks", "linked")
    )
    assert counts == {"pairs": [18, 12, 6], "images": [12, 8, 4], "tracks": tracks, "linked": linked}


CARDS = {
    "nested": "---\na: " + "[" * 5000 + "]" * 5000 + "\n---\nx",
    "aliases": "---\na: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n---\nx",
    "objects": "---\na: !!python/object/apply:os.getcwd []\n---\nx",
    "kinds": "---\nliftnet: 5\ndataset_info: {splits: 5}\n---\nx",
    "numbers": "---\ndataset_info: [{config_name: pairs, splits: [{name: train, num_examples: .nan}]}]\n---\nx",
    "long": "---\na: [" + "1, " * 300_000 + "1]\n---\nx",
    "no end": "---\n" + "a" * 3_000_000,
}


@pytest.mark.parametrize("kind", CARDS)
def test_a_hostile_card_is_a_fault_and_the_rest_is_checked(copy, kind):
    (copy / "README.md").write_text(CARDS[kind])
    signed(copy)
    report = verify_dataset(copy, quick=True)
    faults = [str(fault) for check in ("row counts", "licences") for fault in report.faults[check]]
    assert [fault.split(":")[0] for fault in faults] == ["README.md", "README.md"]
    assert {"images", "pairs", "splits", "mini/images"} <= set(report.checked)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"distribution": [{"@id": 5}], "recordSet": 3}',
        "[]",
        "\ud800",
        '{"recordSet": NaN}',
        "1" * 9999,
    ],
)
def test_a_hostile_croissant_is_a_fault(copy, text):
    (copy / "croissant.json").write_text(text, errors="surrogatepass")
    signed(copy)
    assert [fault.split(":")[0] for fault in contents(copy, quick=True)["row counts"]] == ["croissant.json"]
