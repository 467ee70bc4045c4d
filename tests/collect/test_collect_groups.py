"""What may not cross splits, whatever the rows, their order, and what came before."""

import copy
import shutil
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.collect.manifest_row import ManifestRow, identify
from liftnet.collect.settings import SplitSettings
from liftnet.collect.split_lists import Entry, SplitLists, read_given, read_lists
from liftnet.collect.splits import assign_splits, plain_name, same_artists, same_works, write_splits
from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_id
from liftnet.data.schemas import MANIFEST

FRACTIONS = SplitSettings(val_fraction=0.3, test_fraction=0.3)
NAMES = ("Rodin", "rodin", "Auguste Rodin", "Rodin, Auguste", "Claudel", "Arp", "Zadkine", "Moore")


def row(number, artist="Rodin", work="Bust", artist_wikidata=None, work_wikidata=None, status="ok"):
    sha256 = f"{number:064x}"[::-1]
    return dict.fromkeys(MANIFEST.names) | {
        "artist": artist,
        "artist_wikidata": artist_wikidata,
        "work": work,
        "work_wikidata": work_wikidata,
        "status": status,
        "sha256": sha256,
        "image_id": sha256[:16],
        "image_url": str(number),
    }


a_row = st.builds(
    row,
    st.just(0),
    st.sampled_from(NAMES),
    st.sampled_from(("Bust", "Kiss", "Hand")),
    st.sampled_from((None, None, None, "Q1", "Q2", "Q3")),
    st.sampled_from((None, None, None, "Q11", "Q12")),
    st.sampled_from(("ok", "ok", "ok", "dup_near", "http_404")),
)
some_rows = st.lists(a_row, min_size=1, max_size=14)
some_ties = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=3)
one_split = st.sampled_from(("train", "val", "test"))


def numbered(rows):
    return [
        one | {k: v for k, v in row(n).items() if k in ("sha256", "image_id", "image_url")}
        for n, one in enumerate(copy.deepcopy(rows))
    ]


def within(ties, rows):
    """Ties between rows whose content is known."""
    held = [number for number, one in enumerate(rows) if one["status"] in ("ok", "dup_near")]
    return [(held[a % len(held)], held[b % len(held)]) for a, b in ties] if held else []


class Folder:
    def __enter__(self):
        self.path = Path(mkdtemp(prefix="splits-"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def typed(rows):
    return [ManifestRow(**one) for one in rows]


def identified(rows):
    """Put the ids into the rows."""
    for one, found in zip(rows, identify(typed(rows)), strict=True):
        one |= found.to_row()


def divide(rows, ties, folder, lists=None):
    """Put ids, groups and splits into the rows, and write the lists."""
    identified(rows)
    asked, before = typed(rows), read_lists(folder)
    found, splits = assign_splits(asked, ties, FRACTIONS, lists or SplitLists(), before)
    assert asked == typed(rows), "nothing is changed in place"
    write_splits(folder, found, splits, before)
    for one, after in zip(rows, found, strict=True):
        one |= after.to_row()
    return rows


def crossings(rows, ties):
    """What shows the same in two splits, among the images that are used."""
    used = [one for one in rows if one["status"] == "ok"]
    works = {one["work_id"]: one["split"] for one in used}
    artists = {one["artist_id"]: one["split"] for one in used}
    groups = {one["group_id"]: one["split"] for one in used}
    found = [one for one in used if groups[one["group_id"]] != one["split"]]
    found += [one for one in used if works[one["work_id"]] != one["split"]]
    found += [one for one in used if artists[one["artist_id"]] != one["split"]]
    tied = [(rows[a]["work_id"], rows[b]["work_id"]) for a, b in ties] + same_works(typed(rows))
    found += [(a, b) for a, b in tied if a in works and b in works and works[a] != works[b]]
    people = same_artists(typed(one for one in rows if one["status"] in ("ok", "dup_near", "withheld")))
    return found + [(a, b) for a, b in people if a in artists and b in artists and artists[a] != artists[b]]


@given(some_rows, some_ties)
@settings(deadline=None, max_examples=50)
def test_nothing_crosses_and_every_image_has_a_split(rows, ties):
    rows = numbered(rows)
    ties = within(ties, rows)
    with Folder() as folder:
        divide(rows, ties, folder)
        assert not crossings(rows, ties)
        assert "withheld" not in {one["status"] for one in rows}  # nothing was assigned before
        assert {one["split"] for one in rows if one["status"] == "ok"} <= {"train", "val", "test"}


@given(some_rows, some_ties, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_the_order_of_the_rows_does_not_matter(rows, ties, random):
    rows = numbered(rows)
    ties = within(ties, rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    place = {number: position for position, number in enumerate(order)}
    with Folder() as one, Folder() as other:
        straight = divide(copy.deepcopy(rows), ties, one)
        shuffled = divide(
            [copy.deepcopy(rows[number]) for number in order], [(place[b], place[a]) for a, b in ties], other
        )
        assert [shuffled[place[number]] for number in range(len(rows))] == straight
        for path in one.iterdir():
            assert path.read_text() == (other / path.name).read_text()


@given(some_rows, some_rows, some_ties, some_ties)
@settings(deadline=None, max_examples=150)
def test_what_was_assigned_stays_or_is_withheld(old, new, ties, more_ties):
    rows = numbered(old)
    ties = within(ties, rows)
    everything = numbered(old + new)
    all_ties = ties + within(more_ties, everything)
    with Folder() as folder:
        before = {one["image_url"]: one["split"] for one in divide(rows, ties, folder) if one["status"] == "ok"}
        for _ in range(2):  # and again, with the lists that the second run wrote
            after = divide(copy.deepcopy(everything), all_ties, folder)
            for one in after:
                if one["image_url"] in before:
                    assert one["status"] == "withheld" or one["split"] == before[one["image_url"]]
                if one["status"] == "withheld":
                    assert one["reason"]
                    assert one["image_id"] is None
            assert not crossings(after, all_ties)


@given(some_rows, some_ties, st.dictionaries(st.sampled_from([*NAMES, "Q1", "Q2"]), one_split, min_size=1))
@settings(deadline=None, max_examples=50)
def test_given_lists_are_obeyed(rows, ties, wanted):
    rows = numbered(rows)
    ties = within(ties, rows)
    lists = SplitLists()
    for name, split in wanted.items():
        lists.artists.add(Entry((), name) if name.startswith("Q") else Entry((name,)), split)
    with Folder() as folder:
        divide(rows, ties, folder, lists)
        assert not crossings(rows, ties)
        names = {}
        for one in rows:
            names.setdefault(one["artist_id"], set()).add(one["artist"])
        for one in rows:
            if one["status"] != "ok":
                continue
            own = {one["artist_wikidata"], *names[one["artist_id"]]} & wanted.keys()
            allowed = {wanted[name] for name in own}
            assert not allowed or one["split"] in allowed


def test_an_artist_is_one_person_by_name_and_by_wikidata_id():
    rows = [row(1), row(2, artist_wikidata="Q1"), row(3, "Auguste Rodin", artist_wikidata="Q1"), row(4, "Arp")]
    identified(rows)
    assert [one["artist_id"] for one in rows[:3]] == [stable_id("Q1")] * 3
    assert rows[0]["artist_wikidata"] == "Q1"
    assert len({one["work_id"] for one in rows[:3]}) == 1
    assert rows[3]["artist_id"] == stable_id("Arp")
    assert rows[3]["work_id"] == stable_id("Arp", "Bust")


def test_two_people_of_one_name_stay_two():
    rows = [row(1, "John Smith", artist_wikidata="Q1"), row(2, "John Smith", artist_wikidata="Q2")]
    identified(rows)
    assert rows[0]["artist_id"] != rows[1]["artist_id"]
    assert same_artists(typed(rows)) == []
    rows.append(row(3, "John Smith"))
    identified(rows)
    assert rows[2]["artist_id"] == stable_id("John Smith")
    assert len(same_artists(typed(rows))) == 2  # it may be either


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Rodin, Auguste", "auguste rodin", True),
        ("Märta Holmström", "Marta Holmstrom", True),
        ("罗丹", "米开朗基罗", False),
        ("罗丹", "罗丹", True),
        ("?", "!", False),
    ],
)
def test_spellings(one, other, same):
    assert (plain_name(one) == plain_name(other)) == same


def test_one_work_under_two_artists_by_its_wikidata_id():
    rows = [row(1, "Rodin", work_wikidata="Q9"), row(2, "Claudel", work_wikidata="Q9"), row(3, "Arp")]
    with Folder() as folder:
        divide(rows, [], folder)
    assert rows[0]["group_id"] == rows[1]["group_id"] != rows[2]["group_id"]
    assert rows[0]["split"] == rows[1]["split"]


def test_a_link_found_later_withholds_the_lower_side(tmp_path):
    rows = [row(1, "Rodin", "Bust"), row(2, "Rodin", "Kiss"), row(3, "Claudel", "Copy"), row(4, "Claudel", "Own")]
    lists = SplitLists()
    lists.artists.add(Entry(("Rodin",)), "test")
    lists.artists.add(Entry(("Claudel",)), "train")
    divide(rows, [], tmp_path, lists)
    assert [one["split"] for one in rows] == ["test", "test", "train", "train"]
    lists = SplitLists(links=[(rows[0]["image_id"], stable_id("Claudel", "Copy"))])
    rows = [row(1, "Rodin", "Bust"), row(2, "Rodin", "Kiss"), row(3, "Claudel", "Copy"), row(4, "Claudel", "Own")]
    divide(rows, [], tmp_path, lists)
    assert [one["status"] for one in rows] == ["ok", "ok", "withheld", "ok"]
    assert rows[2]["reason"] == "shows the same object as Bust by Rodin, which is in test"
    assert [one["split"] for one in rows] == ["test", "test", "train", "train"]


def test_who_is_not_there_any_more_stays_listed(tmp_path):
    rows = [row(number, name) for number, name in enumerate(("Rodin", "Claudel", "Arp", "Moore"))]
    divide(rows, [], tmp_path)
    before = read_lists(tmp_path)
    divide([row(0, "Rodin")], [], tmp_path)
    assert read_lists(tmp_path).artists.entries == before.artists.entries
    assert read_lists(tmp_path).works.entries == before.works.entries


def test_the_papers_artists_by_list(tmp_path):
    """138 artists train, 7 validate, 1 tests."""
    folder = tmp_path / "given"
    folder.mkdir()
    names = [f"Artist {number:03d}" for number in range(146)]
    for split, part in (("train", names[:138]), ("val", names[138:145]), ("test", names[145:])):
        (folder / f"{split}_artists.txt").write_text("".join(f"{name}\n" for name in part))
    rows = divide([row(n, name) for n, name in enumerate(names)], [], tmp_path / "out", read_given(str(folder)))
    assert Counter(one["split"] for one in rows) == {"train": 138, "val": 7, "test": 1}
    assert {one["artist"] for one in rows if one["split"] == "val"} == set(names[138:145])
    # who comes later and is on no list trains
    more = divide(
        [row(n, name) for n, name in enumerate([*names, *"ABCDEFGH"])], [], tmp_path / "new", read_given(str(folder))
    )
    assert Counter(one["split"] for one in more) == {"train": 146, "val": 7, "test": 1}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no list"),
        ({"train_artists.txt": "Rodin\n", "test_artists.txt": "Rodin\n"}, "stands in train too"),
        ({"train_artists.txt": "Rodin\tsculptor\n"}, "line 1 is not understood"),
        ({"test_works.txt": "Bust\n"}, "line 1 is not understood"),
        ({"links.csv": "one,two\nx,y\n"}, "columns a,b"),
        ({"val_artists.txt": b"\xff\xfe"}, "UTF-8"),
    ],
)
def test_bad_lists_are_refused(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LiftnetError, match=said):
        read_given(str(tmp_path))


def test_lists_of_works_and_ids_are_read(tmp_path):
    (tmp_path / "train_artists.txt").write_text("Rodin\tQ1\r\nQ2\n\n")
    (tmp_path / "test_works.txt").write_text("Rodin\tKiss\nQ77\nQ2\tHand\tQ78\n")
    (tmp_path / "links.csv").write_text("a,b,note\nQ77,Q78,casts\n")
    lists = read_given(str(tmp_path))
    assert lists.artists.split("Q1", ("Rodin",)) == "train"
    assert lists.artists.split("Q5", ("Rodin",)) is None
    assert lists.artists.split("Q2", ("anything",)) == "train"
    assert lists.works.split(None, ("Rodin", "Kiss")) == "test"
    assert lists.works.split("Q78", ("x", "y")) == "test"
    assert lists.links == [("Q77", "Q78")]
