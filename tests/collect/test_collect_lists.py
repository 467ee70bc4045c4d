"""Lists of splits in a whole run: obeyed, refused where they are wrong, written, and read back."""

import csv

import pytest

from liftnet.collect.collect import collect
from liftnet.collect.sources.lists import read_csv
from liftnet.core.errors import LiftnetError


@pytest.fixture
def source(tmp_path, write_csv, photo):
    """A list of one image each of the named artists."""
    (tmp_path / "in").mkdir()

    def make(artists, **columns):
        for name in artists:
            photo(sum(map(ord, name)), (160, 120)).save(tmp_path / "in" / f"{name}.jpg")
        return read_csv(write_csv([{"artist": name, "image": f"in/{name}.jpg"} | columns for name in artists]))

    return make


def lists(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return str(folder)


def splits_of(result):
    return {row["artist"]: row["split"] for row in result.manifest().to_pylist()}


def test_given_lists_are_obeyed_and_written(tmp_path, source, quick):
    folder = lists(tmp_path / "given", val_artists="Dee\n", test_artists="Bo\nQ7\n")
    sources = source(["Ann", "Bo", "Cy", "Dee"])
    with pytest.raises(LiftnetError, match="'Q7' is no artist"):
        collect(sources, tmp_path / "out", quick(lists=folder))
    lists(tmp_path / "given", test_artists="Bo\n", test_works="Bo\tW\n")
    found = splits_of(collect(sources, tmp_path / "out", quick(lists=folder)))
    assert found == {"Ann": "train", "Bo": "test", "Cy": "train", "Dee": "val"}
    assert (tmp_path / "out/splits/test_artists.txt").read_text() == "Bo\n"
    assert (tmp_path / "out/splits/train_works.txt").read_text() == "Ann\tW\nCy\tW\n"
    with open(tmp_path / "out/splits/groups.csv", newline="") as file:
        groups = list(csv.DictReader(file))
    assert [(row["artist"], row["split"], row["n_images"]) for row in groups] == [
        (name, found[name], "1") for name in sorted(found)
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("val_artists", "Nobody\n", "'Nobody' is no artist"),
        ("train_works", "Ann\tNothing\n", "'Ann, Nothing' is no work"),
    ],
)
def test_who_is_not_known_is_refused_before_anything_is_fetched(tmp_path, source, quick, name, text, said):
    folder = lists(tmp_path / "given", **{name: text})
    with pytest.raises(LiftnetError, match=said):
        collect(source(["Ann", "Bo"]), tmp_path / "out", quick(lists=folder))
    assert not (tmp_path / "out" / "images").exists()


def test_a_later_run_moves_nobody_whatever_the_shares(tmp_path, source, quick, caplog):
    names = ["Ann", "Bo", "Cy", "Dee"]
    before = splits_of(collect(source(names), tmp_path / "out", quick()))
    more = source([*names, "Eve", "Flo", "Gil"])
    after = splits_of(collect(more, tmp_path / "out", quick(val_fraction=0.0, test_fraction=0.9)))
    assert {name: after[name] for name in names} == before
    assert set(after) == {*names, "Eve", "Flo", "Gil"}
    folder = lists(tmp_path / "given", val_artists="Ann\n", test_artists="Bo\n", train_artists="Cy\nDee\n")
    caplog.clear()
    moved = splits_of(collect(more, tmp_path / "out", quick(lists=folder)))
    assert (moved["Ann"], moved["Bo"], moved["Cy"], moved["Dee"]) == ("val", "test", "train", "train")
    if any(moved[name] != before[name] for name in names):
        assert "the given lists have moved" in caplog.text


def test_the_lists_of_a_run_can_be_given_to_another(tmp_path, source, quick):
    names = ["Ann", "Bo", "Cy", "Dee", "Eve"]
    columns = {"artist_wikidata": "Q5", "work_wikidata": "Q9"}
    sources = source(names)
    before = splits_of(collect(sources, tmp_path / "out", quick(val_fraction=0.4, test_fraction=0.4)))
    folder = str(tmp_path / "out" / "splits")
    again = splits_of(collect(sources, tmp_path / "other", quick(lists=folder, val_fraction=0.0, test_fraction=0.0)))
    assert again == before
    for path in (tmp_path / "out" / "splits").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / "splits" / path.name).read_bytes()
    # one artist of five names, by his Wikidata id
    one = collect(source(names, **columns), tmp_path / "third", quick())
    assert len({row["artist_id"] for row in one.manifest().to_pylist()}) == 1
    assert collect(source(names, **columns), tmp_path / "fourth", quick(lists=str(tmp_path / "third/splits"))).images


def test_the_manifest_says_who_and_under_which_licence(tmp_path, source, quick):
    columns = {
        "license": "CC BY-SA 4.0",
        "artist_wikidata": "Q5",
        "artist_died": "1917",
        "work_wikidata": "Q9",
        "work_rights": "public domain",
        "source_id": "42",
        "credit": "Gift of Ada",
    }
    (row,) = collect(source(["Ann"], **columns), tmp_path / "out", quick()).manifest().to_pylist()
    assert row["license_spdx"] == "CC-BY-SA-4.0"
    assert row["artist_died"] == 1917
    assert {name: row[name] for name in columns if name != "artist_died"} == {
        name: text for name, text in columns.items() if name != "artist_died"
    }
