"""Lists of strangers: what their rows read of this machine, and what their words do."""

import json
import os
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.collect.collect import collect
from liftnet.collect.fetch.fetch import fetch_jobs
from liftnet.collect.fetch.plan import plan
from liftnet.collect.sources.lists import read_csv, read_list
from liftnet.data.codes import OF_LISTS, ImageStatus
from liftnet.data.schemas import FETCHED, MANIFEST, read_table
from liftnet.workflow.sources import folders_of_entry


@pytest.fixture
def stranger(tmp_path, jpeg):
    """A list with photographs below it, and private files beside its folder."""
    folder = tmp_path / "list"
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "passport.jpg").write_bytes(jpeg(1))
    (tmp_path / "private" / "key").write_text("secret")
    (folder / "photos").mkdir(parents=True)
    for number in range(2, 6):
        (folder / "photos" / f"{number}.jpg").write_bytes(jpeg(number))
    (folder / "link.jpg").symlink_to(tmp_path / "private" / "passport.jpg")
    (folder / "within.jpg").symlink_to(folder / "photos" / "3.jpg")
    (folder / "deep").symlink_to(tmp_path / "private")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "key.png").write_text("secret")
    return folder


def write(folder, rows):
    lines = ["artist,work,image,mask,problem,problem_reason", *(",".join(row) for row in rows)]
    (folder / "sources.csv").write_text("\n".join(lines) + "\n")
    return folder / "sources.csv"


REFUSED = ["../private/passport.jpg", "link.jpg", "deep/passport.jpg", "photos/../../private/passport.jpg"]


def test_no_row_reads_beyond_the_folder_of_its_list(stranger, tmp_path, quick):
    outside = [*REFUSED, str(tmp_path / "private/passport.jpg"), f"file://{tmp_path}/private/passport.jpg"]
    rows = [["A", f"W{number}", path, "", "", ""] for number, path in enumerate(outside)]
    rows += [["B", "W", "photos/2.jpg", "../private/key", "", ""], ["C", "W", "within.jpg", "key.png", "", ""]]
    rows += [["D", "W", "pipe.jpg", "", "", ""], ["D", "V", "photos/4.jpg", "", "", ""]]
    result = collect(read_csv(write(stranger, rows)), tmp_path / "out", quick())
    found = read_table(tmp_path / "out" / "manifest.parquet", MANIFEST).to_pylist()
    assert [row["status"] for row in found] == [*["path_refused"] * len(outside), "ok", "ok", "unreadable_file", "ok"]
    assert "collect.permissions.allow_folder" in found[0]["reason"]
    assert [row["mask_status"] for row in found[len(outside) :][:2]] == ["path_refused", "not_image"]
    assert result.images == 3
    kept = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"secret" not in kept
    assert not list((tmp_path / "out" / "downloads" / "masks").glob("*"))


@pytest.mark.parametrize("swapped", ["photos/2.jpg", "photos"])
def test_a_link_put_there_after_the_plan_leads_nowhere(stranger, tmp_path, quick, swapped):
    """The file itself becomes a link, or the folder that it lies in."""
    (stranger / "5.jpg").write_bytes((stranger / "photos" / "5.jpg").read_bytes())
    sources = read_csv(write(stranger, [["A", "W", "photos/2.jpg", "", "", ""], ["B", "W", "5.jpg", "", "", ""]]))
    plan(sources, tmp_path / "out", quick())
    secret = tmp_path / "private" / "2.jpg"
    secret.write_bytes((stranger / "photos" / "4.jpg").read_bytes())
    (stranger / swapped).rename(tmp_path / "moved")
    (stranger / swapped).symlink_to(secret if swapped.endswith("jpg") else secret.parent)
    assert fetch_jobs(tmp_path / "out", settings=quick()) == Counter({"path_refused": 1, "ok": 1})
    (row,) = [one for one in read_table(tmp_path / "out/fetched/local.parquet", FETCHED).to_pylist() if one["reason"]]
    assert "now lies outside" in row["reason"]


def test_a_folder_that_is_allowed_is_read(stranger, tmp_path):
    rows = [["A", f"W{number}", path, "", "", ""] for number, path in enumerate(REFUSED)]
    for allowed in (tmp_path / "private", tmp_path):
        assert all(row.problem is None for row in read_csv(write(stranger, rows), [allowed]).rows)
    assert all(row.problem is not None for row in read_csv(write(stranger, rows), [tmp_path / "priv"]).rows)


def test_what_a_list_in_parquet_says_of_its_folder_opens_nothing(stranger, tmp_path):
    table = pa.table({"artist": ["A"], "work": ["W"], "image": ["private/passport.jpg"]})
    table = table.replace_schema_metadata({b"liftnet.folder": json.dumps(str(tmp_path))})
    pq.write_table(table, stranger / "l.parquet")
    (row,) = read_list(stranger / "l.parquet").rows
    assert row.problem is not None
    assert row.problem[0] == "path_refused"
    (row,) = read_list(stranger / "l.parquet", [tmp_path]).rows
    assert row.problem is None


WORDS = ["ok", "dup_exact", "dup_near", "withheld", "http_200", "<script>alert(1)</script>", "x" * 5000, "\x1b[2J"]


def test_no_word_of_a_row_ends_the_run_or_becomes_a_status(stranger, tmp_path, quick):
    rows = [["A", f"W{n}", "photos/2.jpg", "", word, "<b>why</b>"] for n, word in enumerate([*WORDS, *OF_LISTS])]
    rows.append(["B", "W", "photos/2.jpg", "", "", ""])
    collect(read_csv(write(stranger, rows)), tmp_path / "out", quick())
    found = read_table(tmp_path / "out" / "manifest.parquet", MANIFEST).to_pylist()
    expected = [*[ImageStatus.SET_ASIDE] * len(WORDS), *OF_LISTS, ImageStatus.OK]
    assert [row["status"] for row in found] == expected
    assert found[0]["reason"] == "its list calls it 'ok', which is no status of a list: <b>why</b>"
    assert all(len(row["reason"]) < 1200 for row in found)


def test_sources_of_a_configuration_allow_what_they_name():
    assert folders_of_entry({"name": "a", "kind": "folder", "folder": "photos"}) == ["photos"]
    assert folders_of_entry({"name": "a", "kind": "table", "file": "there/t.csv"}) == ["there"]
    assert folders_of_entry({"name": "a", "kind": "commons"}) == []


def test_a_picture_that_hangs_the_decoder_costs_its_row_alone(stranger, tmp_path, quick, monkeypatch):
    monkeypatch.setattr("liftnet.collect.decoding.TARGET", "hanging_decoder:answer")
    (stranger / "hang.jpg").write_bytes((stranger / "photos" / "2.jpg").read_bytes() + b"HANG")
    rows = [["A", "W", "hang.jpg", "", "", ""], ["A", "W", "photos/3.jpg", "", "", ""]]
    sources = read_csv(write(stranger, [*rows, ["B", "W", "photos/4.jpg", "", "", ""]]))
    collect(sources, tmp_path / "out", quick(decode_s=1))
    found = read_table(tmp_path / "out" / "manifest.parquet", MANIFEST).to_pylist()
    assert [row["status"] for row in found] == ["too_slow", "ok", "ok"]
    assert "the limit is decode_s" in found[0]["reason"]


def test_only_so_many_lost_files_are_looked_for_by_other_spellings(stranger, monkeypatch):
    """Each of two million could be looked for eight times."""
    monkeypatch.setattr("liftnet.collect.sources.records.LOST_FILES", 3)
    looked = []
    monkeypatch.setattr("liftnet.data.locations._is_there", lambda path: looked.append(path))
    rows = [["A", f"W{number}", f"lost%20{number}\\.jpg", "", "", ""] for number in range(50)]
    read = read_csv(write(stranger, rows)).rows
    assert len({str(path) for path in looked}) <= 3 * 8
    assert [row.image.path for row in read] == [stranger / row[2] for row in rows]


def test_links_are_followed_wherever_they_stand_in_a_path(stranger, tmp_path):
    """The folders of files are asked for once; a link among the files, or to a folder, is found all the same."""
    (stranger / "photos" / "out.jpg").symlink_to(tmp_path / "private" / "passport.jpg")
    (stranger / "photos" / "in.jpg").symlink_to(stranger / "photos" / "2.jpg")
    paths = [
        "photos/2.jpg",
        "photos/in.jpg",
        "photos/out.jpg",
        "deep/key",
        "photos/..",
        "photos/../..",
        "photos/3.jpg",
    ]
    rows = read_csv(write(stranger, [["A", "W", path, "", "", ""] for path in paths])).rows
    assert [row.problem is None for row in rows] == [True, True, False, False, True, False, True]
    assert rows[0].image.below == stranger.resolve()
