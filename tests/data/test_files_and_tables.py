"""Atomic writes, table schemas, settings: what every stage relies on."""

import argparse
import errno
import os
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from liftnet.collect.manifest_row import ManifestRow, identify
from liftnet.core import files
from liftnet.core.command import add_command
from liftnet.core.errors import LiftnetError
from liftnet.core.ids import SAFE_ID, Register, stable_fraction, stable_id, stable_seed
from liftnet.core.log import duration
from liftnet.core.parallel import map_threads
from liftnet.core.settings import Settings, settings_from
from liftnet.core.tables import write_tables
from liftnet.data.schemas import MASKS, MATCHES, read_table, write_table


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = tmp_path / "table.csv"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError), files.atomic_path(target) as temporary:
        temporary.write_text("half a")
        raise RuntimeError("interrupted")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_file_that_is_being_written_is_none_of_the_folder(tmp_path):
    for name in ("b.parquet", "a.parquet", "c.csv"):
        (tmp_path / name).touch()
    with files.atomic_path(tmp_path / "d.parquet") as temporary:
        temporary.touch()
        assert temporary in list(tmp_path.glob("*.parquet"))
        assert [path.name for path in files.finished(tmp_path, "*.parquet")] == ["a.parquet", "b.parquet"]
    assert files.finished(tmp_path, "*.parquet")[-1].name == "d.parquet"


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    target = tmp_path / "table.csv"
    files.write_text(target, "old")
    code = (
        "import os, signal, sys; from liftnet.core.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t:\n"
        "    t.write_text('half a'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(target)], check=False).returncode == -9
    assert target.read_text() == "old"


def test_a_full_disk_is_said_in_plain_words(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LiftnetError, match=r"out\.csv.*disk is full.*results=DIR"):
        files.write_text(tmp_path / "out.csv", "x")
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_place_of_a_folder_is_said_in_plain_words(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(LiftnetError, match="a file stands where a folder is needed"):
        files.write_text(tmp_path / "results" / "out.csv", "x")


def test_tables_carry_their_schema_and_reject_others(tmp_path):
    path = tmp_path / "masks.parquet"
    write_table(path, [{"image_id": "ab", "status": "ok", "coverage": 0.5}], MASKS)
    table = read_table(path, MASKS)
    assert table.schema.equals(MASKS)
    assert table.to_pylist()[0]["reason"] is None
    with pytest.raises(LiftnetError, match="holds the table 'masks'"):
        read_table(path, MATCHES)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(LiftnetError, match="holds the table"):
        read_table(path, MASKS)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(LiftnetError, match="not a readable Parquet file"):
        read_table(path, MASKS)
    with pytest.raises(LiftnetError, match="does not exist"):
        read_table(tmp_path / "none.parquet", MASKS)


def test_an_empty_table_keeps_its_columns(tmp_path):
    write_table(tmp_path / "empty.parquet", [], MATCHES)
    assert read_table(tmp_path / "empty.parquet", MATCHES).schema.equals(MATCHES)


def test_tables_for_people_and_papers(tmp_path):
    frame = pd.DataFrame({"method": ["a_b & c", "d|e"], "rmse": [0.123456789, float("nan")], "n": [1234, 5]})
    write_tables(frame, tmp_path / "t", "Error in 100 %")
    assert pd.read_csv(tmp_path / "t.csv")["rmse"][0] == 0.123456789
    assert "| d\\|e |  | 5 |" in (tmp_path / "t.md").read_text()
    tex = (tmp_path / "t.tex").read_text()
    assert r"a\_b \& c & 0.123 & 1,234 \\" in tex
    assert r"Error in 100 \%" in tex


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_ids_are_safe_names(names):
    assert SAFE_ID.fullmatch(stable_id(*names))
    assert len(stable_id(*names)) <= 57
    assert 0 <= stable_fraction(names[0]) < 1
    assert 0 <= stable_seed(3, *names) < 2**63


def test_two_works_of_one_title_keep_apart():
    assert stable_id("Moore", "Untitled") != stable_id("Arp", "Untitled")
    assert stable_id("a\0b", "c") != stable_id("a", "b\0c")


SCRIPTS = {
    "丁丆": "dinghan",  # these two had one id of 24 bits, as had the next two
    "丂亥": "kaohai",
    "丏佬": "mianlao",
    "丐佗": "gaituo",
    "محمود مختار": "mhmwd-mkhtr",
    "Вера Мухина": "vera-mukhina",
    "Φειδίας": "feidias",
    "🗿👩\u200d🎨": "moyai-woman-art",
    "?!…": "untitled",
    "。、": "untitled",
    "龍" * 3000: "long" * 10,
    "Käthe Kollwitz": "kathe-kollwitz",
}


def test_works_of_one_artist_in_any_script_keep_apart_and_can_be_read():
    ids = {title: stable_id("毛", title) for title in SCRIPTS}
    assert {title: known.rpartition("-")[0] for title, known in ids.items()} == SCRIPTS
    assert len(set(ids.values())) == len(SCRIPTS)
    assert len({stable_id("毛", chr(0x4E00 + number)) for number in range(20_000)}) == 20_000
    assert all(len(known.rpartition("-")[2]) == 16 for known in ids.values())


def test_no_id_is_given_to_two_names_in_silence(monkeypatch):
    ids = Register()
    assert ids.give("bust-0", "Rodin", "Bust") == ids.give("bust-0", "Rodin", "Bust")
    with pytest.raises(LiftnetError, match="bust-0: is the id of 'Rodin, Bust' and of 'Arp, Bust'"):
        ids.give("bust-0", "Arp", "Bust")
    monkeypatch.setattr("liftnet.core.ids.DIGITS", 2)
    rows = [ManifestRow(artist="毛", work=chr(0x4E00 + number), source="csv") for number in range(3000)]
    with pytest.raises(LiftnetError, match=r"is the id of '毛, .' and of '毛, .'"):
        identify(rows)


def test_results_come_in_order_whatever_the_number_of_threads():
    assert [list(map_threads(lambda x: x * x, range(50), n, "t", "squaring")) for n in (1, 3)] == [
        [x * x for x in range(50)]
    ] * 2


def test_durations_read_well():
    assert [duration(s) for s in (4.4, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 05 min"]


class Example(Settings):
    ratio: float = Field(0.8, gt=0, lt=1, description="ratio test")
    names: list[str] = Field([], description="names")
    fast: bool = Field(True, description="fast")
    path: str | None = Field(None, description="a path")


def parse(*argv):
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(), "go", lambda a: 0, "help", Example)
    return settings_from(parser.parse_args(["go", *argv]), Example)


def test_settings_from_the_command_line():
    assert parse() == Example()
    given = parse("--ratio", "0.7", "--names", "Märta Holm", "b", "--no-fast", "--path", "x")
    assert given == Example(ratio=0.7, names=["Märta Holm", "b"], fast=False, path="x")


def test_impossible_settings_name_the_key():
    with pytest.raises(LiftnetError, match=r"--ratio: .*less than 1"):
        parse("--ratio", "2")
    with pytest.raises(ValueError, match="speed"):
        Example(speed=3)
    with pytest.raises(ValueError, match="frozen"):
        Example().ratio = 0.5
