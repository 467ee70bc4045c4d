"""Small Parquet and CSV files that stand for gigabytes are refused in little memory; what programs write is read."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.collect.sources.lists import LIST, read_csv, read_list
from liftnet.core.errors import LiftnetError
from liftnet.data.csv_lines import CsvRecords
from liftnet.data.parquet_limits import check_parquet, open_parquet
from liftnet.data.schemas import DATASET, groups_that_may_hold, read_table

MEMORY = 3_000_000_000  # bytes of addresses that a process may have, its libraries among them
ROWS = 300_000


def repeated(value, rows=ROWS):
    """A column that names one value over and over."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value]))


def listed(cell, rows=ROWS):
    return pa.table({"artist": repeated("Rodin", rows), "work": repeated(cell, rows), "url": repeated("x.jpg", rows)})


def picture(rows=2000):
    image = repeated(b"x" * 1_100_000, rows)
    return pa.table({"image_id": repeated("0" * 16, rows), "image": image})


BOMBS = {
    "one text a million times": (lambda: listed("x" * 20_000), {}),
    "one image a thousand times": (picture, {}),
    "texts by what they share": (
        lambda: pa.table({"a": ["x" * 9000] * 1000}),
        {"use_dictionary": False, "column_encoding": {"a": "DELTA_BYTE_ARRAY"}},
    ),
}


@pytest.fixture(scope="module")
def bombs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    for name, (table, options) in BOMBS.items():
        path = folder / f"{name}.parquet"
        pq.write_table(table(), path, compression="zstd", store_schema=False, **options)
        assert path.stat().st_size < 100_000
    return folder


CHECK = """
import resource, sys
from pathlib import Path
from liftnet.collect.sources.lists import read_list
from liftnet.core.errors import LiftnetError
from liftnet.data.dataset import open_shard
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
for path in sorted(Path(sys.argv[2]).iterdir()):
    for read in (read_list, open_shard):
        try:
            read(path)
        except LiftnetError as error:
            print(path.stem, "|", error.reason)
"""


def test_bombs_are_refused_in_little_memory(bombs):
    command = [sys.executable, "-c", CHECK, str(MEMORY), str(bombs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ, timeout=120)
    assert done.returncode == 0, done.stderr
    said = [line.split(" | ") for line in done.stdout.splitlines()]
    assert {name for name, _ in said} == set(BOMBS)
    assert len(said) == 2 * len(BOMBS)
    for name, reason in said:
        wanted = "DELTA_BYTE_ARRAY" if "share" in name else "bytes in memory, more than"
        assert wanted in reason, name


def test_compressed_zeros_and_nested_columns_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("liftnet.data.parquet_limits.GROUP_BYTES", 10_000_000)
    path = tmp_path / "a.parquet"
    image = pa.StructArray.from_arrays([repeated(b"x" * 4000, 3000), repeated("x", 3000)], ["bytes", "path"])
    numbers = pa.ListArray.from_arrays(np.array([0, 10**7], np.int32), pa.array(np.zeros(10**7, np.uint16)))
    monkeypatch.setattr("liftnet.data.parquet_limits.TABLE_CELL_BYTES", 5_000_000)
    for column in (pa.array([b"\0" * 4_000_000] * 3), image, numbers):
        pq.write_table(pa.table({"a": column}), path, compression="zstd", use_dictionary=column.type != pa.binary())
        assert path.stat().st_size < 20_000
        with pytest.raises(LiftnetError, match=r"takes 1(2|60),\d\d\d,"):
            check_parquet(path)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_what_pyarrow_writes_is_counted_and_read(tmp_path, version, compression, dictionary):
    path = tmp_path / "list.parquet"
    rows = [{"artist": f"a{n % 7}", "work": None if n == 5 else f"w{n}", "url": f"https://x/{n}"} for n in range(5000)]
    table = pa.Table.from_pylist(rows, schema=LIST)
    pq.write_table(
        table,
        path,
        data_page_version=version,
        compression=compression,
        use_dictionary=dictionary,
        write_page_index=True,
        write_page_checksum=True,
        data_page_size=2000,
    )
    assert len(read_list(path).rows) == 5000


def test_damaged_pages_are_errors(tmp_path):
    path = tmp_path / "list.parquet"
    pq.write_table(listed("x", 100), path)
    data = path.read_bytes()
    generator = np.random.default_rng(0)
    seen = set()
    for number in range(300):
        found = bytearray(data)
        for place in generator.integers(4, len(data), 3):
            found[place] = generator.integers(256)
        other = tmp_path / f"{number}.parquet"
        other.write_bytes(found)
        try:
            read_list(other)
            seen.add("read")
        except LiftnetError as error:
            seen.add("named" if str(other) in str(error) else str(error))
    assert seen == {"read", "named"}


def test_footers_whose_parts_do_not_fit_end_no_process():
    """pyarrow throws where nothing catches: `terminate called`."""
    script = Path(__file__).with_name("damaged_footers.py")
    command = [sys.executable, str(script), "600"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ, timeout=120)
    assert (done.returncode, done.stdout) == (0, "read True refused\n"), done.stderr[-2000:]


def test_statistics_of_a_column_that_holds_no_texts_exclude_no_rows(tmp_path):
    table = pa.table({"n": [1, 2], "a": [{"x": 1}, {"x": 2}], "id": ["m", "n"]})
    pq.write_table(table, tmp_path / "a.parquet")
    with open_parquet(tmp_path / "a.parquet") as file:
        assert groups_that_may_hold(file, "n", "a", "b") == groups_that_may_hold(file, "absent", "a", "b") == [0]
        assert groups_that_may_hold(file, "id", "n", "z") == [0]
        assert groups_that_may_hold(file, "id", "o", "z") == []


def test_metadata_that_are_no_text_are_another_table(tmp_path):
    table = pa.table({"a": ["x"]}).replace_schema_metadata({"liftnet.table": b"\xff\xfe"})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)
    with pytest.raises(LiftnetError, match="holds the table"):
        read_table(tmp_path / "a.parquet", DATASET)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a" * 2_000_000, "a line of more than"),
        ('"' + "\n" * 5000, "a record of more than"),
        ("x," * 100 + "\n" + '"a\n",' * 5000, "a record of more than"),
    ],
)
def test_csv_that_never_ends_a_line_or_a_record(tmp_path, text, reason):
    (tmp_path / "a.csv").write_text("artist,work,url\n" + text)
    with pytest.raises(LiftnetError, match=reason):
        read_csv(tmp_path / "a.csv")
    with pytest.raises(csv.Error, match=reason):
        list(CsvRecords(io.StringIO(text)))


def test_a_cell_that_is_far_too_long_costs_its_row_only(tmp_path):
    (tmp_path / "a.csv").write_text(f"artist,work,url,credit\nA,W,u,{'x' * 30_000}\nA,V,https://x.org/1,c\n")
    pq.write_table(pa.table({"artist": ["A"], "work": ["x" * 30_000], "url": ["u"]}), tmp_path / "a.parquet")
    rows = [*read_csv(tmp_path / "a.csv").rows, *read_list(tmp_path / "a.parquet").rows]
    assert [row.problem and row.problem[0] for row in rows] == ["bad_row", None, "bad_row"]
    assert "credit has 30,000 characters" in rows[0].problem[1]


def test_a_list_has_a_largest_number_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("liftnet.collect.sources.lists.LIST_ROWS", 50)
    (tmp_path / "a.csv").write_text("artist,work,url\n" + "A,W,https://x.org/1\n" * 51)
    pq.write_table(listed("x", 51), tmp_path / "a.parquet")
    for path in (tmp_path / "a.csv", tmp_path / "a.parquet"):
        with pytest.raises(LiftnetError, match="more than 50 rows"):
            read_list(path)


def test_the_folder_of_a_list_is_a_text(tmp_path):
    for number, told in enumerate((b"[1]", b"{", b"[" * 5000, b'"\\u0000"', b"\xff")):
        path = tmp_path / f"{number}.parquet"
        table = listed("x", 1)
        pq.write_table(table.replace_schema_metadata({"liftnet.folder": told}), path)
        with pytest.raises(LiftnetError, match="the folder that its paths"):
            read_list(path)
