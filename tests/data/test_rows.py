"""A few rows of a long table: the same as reading everything, without reading everything."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.core.errors import LiftnetError
from liftnet.data import schemas as rows_module
from liftnet.data.schemas import MANIFEST, MASKS, read_rows, table_writer, write_table

COLUMNS = ["status", "image_id"]


def write_grouped(path, keys, size):
    with table_writer(path, MASKS) as write:
        for start in range(0, len(keys), size):
            write([{"image_id": key, "status": f"s{n}"} for n, key in enumerate(keys[start : start + size], start)])
    return path


@given(
    keys=st.lists(st.none() | st.sampled_from("abcdefgh"), max_size=30),
    wanted=st.sets(st.sampled_from("abcdefghxyz")),
    size=st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_finds_what_a_filter_of_the_whole_table_finds(tmp_path_factory, keys, wanted, size):
    path = write_grouped(tmp_path_factory.mktemp("rows") / "masks.parquet", keys, size)
    found = read_rows(path, MASKS, COLUMNS, "image_id", wanted)
    table = pq.read_table(path)
    expected = table.filter(pc.is_in(table.column("image_id"), value_set=pa.array(sorted(wanted), pa.string())))
    assert found.column_names == COLUMNS
    assert found.to_pylist() == expected.select(COLUMNS).to_pylist()


def test_sorted_tables_are_read_only_where_the_value_may_stand(tmp_path, monkeypatch):
    path = write_grouped(tmp_path / "masks.parquet", [f"{n:04d}" for n in range(1000)], 10)
    looked_into = []
    matching = rows_module._matching
    monkeypatch.setattr(rows_module, "_matching", lambda *a: looked_into.append(a[1]) or matching(*a))
    assert read_rows(path, MASKS, ["status"], "image_id", ["0123", "0127"]).column("status").to_pylist() == [
        "s123",
        "s127",
    ]
    assert looked_into == [12]


@pytest.mark.parametrize("trouble", ["absent", "damaged", "another"])
def test_a_table_that_cannot_be_used_is_named(tmp_path, trouble):
    path = tmp_path / "masks.parquet"
    if trouble == "damaged":
        path.write_text("no Parquet")
    if trouble == "another":
        write_table(path, [], MANIFEST)
    with pytest.raises(LiftnetError, match=r"masks\.parquet"):
        read_rows(path, MASKS, ["status"], "image_id", ["a"])
