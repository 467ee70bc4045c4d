"""Texts of strangers mean nothing where they are written: terminal, log, Markdown, HTML, LaTeX, CSV, JSON."""

import csv
import io
import json
import logging
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_json
from liftnet.core.log import LineFormatter
from liftnet.core.tables import csv_text, markdown_table, write_tables
from liftnet.core.text import Lines, for_csv, for_html, for_latex, for_markdown, from_csv, one_line, printable

HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "a\nb\r\nc\x0bd\x0ce\x85f\u2028g\u2029h",
    "abc\u202egpj.exe\u2066",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"><b title='",
    "[click](javascript:alert(1)) ![x](http://tracker) `code` *bold* _em_ ~~s~~ $x$ | cell",
    "<javascript:alert(1)> &lt;script&gt; &#60;",
    "\\input{/etc/passwd} $x$ 100% {a}_b^c~#&",
    '=HYPERLINK("http://evil")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1)",
    "-2+3",
    "\t=1",
    " =1+1",
    "\u200b\ufeff=1",
    "\uff1d1+1",
    "safe\U000e0041\U000e0042\u2060\u200b",
    "\udcff\udc80",
    "\0",
]


def record(message, *arguments):
    return logging.LogRecord("collect", logging.INFO, "x.py", 1, message, arguments, None)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_of_a_log_stays_one_and_moves_no_cursor(text):
    error = LiftnetError(f"folder/{text}", "is missing")
    for one in (record("left out: %s", text), record("left out: %s", Path(text)), record("%s", error)):
        line = LineFormatter().format(one)
        assert len(line.splitlines()) == 1
        assert line.isprintable()
    assert one_line(text).isprintable()
    assert one_line("Käthe Kollwitz, 毛, 👩‍🎨, ندى") == "Käthe Kollwitz, 毛, 👩‍🎨, ندى"


def test_lines_of_our_own_are_indented_so_that_none_passes_for_another():
    forged = "x\n12:00:00 collect: all is well"
    assert LineFormatter().format(record("%s", forged)).endswith(r"x\n12:00:00 collect: all is well")
    reason = LiftnetError("a", f"failed:\n  - {forged}")
    for one in (record("%s", reason), record("%s", Lines(forged))):
        assert "\n    12:00:00 collect" in LineFormatter().format(one)


def test_numbers_of_a_log_have_the_digits_that_people_read():
    thirds = (1 / 3, np.float64(2 / 3), np.float32(4 / 3), 1234567.891, 7, np.int64(8))
    assert (
        LineFormatter().format(record("%s %s %s %s %s %s", *thirds)).endswith("0.33333 0.66667 1.3333 1,234,568 7 8")
    )
    assert LineFormatter().format(record("%.1f %d %s", 1 / 3, 2.0, float("nan"))).endswith("0.3 2 nan")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


@pytest.mark.parametrize("text", HOSTILE)
def test_html_and_markdown_have_no_tag_and_no_link(text):
    for written in (for_html(text), for_markdown(text)):
        tags = Tags()
        tags.feed(written)
        assert tags.found == []
        assert len(written.splitlines()) == 1
    assert "](" not in for_markdown(text).replace("\\](", "")
    text = printable(text)  # what a table can hold
    table = markdown_table(pd.DataFrame({"a": [text], "b": ["`b`"]}), marked_up=["b"])
    assert len(table.splitlines()) == 3
    assert {line.replace("\\|", "").count("|") for line in table.splitlines()} == {3}
    assert "| `b` |" in table


@pytest.mark.parametrize("text", [*HOSTILE, "[Unknown]", "*"])
def test_latex_has_no_command_of_the_text(text, tmp_path):
    assert "\\input" not in for_latex(text)
    assert not for_latex(text).startswith(("[", "*"))
    write_tables(pd.DataFrame({"a": [printable(text)], "b": [1.5]}), tmp_path / "t", printable(text))
    tex = (tmp_path / "t.tex").read_text()
    assert tex.count(r"\begin{") == 2
    assert len(tex.splitlines()) == 10


@pytest.mark.parametrize("text", [*HOSTILE, "Rodin", "-0.5", "+1.5e-3 %", "'quoted'", ""])
def test_no_cell_is_a_formula_and_every_cell_comes_back(text):
    written = for_csv(text)
    assert from_csv(written) == text
    assert written == text or not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    bare = re.sub(r"[\s\x00\u200b\ufeff]", "", written)
    assert not bare.startswith(("=", "@", "\uff1d")), "what a spreadsheet strips off makes it a formula"
    table = csv_text(pd.DataFrame({"a": ["x"], "b": [printable(text)]})).split("\n", 1)[1]
    assert next(csv.reader(io.StringIO(table, newline="")))[1] == printable(written)
    assert for_csv(-3) == -3


def test_a_cell_of_spaces_is_looked_through_once():
    """In the square of its length it would take an hour."""
    for cell in ("-" + " " * 1_000_000 + "x", "+" + "1." * 500_000 + "x", " " * 1_000_000 + "=1"):
        assert for_csv(cell) == "'" + cell


@pytest.mark.parametrize("text", HOSTILE[:-2])
def test_json_in_a_page_closes_no_script_and_comes_back(text, tmp_path):
    write_json(tmp_path / "a.json", {"a": text})
    written = (tmp_path / "a.json").read_text()
    assert "<" not in written
    assert all(line.isprintable() for line in written.split("\n"))
    assert json.loads(written) == {"a": text}
