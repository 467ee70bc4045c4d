"""Typed records and the tables that they are rows of."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

from liftnet.collect.fetch.jobs import Request
from liftnet.collect.fetch.journal import Fetched
from liftnet.collect.manifest_row import ManifestRow
from liftnet.collect.sources.records import SourceRecord
from liftnet.data.locations import Location
from liftnet.data.schemas import FETCHED, MANIFEST, REQUESTS, read_table, write_table


def names_of(record):
    return [field.name for field in dataclasses.fields(record)]


def test_the_fields_of_records_are_the_columns_of_their_tables():
    assert names_of(ManifestRow) == MANIFEST.names
    assert set(names_of(Fetched)) == set(FETCHED.names)
    assert list(Request("image", "web", Location("u")).to_row()) == REQUESTS.names


def test_records_come_back_from_their_tables_as_they_were(tmp_path):
    fetched = Fetched("ok", "", "r", size=(3, 4), shown_size=(6, 8), phashes=("0" * 16,), http_status=200, focal_mm=35)
    write_table(tmp_path / "f.parquet", [fetched.to_row()], FETCHED)
    assert Fetched.from_row(read_table(tmp_path / "f.parquet", FETCHED).to_pylist()[0]) == fetched
    request = Request("mask", "local", Location("p", Path("/a/\udcff.png")), "5-6", 5)
    write_table(tmp_path / "r.parquet", [request.to_row()], REQUESTS)
    assert Request.from_row(read_table(tmp_path / "r.parquet", REQUESTS).to_pylist()[0]) == request


def test_a_row_takes_what_was_asked_for_and_what_came():
    asked = SourceRecord("A", "W", Location("http://e/x"), license="CC0 1.0", artist_wikidata="Q1", credit="c")
    moment = "2026-01-02T03:04:05.678+00:00"
    came = Fetched("ok", "", "r", "http://e/x", moment, size=(3, 4), sha256="ab" * 32, file="images/x.jpg", bytes=9)
    row = ManifestRow.of(asked, came)
    assert (row.artist, row.work, row.image_url, row.license_spdx) == ("A", "W", "http://e/x", "CC0-1.0")
    assert (row.width, row.height, row.bytes, row.sha256) == (3, 4, 9, "ab" * 32)
    assert row.fetched_at == datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    assert (row.image_id, row.file, row.split) == (None, None, None)
