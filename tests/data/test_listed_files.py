"""The files that a list names: found whatever way their paths are written, and never at the cost of an address."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.collect.sources.lists import write_list
from liftnet.collect.sources.records import SourceRecord
from liftnet.data.listed_files import local_files
from liftnet.data.locations import Location


@pytest.fixture
def photographs(tmp_path):
    for name in ("a.jpg", "b c.jpg", "mask.png"):
        (tmp_path / name).touch()
    return tmp_path


def test_of_a_list_in_csv_paths_are_read_as_collect_reads_them(photographs):
    listed = photographs / "list.csv"
    listed.write_text(
        "\ufeffArtist,Work, URL ,image,mask\n"
        f"A,1,,a.jpg,mask.png\nA,1,file://{photographs}/b%20c.jpg\nA,1,https://example.org/x.jpg\nA,1,,gone.jpg,\n"
    )
    names = ["a.jpg", "mask.png", "b c.jpg", "gone.jpg"]
    assert list(local_files(listed)) == [photographs / name for name in names]


def test_addresses_are_not_looked_for(photographs, monkeypatch):
    listed = photographs / "list.csv"
    listed.write_text("artist,work,url\n" + "A,1,https://example.org/x.jpg\n" * 100)
    monkeypatch.setattr(os.path, "lexists", lambda path: pytest.fail(f"looked for {path}"))
    assert list(local_files(listed)) == []


def test_of_a_list_in_parquet_paths_are_relative_to_the_folder_it_was_made_of(photographs, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("lists")
    rows = [
        SourceRecord("A", "1", Location("a.jpg", photographs / "a.jpg")),
        SourceRecord("A", "2", Location("http://x/y")),
    ]
    write_list(elsewhere / "made.parquet", rows, photographs)
    assert list(local_files(elsewhere / "made.parquet")) == [photographs / "a.jpg"]
    columns = {"Image": ["a.jpg", None], "mask": pa.array(["mask.png", None]).dictionary_encode(), "year": [1, 2]}
    pq.write_table(pa.table(columns), photographs / "theirs.parquet")
    assert list(local_files(photographs / "theirs.parquet")) == [photographs / "a.jpg", photographs / "mask.png"]


def test_of_a_table_of_others_the_columns_say_where_paths_come_from(photographs):
    (photographs / "theirs.csv").write_text("maker,no,url\nA,a,https://example.org\n")
    columns = {"artist": "maker", "work": "no", "image": "{no}.jpg"}
    assert list(local_files(photographs / "theirs.csv", columns)) == [photographs / "a.jpg"]


def test_a_list_with_semicolons_is_followed_as_it_is_read(photographs):
    (photographs / "theirs.csv").write_text("artist;image\nA;a.jpg\n")
    assert list(local_files(photographs / "theirs.csv")) == [photographs / "a.jpg"]


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"image\n\xff\xfe\0", b"PAR1"])
def test_a_list_that_cannot_be_read_names_none(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert list(local_files(tmp_path / name)) == []
