"""Lists of what lies on disk: tables of others, public sets, dumps; and the reading of single fields."""

import contextlib
import json
import re
import shlex
import time
from pathlib import Path

import pytest
import yaml

from liftnet.__main__ import build_parser, main
from liftnet.collect.catalogues import CATALOGUES, catalogue_of, settings_of_entry
from liftnet.collect.catalogues.base import MuseumCatalogue
from liftnet.collect.catalogues.public_sets import (
    NameThatSculptureSettings,
    Sculptures6kSettings,
    ShapeAttributesSettings,
    TanksAndTemplesSettings,
)
from liftnet.collect.catalogues.table import TableSettings
from liftnet.collect.listing import make_list
from liftnet.collect.sources.catalogue_data import CHUNK, address, csv_records, json_list, text, without_html
from liftnet.collect.sources.client import Client
from liftnet.collect.sources.lists import read_list
from liftnet.collect.sources.records import SourceRecord, size, wikidata_id, year
from liftnet.config import Config
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import settings_from
from liftnet.data.locations import Location

TATE = Path(__file__).parents[3] / "shared" / "data" / "metadata" / "tate_sculptures.csv"


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def rows_of(settings):
    with Client() as client:
        return {row.image.given: row for row in catalogue_of(settings).rows(client)}, client.skipped


def test_sculptures_6k_are_read_by_their_names(tmp_path):
    touch(
        tmp_path,
        "train/Henry_Moore_Arch_Leg_0000.jpg",
        "test/Rodin_The_Kiss_0250.jpg",
        "test/Auguste_Rodin_Thinker_0001.jpg",
        "test/Somebody_Else_0001.jpg",
        "masks/train/Henry_Moore_Arch_Leg_0000.png",
        "train/readme.txt",
    )
    rows, _ = rows_of(Sculptures6kSettings(folder=str(tmp_path), license="see its page"))
    moore = rows["train/Henry_Moore_Arch_Leg_0000.jpg"]
    assert (moore.artist, moore.work, moore.license) == ("Henry Moore", "Arch Leg", "see its page")
    assert moore.mask.path == tmp_path / "masks/train/Henry_Moore_Arch_Leg_0000.png"
    kiss, thinker = rows["test/Rodin_The_Kiss_0250.jpg"], rows["test/Auguste_Rodin_Thinker_0001.jpg"]
    assert (kiss.artist, kiss.work, thinker.work) == ("Auguste Rodin", "The Kiss", "Thinker")
    assert (kiss.mask, kiss.problem) == (None, None)
    assert (kiss.artist_wikidata, kiss.artist_died, moore.artist_died) == ("Q30755", 1917, 1986)
    assert rows["test/Somebody_Else_0001.jpg"].problem[0] == "bad_row"
    assert len(rows) == 4


@pytest.mark.parametrize("settings", [NameThatSculptureSettings, ShapeAttributesSettings])
def test_sets_in_folders_of_artists_and_works(tmp_path, settings):
    touch(tmp_path, "Henry_Moore/King_and_Queen/1.jpg", "Henry_Moore/King_and_Queen/deeper/2.jpg", "3.jpg")
    rows, _ = rows_of(settings(folder=str(tmp_path)))
    assert (rows["Henry_Moore/King_and_Queen/1.jpg"].artist, rows["3.jpg"].problem[0]) == ("Henry Moore", "bad_row")
    assert rows["Henry_Moore/King_and_Queen/1.jpg"].work == "King and Queen"
    assert rows["Henry_Moore/King_and_Queen/deeper/2.jpg"].problem[0] == "bad_row"


def test_sets_whose_works_a_table_names(tmp_path):
    touch(tmp_path / "set", "images/1060/a.jpg", "images/1061/b.jpg", "flat/Moore_Oval_0001.jpg", "flat/0002.jpg")
    works = tmp_path / "works.csv"
    works.write_text(
        "key,artist,work,artist_wikidata,artist_died\nimages/1060,Henry Moore,Oval,Q900030,1986\n"
        "Moore_Oval,Henry Moore,Oval with Points,,\n"
    )
    rows, _ = rows_of(ShapeAttributesSettings(folder=str(tmp_path / "set"), works=str(works)))
    oval = rows["images/1060/a.jpg"]
    assert (oval.artist, oval.work, oval.artist_wikidata, oval.artist_died) == ("Henry Moore", "Oval", "Q900030", 1986)
    assert rows["flat/Moore_Oval_0001.jpg"].work == "Oval with Points"
    assert rows["images/1061/b.jpg"].problem[0] == rows["flat/0002.jpg"].problem[0] == "bad_row"
    works.write_text("key,artist,work\nelsewhere,A,W\n")
    with pytest.raises(LiftnetError, match="--works names"):
        rows_of(ShapeAttributesSettings(folder=str(tmp_path / "set"), works=str(works)))


def test_tanks_and_temples_in_either_layout(tmp_path):
    touch(tmp_path, "Ignatius/000001.jpg", "Ignatius/000002.jpg", "Horse/images/000001.jpg", "Barn/000001.jpg")
    rows, skipped = rows_of(TanksAndTemplesSettings(folder=str(tmp_path)))
    assert sorted(rows) == ["Horse/images/000001.jpg", "Ignatius/000001.jpg", "Ignatius/000002.jpg"]
    assert (rows["Ignatius/000001.jpg"].artist, rows["Ignatius/000001.jpg"].work) == ("Unknown (Ignatius)", "Ignatius")
    assert skipped == {"the scene Family is not there": 1, "the scene Francis is not there": 1}


@pytest.mark.parametrize("kind", ["sculptures6k", "name_that_sculpture", "shape_attributes", "tanks_and_temples"])
def test_a_set_of_another_layout_says_what_was_expected(tmp_path, kind):
    touch(tmp_path / "set", "0001.jpg", "notes.txt")
    with pytest.raises(LiftnetError, match=r"not laid out as this set is.*Expected was"):
        rows_of(CATALOGUES[kind].settings_type(folder=str(tmp_path / "set")))
    with pytest.raises(LiftnetError, match=r"is not a folder"):
        rows_of(CATALOGUES[kind].settings_type(folder=str(tmp_path / "none")))
    with pytest.raises(LiftnetError, match=r"Give --folder"):
        rows_of(CATALOGUES[kind].settings_type())


def test_the_list_of_a_set_finds_its_files_from_wherever_it_lies(tmp_path):
    touch(tmp_path / "set", "train/Henry_Moore_Arch_Leg_0000.jpg", "masks/train/Henry_Moore_Arch_Leg_0000.png")
    make_list(Sculptures6kSettings(folder=str(tmp_path / "set")), tmp_path / "lists" / "s.parquet")
    (row,) = read_list(tmp_path / "lists" / "s.parquet").rows
    assert row.image.given == "train/Henry_Moore_Arch_Leg_0000.jpg"
    assert row.image.path.is_file()
    assert row.mask.path.is_file()


def table(tmp_path, text, **options):
    path = tmp_path / "theirs.csv"
    path.write_text(text, encoding="utf-8")
    return rows_of(TableSettings(file=str(path), **options))[0]


def test_a_table_of_others_is_renamed(tmp_path):
    rows = table(
        tmp_path,
        "maker,title,no,pic,kind\nA,W,1,http://e/1,bust\nA,W,2,,bust\nB,V,3,http://e/3,bust (drawing)\nC,U,4,p.jpg,\n",
        columns=["artist=maker", "work={title} ({no})", "url=pic", "source_id=no"],
        constants=["source=theirs", "license=CC BY 4.0"],
        none_of=["kind=drawing"],
    )
    assert (rows["http://e/1"].work, rows["http://e/1"].source, rows["http://e/1"].license) == (
        "W (1)",
        "theirs",
        "CC BY 4.0",
    )
    assert rows[""].problem == ("bad_row", "the row has no url or image path")
    assert rows["http://e/3"].problem == ("set_aside", "its kind has 'drawing'")
    assert rows["p.jpg"].image.path == tmp_path / "p.jpg"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["artist"]}, "ours=theirs"),
        ({"columns": ["artist=maker", "artist=no"]}, "every one of ours once"),
        ({"columns": ["sculptor=maker"]}, "'sculptor' is no column"),
        ({"columns": ["artist=painter"]}, "lacks the column painter; its first line has: maker, pic"),
        ({"columns": ["artist={maker} {no}"]}, "lacks the column no"),
        ({"columns": ["artist=maker"], "none_of": ["kind=x"]}, "lacks the column kind"),
    ],
)
def test_columns_that_do_not_fit_are_told(tmp_path, options, message):
    with pytest.raises(LiftnetError, match=message):
        table(tmp_path, "maker,pic\nA,http://e/x\n", **options)


@pytest.mark.real
@pytest.mark.skipif(not TATE.is_file(), reason=f"{TATE} is not there")
def test_tates_list_is_a_table(tmp_path):
    out = tmp_path / "tate.parquet"
    columns = [
        "artist=all_artists",
        "work={title} ({acno})",
        "url=thumbnailUrl",
        "attribution=thumbnailCopyright",
        "work_rights=thumbnailCopyright",
        "page_url=url",
        "source_id=acno",
        "credit=creditLine",
    ]
    words = ["collect", "list", "table", "--file", TATE, "--columns", *columns, "--constants", "source=tate"]
    assert main([*map(str, words), "--out", str(out)]) == 0
    rows = read_list(out).rows
    usable = [row for row in rows if row.problem is None]
    assert (len(rows), len(usable)) == (1767, 1263)
    assert {row.problem for row in rows if row.problem} == {("bad_row", "the row has no url or image path")}
    assert len({(row.artist, row.work) for row in rows}) == 1767  # titles alone are not unique
    assert "Jake Chapman, Dinos Chapman" in {row.artist for row in rows}
    assert any("\n" in cell for cell in next(csv_records(TATE, ["creditLine"])).values())
    assert all("\n" not in (row.credit or "") for row in rows)


def test_long_lists_of_json_are_read_in_pieces(tmp_path):
    path = tmp_path / "l.json"
    values = [{"a": "ä" * (CHUNK // 3), "b": [1, {"c": "]"}]} for _ in range(7)] + [12345, 1.5, "x", None]
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1))
    assert list(json_list(path)) == values
    path.write_text("[]")
    assert list(json_list(path)) == []


def test_a_number_at_the_edge_of_a_piece_is_whole(tmp_path):
    path = tmp_path / "l.json"
    values = [int("1" * 9)] * (2 * CHUNK // 10)
    path.write_text("[" + ",".join(map(str, values)) + "]")
    assert list(json_list(path)) == values


@pytest.mark.parametrize(
    ("content", "message"), [("{}", "not a list"), ('[{"a": 1', "middle of a record"), ("[{,}]", "middle|damaged")]
)
def test_damaged_lists_of_json_are_told(tmp_path, content, message):
    (tmp_path / "l.json").write_text(content)
    with pytest.raises(LiftnetError, match=message):
        list(json_list(tmp_path / "l.json"))


@pytest.mark.parametrize(
    "piece", ["<!", "<", "<!--", "<?", "</", "<a ", '<a "', "<p>", "<script>", "&", "&#", "<style></style"]
)
def test_html_takes_time_by_its_length(piece):
    """A hundred thousand characters that are never closed took half a minute."""
    start = time.perf_counter()
    without_html(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - start < 2


def test_html_becomes_text():
    assert without_html('<a href="x">A<b>nn</b>a</a><br>B &amp; C<script>bad()</script>') == "Anna B & C"
    assert without_html('<div style="display: none">no<div>no</div></div>yes<p>and<p>more') == "yes and more"
    assert (
        without_html("&lt;img src=x onerror=alert(1)&gt;") == "<img src=x onerror=alert(1)>"
    )  # text; pages escape it
    assert without_html("<span>" * 5000 + "deep") == "deep"
    assert without_html("<i></i>") is None
    assert without_html("a < b <!-- > -->c<a title='>'>d</a><!doctype x>e</script>f") == "a < b cdef"
    assert without_html("<style>p</style>shown<!-- never closed") == "shown"
    assert without_html(None) is None
    assert without_html(["x"]) is None


def test_fields_of_other_types_are_nothing():
    assert [text(value) for value in (" a\n b ", 7, True, None, [], "\0", "x" * 900)] == [
        "a b",
        "7",
        None,
        None,
        None,
        None,
        "x" * 500,
    ]
    assert address("https://e.org/ä b.jpg") == "https://e.org/ä b.jpg"
    assert [
        address(value) for value in ("javascript:alert(1)", "//e/x", "http://", "http://[x", "http://e/\nx", 5)
    ] == [None] * 6
    assert [year(value) for value in ("1937", 1937, "1937-04-26", -44, "c. 1500", "0", "19999", None, True)] == [
        1937,
        1937,
        1937,
        -44,
        None,
        None,
        None,
        None,
        None,
    ]
    assert [wikidata_id(v) for v in ("Q5", "http://www.wikidata.org/entity/Q5", "q5", "Q0", 5, None)] == [
        "Q5",
        "Q5",
        None,
        None,
        None,
        None,
    ]
    assert [size(v) for v in ("12", 12, "1e9", "0", "-1", "9" * 40, None)] == [12, 12, 10**9, None, None, None, None]


@pytest.mark.parametrize("fault", [ValueError("no year: '19x'"), KeyError("maker")])
def test_a_row_that_a_source_cannot_read_is_told_with_its_number(tmp_path, monkeypatch, fault):
    touch(tmp_path, "set/train/Henry_Moore_Arch_Leg_0000.jpg")

    def rows(self, client):
        yield SourceRecord("A", "W", Location("http://e/1"))
        raise fault

    monkeypatch.setattr(CATALOGUES["sculptures6k"], "rows", rows)
    out = tmp_path / "s.parquet"
    with pytest.raises(LiftnetError, match=r"s\.parquet: its row 2 cannot be made of what sculptures6k") as told:
        make_list(Sculptures6kSettings(folder=str(tmp_path / "set")), out)
    assert str(fault) in told.value.reason
    assert "the row before it is of http://e/1" in told.value.reason
    assert "Correct that record" in told.value.remedy
    assert not out.exists()
    assert make_list(Sculptures6kSettings(folder=str(tmp_path / "set"), limit=1), out).rows == 1


@pytest.mark.parametrize("kind", list(CATALOGUES))
def test_every_kind_is_a_class_with_help_and_a_place(kind):
    # a museum is listed whole where nothing is chosen; others may need a file or a category, and say so
    if issubclass(CATALOGUES[kind], MuseumCatalogue):
        assert hasattr(catalogue_of(CATALOGUES[kind].settings_type()), "rows")
    else:
        with contextlib.suppress(LiftnetError):
            catalogue_of(CATALOGUES[kind].settings_type())
    assert CATALOGUES[kind].settings_type.__doc__
    assert all(field.description for field in CATALOGUES[kind].settings_type.model_fields.values())


def test_entries_of_the_configuration_are_checked():
    assert settings_of_entry({"name": "a", "kind": "met", "limit": 5}).limit == 5
    with pytest.raises(LiftnetError, match=r"'louvre'.*Known are") as told:
        settings_of_entry({"name": "a", "kind": "louvre"})
    assert {"artic", "cleveland", "commons", "met"} <= set(re.findall(r"\w+", told.value.remedy)) >= set(CATALOGUES)
    with pytest.raises(LiftnetError, match=r"sources: a: width.*Options are"):
        settings_of_entry({"name": "a", "kind": "commons", "width": 1000})


DOCUMENT = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^    .*?python -m liftnet (collect list (?:.*\\\n)*.*)$", DOCUMENT, re.MULTILINE)


def test_every_kind_has_an_example():
    assert {shlex.split(example)[2] for example in EXAMPLES} == set(CATALOGUES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_the_document_are_valid(example):
    words = shlex.split(example.replace("\\\n", " "))
    arguments = build_parser().parse_args(words)
    settings = settings_from(arguments, CATALOGUES[words[2]].settings_type)
    assert arguments.out.suffix in (".parquet", ".csv")
    if "folder" not in type(settings).model_fields:  # which is not there
        assert hasattr(catalogue_of(settings), "rows")


def test_the_configuration_of_the_document_is_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    assert [source.kind for source in Config(**yaml.safe_load(block)).sources] == ["commons", "cleveland"]
