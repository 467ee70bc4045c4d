import argparse
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.collect.cli import add_sources, sources_from
from liftnet.collect.settings import PermissionSettings
from liftnet.collect.sources.directories import read_directory
from liftnet.collect.sources.lists import read_csv, read_list, read_museum, write_list
from liftnet.collect.sources.records import SourceRecord, join_sources, size, year
from liftnet.core.errors import LiftnetError
from liftnet.data.csv_lines import table_rows
from liftnet.data.listed_files import local_files
from liftnet.data.locations import Location, near_miss, place
from liftnet.data.picture_formats import SUFFIXES


def text_file(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_columns_of_a_csv_are_taken_over(tmp_path):
    path = text_file(
        tmp_path,
        "Artist, work ,image,mask,license,license_url,attribution,page_url,source,year\n"
        'Käthe  Kollwitz,"Mutter, mit Kind",a b.jpg,m.png,CC0-1.0,https://l,"(c) me, 2020",https://p,archive,1937\n'
        "Käthe Kollwitz,Pietà,https://example.org/x.jpg,,,,,,,\n",
    )
    first, second = read_csv(path).rows
    assert (first.artist, first.work) == ("Käthe Kollwitz", "Mutter, mit Kind")
    assert (first.image.given, first.image.path) == ("a b.jpg", tmp_path / "a b.jpg")
    assert first.mask.path == tmp_path / "m.png"
    assert (first.license, first.license_url, first.attribution) == ("CC0-1.0", "https://l", "(c) me, 2020")
    assert (first.page_url, first.source, first.problem) == ("https://p", "archive", None)
    assert (second.image.given, second.image.path, second.mask) == ("https://example.org/x.jpg", None, None)
    assert second.source == "csv"
    assert second.license is None


def test_columns_not_used_are_told(tmp_path, caplog):
    with caplog.at_level("INFO"):
        read_csv(text_file(tmp_path, "artist,work,url,year,colour\nA,W,http://e/x,1,red\n"))
    assert "year, colour" in caplog.text


def test_a_url_goes_before_an_image_path(tmp_path):
    rows = read_csv(text_file(tmp_path, "artist,work,url,image\nA,W,http://e/x,x.jpg\nA,W,,y.jpg\n")).rows
    assert [row.image.given for row in rows] == ["http://e/x", "y.jpg"]


def test_a_byte_order_mark_and_empty_lines_do_no_harm(tmp_path):
    sources = read_csv(text_file(tmp_path, "artist,work,image\r\n\r\nA,W,x.jpg\r\n,,\r\n", "utf-8-sig"))
    assert [row.artist for row in sources.rows] == ["A"]


def test_two_spellings_of_an_umlaut_are_one_artist(tmp_path):
    rows = read_csv(text_file(tmp_path, "artist,work,image\nKa\u0308the,W,x.jpg\nK\u00e4the,W,y.jpg\n")).rows
    assert rows[0].artist == rows[1].artist


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column artist, work, url"),
        ("artist,work\nA,W\n", "lacks the column url"),
        ("artist;work;image,x\nA;W;x.jpg\n", "lacks the column url"),
        ("<html>", "is a page in HTML"),
        ('[{"artist": "A"}]', "is JSON, not CSV"),
        ("PK\x03\x04", "is a workbook of Excel"),
        ("work,image\nW,x.jpg\n", "lacks the column artist; its first line has: work, image"),
        ("artist,work,image,image\nA,W,x,y\n", "column image twice"),
        ("artist,work,image\n", "no rows"),
        ('artist,work,image\nA,"W,x.jpg\n', "line 2"),
    ],
)
def test_unusable_lists_say_why(tmp_path, text, message):
    with pytest.raises(LiftnetError, match=message):
        read_csv(text_file(tmp_path, text))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_as_programs_save_them(tmp_path, mark, encoding, end):
    text = f'Artist,Work,Image,artist_died{end}Käthe,"Two; or{end}three,\t",x.jpg,1945.0{end}'
    text = text.replace("three,", "three~").replace(",", mark).replace("~", ",")
    first = "\ufeff" if encoding == "utf-16-be" else ""
    for start in ("", f"sep={mark}\r\n", "\r\n# my list; of 3,000\t\r\n\r\n"):
        path = tmp_path / "list.csv"
        path.write_bytes((first + start + text).encode(encoding))
        (row,) = read_csv(path).rows
        assert (row.artist, row.work, row.image.given, row.artist_died) == ("Käthe", "Two; or three,", "x.jpg", 1945)
        (tmp_path / "x.jpg").touch()
        assert [found.name for found in local_files(path)] == ["x.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("File;Split\na;test\n".encode("latin-1"), None),
        ("File\tsplit\na\ttest\n".encode("utf-16"), None),
        ("file,split\nBüste,test\n".encode("latin-1"), "cannot be read as CSV in UTF-8"),
        (b"file\na\n", "lacks the column 'split'; its first line has: file"),
        (b"file,split\na\n", "a row with less than the columns"),
    ],
)
def test_other_tables_of_a_user_are_read_alike(tmp_path, content, message):
    (tmp_path / "splits.csv").write_bytes(content)
    if message is None:
        assert table_rows(tmp_path / "splits.csv", ("file", "split")) == [{"file": "a", "split": "test"}]
        return
    with pytest.raises(LiftnetError, match=message):
        table_rows(tmp_path / "splits.csv", ("file", "split"))


def test_lines_are_counted_from_the_first_of_the_file(tmp_path):
    _, bad = read_csv(text_file(tmp_path, "# list\n\nartist,work,image\nA,W,x.jpg\nA,W,y.jpg,more\n")).rows
    assert "line 5 has 4 cells" in bad.problem[1]


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-32"])
def test_text_of_wide_letters_without_a_mark_is_named(tmp_path, encoding):
    with pytest.raises(LiftnetError, match="UTF-16 without its mark"):
        read_csv(text_file(tmp_path, "artist,work,image\nA,W,x.jpg\n", encoding))


@pytest.mark.parametrize("around", ["\u202a", "\ufeff", "\xa0", "<>", "\u200e", '"'])
def test_what_pasting_puts_around_a_path_is_no_part_of_it(tmp_path, around):
    touch(tmp_path, "x.jpg")
    assert place(f"{around[0]}x.jpg{around[-1]}", tmp_path)[0].path == tmp_path / "x.jpg"


def test_an_address_without_its_scheme_is_told_where_it_is_refused_as_a_path(tmp_path):
    (row,) = read_csv(text_file(tmp_path, "artist,work,url\nA,W,//upload.example.org/1.jpg\n")).rows
    assert row.problem[0] == "path_refused"
    assert "https:// is missing: https://upload.example.org/1.jpg" in row.problem[1]


def test_a_missing_list_and_one_in_latin_1_say_why(tmp_path):
    with pytest.raises(LiftnetError, match="does not exist"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(LiftnetError, match="does not exist"):
        read_csv(tmp_path)
    with pytest.raises(LiftnetError, match="UTF-8"):
        read_csv(text_file(tmp_path, "artist,work,image\nKäthe,W,x.jpg\n", "latin-1"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [(",W,x.jpg", "no artist"), ("A,,x.jpg", "no work"), ("A,W,", "no url"), ("A,W,x.jpg,one,more", "5 cells")],
)
def test_bad_rows_stay_rows(tmp_path, line, reason):
    row, good = read_csv(text_file(tmp_path, f"artist,work,image\n{line}\nA,W,y.jpg\n")).rows
    assert row.problem[0] == "bad_row"
    assert reason in row.problem[1]
    assert good.problem is None


@pytest.mark.parametrize(
    "path", ["../x.jpg", "/etc/passwd", "a/../../x.jpg", "http://example.org/x.jpg", "file:///x", "..\\x"]
)
def test_a_museum_may_not_point_outside(tmp_path, path):
    (tmp_path / "sources.csv").write_text(f"artist,work,image,mask\nA,W,{path},{path}\nA,W,in/x.jpg,in/m.png\n")
    bad, good = read_museum(tmp_path).rows
    assert bad.problem[0] == bad.mask_problem[0] == "path_refused"
    assert good.problem is good.mask_problem is None


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_directory_gives_every_file_a_row(tmp_path):
    touch(
        tmp_path,
        "Käthe K/Mutter Kind/1.jpg",
        "Käthe K/Mutter Kind/2.JPEG",
        "Käthe K/Mutter Kind/masks/1.png",
        "Käthe K/Mutter Kind/masks/9.png",
        "Käthe K/Mutter Kind/notes.txt",
        "Käthe K/Mutter Kind/deeper/3.jpg",
        "Käthe K/4.jpg",
        "5.jpg",
        ".DS_Store",
        "Käthe K/.hidden/6.jpg",
    )
    rows = {row.image.given: row for row in read_directory(tmp_path).rows}
    assert len(rows) == 7
    good = {name for name, row in rows.items() if row.problem is None}
    assert good == {"Käthe K/Mutter Kind/1.jpg", "Käthe K/Mutter Kind/2.JPEG"}
    first = rows["Käthe K/Mutter Kind/1.jpg"]
    assert (first.artist, first.work, first.source) == ("Käthe K", "Mutter Kind", "directory")
    assert first.mask.given == "Käthe K/Mutter Kind/masks/1.png"
    assert rows["Käthe K/Mutter Kind/2.JPEG"].mask is None
    assert rows["Käthe K/Mutter Kind/notes.txt"].problem[0] == "unsupported_format"
    assert "without an image" in rows["Käthe K/Mutter Kind/masks/9.png"].problem[1]
    for name in ("Käthe K/Mutter Kind/deeper/3.jpg", "Käthe K/4.jpg", "5.jpg"):
        assert rows[name].problem == ("set_aside", "images are looked for in artist/work/ only")


def test_all_documented_extensions_count_as_images(tmp_path):
    touch(tmp_path, *(f"A/W/x{suffix}" for suffix in SUFFIXES))
    assert all(row.problem is None for row in read_directory(tmp_path).rows)
    assert {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"} <= set(SUFFIXES)


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path / "elsewhere", "W/1.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "A").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "W" / "back").symlink_to(tmp_path / "photos")
    assert [row.image.given for row in read_directory(tmp_path / "photos").rows if not row.problem] == ["A/W/1.jpg"]


def test_names_that_are_no_text_can_be_tabled(tmp_path):
    folder = os.fsencode(tmp_path) + b"/A/W"
    os.makedirs(folder)
    with open(folder + b"/\xff.jpg", "wb") as file:
        file.write(b"x")
    (row,) = read_directory(tmp_path).rows
    assert row.image.path.exists()
    row.image.given.encode("utf-8")


@pytest.mark.parametrize("make", [lambda p: p / "none", lambda p: p])
def test_unusable_directories_say_why(tmp_path, make):
    with pytest.raises(LiftnetError, match=r"is not a folder|holds no files"):
        read_directory(make(tmp_path))


FULL = (
    "artist,work,url,artist_wikidata,artist_died,work_wikidata,work_rights,source_id,credit,expected_bytes\n"
    "A,W,http://e/x,https://www.wikidata.org/wiki/Q5582,1937-04-26,q1,CC0,17,Gift of B,1234\n"
    "A,W,http://e/y,nobody,about 1500,Q12418,,,,many\n"
)


def test_the_optional_columns_are_checked_and_odd_cells_told(tmp_path, caplog):
    with caplog.at_level("WARNING"):
        first, second = read_csv(text_file(tmp_path, FULL)).rows
    assert (first.artist_wikidata, first.artist_died, first.work_wikidata) == ("Q5582", 1937, None)
    assert (first.work_rights, first.source_id, first.credit, first.expected_bytes) == ("CC0", "17", "Gift of B", 1234)
    assert (second.artist_wikidata, second.artist_died, second.work_wikidata) == (None, None, "Q12418")
    assert (second.expected_bytes, second.problem) == (None, None)
    assert "1 cells of the column artist_died are not a whole number" in caplog.text
    assert "1 cells of the column artist_wikidata are not a Wikidata id" in caplog.text


def test_a_csv_list_and_its_parquet_are_the_same(tmp_path):
    rows = read_csv(text_file(tmp_path, FULL)).rows
    table = {name: [getattr(row, name) for row in rows] for name in ("artist", "work", "artist_died", "credit")}
    pq.write_table(pa.table(table | {"url": [row.image.given for row in rows]}), tmp_path / "l.parquet")
    again = read_list(tmp_path / "l.parquet")
    assert again.kind == "list"
    assert [(r.artist, r.image, r.artist_died, r.credit) for r in again.rows] == [
        (r.artist, r.image, r.artist_died, r.credit) for r in rows
    ]
    assert read_list(tmp_path / "list.csv").rows == rows


def test_what_is_written_is_read_back(tmp_path):
    rows = (
        SourceRecord(
            "Ä", "W", Location("http://e/x"), license="CC0", artist_died=1937, source="met", expected_bytes=5
        ),
        SourceRecord(
            "B", "W", Location("a/x.jpg", tmp_path / "a/x.jpg"), Location("m.png", tmp_path / "m.png"), "csv"
        ),
        SourceRecord(None, None, Location("http://e/y"), source="met", problem=("set_aside", "no artist is named")),
    )
    assert write_list(tmp_path / "far" / "l.parquet", iter(rows), tmp_path) == 3
    refused = read_list(tmp_path / "far" / "l.parquet").rows[1]
    assert refused.problem is not None
    assert refused.problem[0] == "path_refused"
    assert read_list(tmp_path / "far" / "l.parquet", [tmp_path]).rows == rows


def test_columns_as_pandas_writes_them_are_read(tmp_path):
    columns = {
        "Artist": pa.array(["A", "A"]).dictionary_encode(),
        "work": pa.array(["W", None], pa.large_string()),
        "image": pa.array(["x.jpg", "y.jpg"]),
        "artist_died": pa.array([1937.0, None]),
        "source_id": pa.array([7, 8]),
        "mask": pa.nulls(2),
        "year": pa.array([1, 2]),
    }
    pq.write_table(pa.table(columns), tmp_path / "l.parquet")
    first, second = read_list(tmp_path / "l.parquet").rows
    assert (first.artist, first.artist_died, first.source_id) == ("A", 1937, "7")
    assert first.image.path == tmp_path / "x.jpg"
    assert second.problem == ("bad_row", "the row has no work")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"artist": ["A"], "work": ["W"]}, "lacks the column url"),
        ({"artist": ["A"], "work": [["W"]], "url": ["u"]}, "column work is of type list"),
        ({"artist": [True], "work": ["W"], "url": ["u"]}, "column artist is of type bool"),
        ({"artist": pa.array([], pa.string()), "work": pa.nulls(0), "url": pa.nulls(0)}, "has no rows"),
    ],
)
def test_unusable_parquet_lists_say_why(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "l.parquet")
    with pytest.raises(LiftnetError, match=message):
        read_list(tmp_path / "l.parquet")


def test_a_parquet_list_that_is_none_says_why(tmp_path):
    with pytest.raises(LiftnetError, match="does not exist"):
        read_list(tmp_path / "none.parquet")
    (tmp_path / "l.parquet").write_text("artist,work,url\n")
    with pytest.raises(LiftnetError, match="not a Parquet file"):
        read_list(tmp_path / "l.parquet")


def test_lists_are_joined_in_their_order_but_a_museum_stands_alone(tmp_path):
    first = read_csv(text_file(tmp_path, "artist,work,url\nA,W,http://e/x\n"))
    assert join_sources([first]) is first
    both = join_sources([first, first])
    assert (both.kind, both.rows) == ("lists", (*first.rows, *first.rows))
    (tmp_path / "sources.csv").write_text("artist,work,image\nA,W,x.jpg\n")
    with pytest.raises(ValueError, match="alone"):
        join_sources([first, read_museum(tmp_path)])


def options(*words):
    parser = argparse.ArgumentParser()
    add_sources(parser)
    return sources_from(parser.parse_args(list(map(str, words))), PermissionSettings())


def test_several_lists_are_named_together_and_a_museum_alone(tmp_path):
    path = text_file(tmp_path, "artist,work,url\nA,W,http://e/x\n")
    write_list(tmp_path / "l.parquet", read_csv(path).rows)
    touch(tmp_path, "photos/A/W/1.jpg")
    found = options("--list", tmp_path / "l.parquet", path, "--csv", path, "--directory", tmp_path / "photos")
    assert [row.image.given for row in found.rows] == [*["http://e/x"] * 3, "A/W/1.jpg"]
    with pytest.raises(LiftnetError, match="none is named"):
        options()
    with pytest.raises(LiftnetError, match="alone"):
        options("--museum", tmp_path, "--csv", path)


@pytest.mark.parametrize(
    ("layout", "artists", "works"),
    [
        (("1.jpg", "2.jpg"), {"Unknown"}, {"photos"}),
        (("images/1.jpg", "images/2.jpg", "masks/1.png"), {"Unknown"}, {"photos"}),
        (("one/1.jpg", "two/1.jpg", "two/2.JPG"), {"Unknown"}, {"one", "two"}),
        (("one/images/1.jpg", "one/masks/1.jpg.png", "two/images/3.jpg"), {"Unknown"}, {"one", "two"}),
        (("A/one/1.jpg", "B/two/1.jpg", "B/3.jpg"), {"A", "B"}, {"one", "two"}),
        (("A/one/images/1.jpg", "A/one/masks/1.png", "B/two/images/2.jpg"), {"A", "B"}, {"one", "two"}),
    ],
)
def test_every_layout_is_told_and_taken(tmp_path, caplog, layout, artists, works):
    touch(tmp_path / "photos", *layout)
    with caplog.at_level("INFO"):
        rows = read_directory(tmp_path / "photos").rows
    used = [row for row in rows if row.problem is None]
    assert {row.artist for row in used} == artists
    assert {row.work for row in used} == works
    masks = [name for name in layout if "masks" in name]
    assert [row.mask.given for row in used if row.mask] == masks
    assert not any("masks/" in row.image.given for row in rows)
    assert "taken as" in caplog.text
    assert len(rows) + len(masks) == len(layout)


@pytest.mark.parametrize(
    "mask",
    ["masks/IMG_1.png", "masks/IMG_1.jpg.png", "masks/IMG_1.PNG", "masks/IMG_1_mask.png", "masks/IMG_1.jpg",
     "masks/IMG_1.mask.png", "Masks/IMG_1.tif", "mask/IMG_1.JPG.png", "IMG_1_mask.png", "masks/mask_IMG_1.png"],
)  # fmt: skip
def test_names_of_masks(tmp_path, mask):
    touch(tmp_path, "A/W/IMG_1.jpg", f"A/W/{mask}")
    (row,) = read_directory(tmp_path).rows
    assert row.mask.given == f"A/W/{mask}"


def test_masks_are_found_in_the_other_unicode_form_and_near_misses_named(tmp_path):
    touch(tmp_path, "A/W/Bu\u0308ste.jpg", "A/W/masks/B\u00fcste.png", "A/W/IMG_1.jpg", "A/W/masks/IMG_1b.png")
    rows = {row.image.given: row for row in read_directory(tmp_path).rows}
    assert rows["A/W/Bu\u0308ste.jpg"].mask.given == "A/W/masks/B\u00fcste.png"
    assert "the nearest name is IMG_1.jpg" in rows["A/W/masks/IMG_1b.png"].problem[1]


def test_folders_without_a_photograph_are_refused_with_what_they_hold(tmp_path):
    touch(tmp_path / "a", "x.gif", "y.cr2", "z.cr2")
    with pytest.raises(LiftnetError, match=r"holds no photographs: 2 \.cr2, 1 \.gif"):
        read_directory(tmp_path / "a")
    touch(tmp_path / "b", "1/2/3/4.jpg")
    with pytest.raises(LiftnetError, match=r"too deep: 1/2/3/4\.jpg"):
        read_directory(tmp_path / "b")


def test_what_systems_keep_beside_photographs_is_passed_over(tmp_path):
    touch(tmp_path, "A/W/ok.jpg", "A/W/._ok.jpg", "A/W/@eaDir/ok.jpg/SYNOFILE_THUMB_M.jpg", "A/W/Thumbs.db",
          "A/W/.thumbnails/1.jpg", "__MACOSX/A/W/x.jpg", "A/W/desktop.ini")  # fmt: skip
    assert [row.image.given for row in read_directory(tmp_path).rows] == ["A/W/ok.jpg"]


def test_a_folder_that_cannot_be_read_is_a_row(tmp_path, monkeypatch):
    touch(tmp_path, "A/W/ok.jpg", "B/W/1.jpg")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("B"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    rows = read_directory(tmp_path).rows
    assert [(row.image.given, row.problem and row.problem[0]) for row in rows] == [
        ("A/W/ok.jpg", None),
        ("B", "unreadable_file"),
    ]


def test_links_to_nothing_and_names_without_a_text_are_rows(tmp_path):
    touch(tmp_path, "A/W/ok {left}.jpg", os.fsdecode(b"A/W/b\xfcste.jpg"))
    (tmp_path / "A/W/gone.jpg").symlink_to("nowhere")
    rows = read_directory(tmp_path).rows
    assert {row.image.given for row in rows} == {"A/W/ok {left}.jpg", "A/W/b%FCste.jpg", "A/W/gone.jpg"}
    assert all(row.problem is None for row in rows)


ODD_NAMES = (
    *(b"A/W/a\nb.jpg", b"A/W/'q\".jpg", b"A/W/[*]?.jpg", b"A/W/-dash.jpg", b"A/W/50%20.jpg", b"A/W/=cmd.jpg"),
    *(b"A/W/ lead.jpg", b"A/W/back\\slash.jpg", "A/W/\u202eRTL😀.jpg".encode(), b"A/W/#x,;\t.jpg", b"A/W/~tilde.jpg"),
    *(b"Art\xefst/W/a\xfc.jpg", b"Art\xefst/W/a\xfe.jpg", b"Art\xf6st/W/50%\xfc.jpg", b" /b/a.jpg", b"-rf/ /a.jpg"),
)


def test_names_of_any_bytes_keep_apart_and_are_found_by_the_list_of_their_folder(tmp_path):
    from liftnet.collect.catalogues.folder import FolderSettings
    from liftnet.collect.listing import make_list

    touch(tmp_path / "photos", *map(os.fsdecode, ODD_NAMES))
    make_list(FolderSettings(folder=str(tmp_path / "photos")), tmp_path / "sources.csv")
    for rows in (read_directory(tmp_path / "photos").rows, read_csv(tmp_path / "sources.csv").rows):
        assert {row.problem for row in rows} == {None}
        found = {os.path.relpath(row.image.path, tmp_path / "photos") for row in rows}
        assert found == set(map(os.fsdecode, ODD_NAMES))
        assert len({row.image.given for row in rows}) == len(ODD_NAMES)
        assert {row.artist for row in rows} == {"A", "Art%EFst", "Art%F6st", "Unknown", "-rf"}
        assert {row.work for row in rows} == {"W", "b", "Untitled"}


def test_a_link_to_nothing_is_no_near_miss_of_itself(tmp_path):
    (tmp_path / "x.jpg").symlink_to("gone.jpg")
    assert near_miss("x.jpg", tmp_path / "x.jpg") == ""
    assert near_miss("y.jpg", tmp_path / "y.jpg") == "; did you mean 'x.jpg'?"


def test_the_list_of_a_folder_is_read_back_as_the_folder_is(tmp_path):
    touch(tmp_path / "photos", "one/images/1.jpg", "one/masks/1.png", "two/2.jpg", "two/notes.txt")
    from liftnet.collect.catalogues.folder import FolderSettings
    from liftnet.collect.listing import make_list

    (tmp_path / "lists").mkdir()
    make_list(FolderSettings(folder=str(tmp_path / "photos")), tmp_path / "lists" / "sources.csv")
    read = read_csv(tmp_path / "lists" / "sources.csv", [tmp_path / "photos"]).rows
    own = read_directory(tmp_path / "photos").rows
    assert [(row.artist, row.work, row.problem) for row in read] == [
        (row.artist, row.work, row.problem) for row in own
    ]
    assert [row.image.path.resolve() for row in read] == [row.image.path.resolve() for row in own]
    assert read[0].mask.path.resolve() == own[0].mask.path.resolve()


@pytest.mark.parametrize(
    "asked",
    [
        "img\\a b.jpg",
        "img/a%20b.jpg",
        "file://{folder}/img/a%20b.jpg",
        "~/img/a b.jpg",
        "img/a b.jpg",
        "'img/a b.jpg'",
    ],
)
def test_paths_as_people_paste_them_are_found(tmp_path, monkeypatch, asked):
    touch(tmp_path, "img/a b.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    row = read_csv(text_file(tmp_path, f"artist,work,image\nA,W,{asked.format(folder=tmp_path)}\n")).rows[0]
    assert row.image.path.resolve() == (tmp_path / "img" / "a b.jpg").resolve()


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("www.example.org/x.jpg", "https:// is missing: https://www.example.org/x.jpg"),
        ("//upload.wikimedia.org/x.jpg", "https:// is missing: https://upload.wikimedia.org/x.jpg"),
        ("upload.wikimedia.org/x.jpg", "https:// is missing"),
        ("data:image/png;base64,iVBO", "written into the list itself"),
        ("C:\\Users\\jo\\x.jpg", "a path of Windows"),
        ("img/A B.JPG", "did you mean 'a b.jpg'?"),
        ("img/ab.jpg", "did you mean 'a b.jpg'?"),
        ("imgs/x.jpg", "does not exist either"),
    ],
)
def test_paths_that_lead_nowhere_name_the_nearest_reading(tmp_path, asked, hint):
    touch(tmp_path, "img/a b.jpg")
    place = read_csv(text_file(tmp_path, f'artist,work,image\nA,W,"{asked}"\n')).rows[0].image
    assert hint in near_miss(place.given, place.path)


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1917", 1917), ("1917.0", 1917), ("1917.00", 1917), ("'1917", 1917), ("1.917E+03", 1917), ("1917-11-17", 1917),
     ("1917.5", None), ("about 1917", None), ("", None), ("-31.0", -31)],
)  # fmt: skip
def test_years_as_spreadsheets_write_them(cell, value):
    assert year(cell) == value
    assert year(1917.0) == 1917
    assert size("12,345.0") is None
    assert (size("12,345"), size("12345.0")) == (12345, 12345)
