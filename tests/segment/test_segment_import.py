"""Masks out of exports of annotation programs, against shapes that are known."""

import csv
import json
import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.data.masks import read_mask
from liftnet.segment.annotation_exports import read_export
from liftnet.segment.annotation_shapes import decode_brush, decode_rle, fill_polygon
from liftnet.segment.annotations import import_masks

WIDTH, HEIGHT = 60, 40
BOX = np.zeros((HEIGHT, WIDTH), bool)
BOX[10:30, 20:51] = True
CORNERS = [[20, 10], [51, 10], [51, 30], [20, 30]]


def runs(flat):
    """Lengths of alternating runs, the first of False."""
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    lengths = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *lengths] if flat[0] else lengths


def letters(lengths):
    """COCO's text of run lengths, as pycocotools' rleToString writes it."""
    text = ""
    for number, length in enumerate(lengths):
        value = length - lengths[number - 2] if number > 2 else length
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != -1 if bits & 16 else value != 0
            text += chr(bits + 32 * more + 48)
    return text


def brush(mask):
    """Label Studio's brush mask: runs of one value of 8 bits, their lengths in 16 bits."""
    values = np.zeros((*mask.shape, 4), int)
    values[mask] = 255
    bits = f"{values.size:032b}{7:05b}" + f"{15:04b}" * 4
    flat = values.ravel()
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    for start, end in pairwise(edges):
        bits += f"1{0:02b}{end - start - 1:016b}{flat[start]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def coco(*shapes):
    image = {"id": 7, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    found = [
        shape if isinstance(shape, dict) and "counts" not in shape else {"segmentation": shape} for shape in shapes
    ]
    return json.dumps({"images": [image], "annotations": [{"image_id": 7, **shape} for shape in found]})


def result_of(value, kind, **others):
    return {"type": kind, "original_width": WIDTH, "original_height": HEIGHT, "value": value, **others}


def label_studio(*results, **others):
    return json.dumps([task_of({"result": list(results), **others})])


def task_of(*annotations, image="/data/upload/1/1a2b3c4d-a.jpg"):
    return {"data": {"title": "Mr. X", "image": image}, "annotations": list(annotations)}


def json_min(*values):
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    return json.dumps(
        [{"image": "/data/upload/1/1a2b3c4d-a.jpg", "id": 1, "x": [{**value, **size} for value in values]}]
    )


def cvat(*shapes):
    picture = f'<image id="0" name="a.jpg" width="{WIDTH}" height="{HEIGHT}">{"".join(shapes)}</image>'
    return f"<annotations>{picture}</annotations>"


def percent(*points):
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]


def drawn_as(inside):
    """(H, W) bool of a function of the places of pixel centres."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return inside(x, y)


POLYGON = {"points": percent(*CORNERS), "polygonlabels": ["x"]}
BRUSH = {"format": "rle", "rle": brush(BOX), "brushlabels": ["x"]}
CVAT_BOX = '<box xtl="20" ytl="10" xbr="51" ybr="30"/>'
CVAT_POLYGON = f'<polygon points="{";".join(f"{x}.0,{y}.0" for x, y in CORNERS)}"/>'
LS_BOX = {"x": 100 * 20 / WIDTH, "y": 100 * 10 / HEIGHT, "width": 100 * 31 / WIDTH, "height": 100 * 20 / HEIGHT}
INSIDE = ", ".join(map(str, runs(np.ones(20 * 31, bool))))
EXPORTS = {
    "coco polygon": coco([np.ravel(CORNERS).tolist()]),
    "coco runs": coco({"counts": runs(BOX.ravel(order="F")), "size": [HEIGHT, WIDTH]}),
    "coco letters": coco({"counts": letters(runs(BOX.ravel(order="F"))), "size": [HEIGHT, WIDTH]}),
    "coco crowd": coco(
        {"iscrowd": 1, "segmentation": {"counts": runs(BOX.ravel(order="F")), "size": [HEIGHT, WIDTH]}}
    ),
    "coco, a polygon not in a list": coco(np.ravel(CORNERS).tolist()),
    "label studio polygon": label_studio(result_of(POLYGON, "polygonlabels")),
    "label studio brush": label_studio(result_of(BRUSH, "brushlabels")),
    "label studio, beside a choice": label_studio(
        {"type": "choices", "value": {"choices": ["a"]}}, result_of(POLYGON, "x")
    ),
    "label studio, no size": label_studio({"type": "polygonlabels", "value": POLYGON}),
    "label studio, hidden in the editor": label_studio(result_of(POLYGON, "polygonlabels", hidden=True)),
    "label studio min polygon": json_min(POLYGON),
    "label studio min brush": json_min(BRUSH),
    "label studio min, two that overlap": json_min(POLYGON, POLYGON),
    "cvat polygon": cvat(CVAT_POLYGON),
    "cvat mask": cvat(f'<mask rle="{INSIDE}" left="20" top="10" width="31" height="20"/>'),
    "cvat, beside a tag": cvat('<tag label="good"/>', CVAT_POLYGON),
}


def imported(tmp_path, text, boxes=False, picture="a.jpg", size=(WIDTH, HEIGHT), exif=None):
    """Whether something was left out, mask (or None) and the rows of the table of an export of one picture."""
    (tmp_path / "photos").mkdir(exist_ok=True)
    Image.new("RGB", size).save(tmp_path / "photos" / picture, exif=exif or Image.Exif())
    (tmp_path / "export").write_text(text, encoding="utf-8")
    import_masks(tmp_path / "export", tmp_path / "photos", tmp_path / "out", boxes)
    mask = tmp_path / "out" / f"{picture.rpartition('.')[0]}.png"
    table = tmp_path / "out" / "annotations.csv"
    rows = list(csv.DictReader(table.open(encoding="utf-8"))) if table.exists() else []
    status = int(any(row["status"] != "ok" for row in rows))
    return status, read_mask(mask) if mask.exists() else None, rows


ELLIPSE = drawn_as(lambda x, y: ((x - 30) / 15) ** 2 + ((y - 20) / 8) ** 2 < 1)
ROUND = math.cos(math.radians(30)), math.sin(math.radians(30))


def leaning(x, y, about, width, height):
    """Whether points lie in a rectangle that begins at a point and is turned about it by 30 degrees clockwise."""
    right = (x - about[0]) * ROUND[0] + (y - about[1]) * ROUND[1]
    down = (y - about[1]) * ROUND[0] - (x - about[0]) * ROUND[1]
    return (right >= 0) & (right < width) & (down >= 0) & (down < height)


def leaning_about_its_centre(x, y):
    corner = 30 - 12 * ROUND[0] + 6 * ROUND[1], 20 - 6 * ROUND[0] - 12 * ROUND[1]
    return leaning(x, y, corner, 24, 12)


IN_PERCENT = {"x": 50.0, "y": 50.0, "radiusX": 25.0, "radiusY": 20.0}
OUTLINES = {
    "cvat ellipse": (cvat('<ellipse cx="30" cy="20" rx="15" ry="8"/>'), ELLIPSE),
    "cvat ellipse turned": (cvat('<ellipse cx="30" cy="20" rx="8" ry="15" rotation="90.0"/>'), ELLIPSE),
    "label studio ellipse": (label_studio(result_of(IN_PERCENT, "ellipselabels")), ELLIPSE),
    "label studio min ellipse": (json_min(IN_PERCENT), ELLIPSE),
    "cvat box turned": (
        cvat('<box xtl="18" ytl="14" xbr="42" ybr="26" rotation="30"/>'),
        drawn_as(leaning_about_its_centre),
    ),
    "label studio rectangle turned": (
        label_studio(result_of({"x": 50, "y": 25, "width": 40, "height": 30, "rotation": 30}, "rectanglelabels")),
        drawn_as(lambda x, y: leaning(x, y, (30, 10), 24, 12)),
    ),
}


@pytest.mark.parametrize("name", OUTLINES)
def test_ellipses_and_turned_rectangles_are_drawn_as_what_they_are(tmp_path, name):
    text, expected = OUTLINES[name]
    status, mask, rows = imported(tmp_path, text)
    assert (status, [row["status"] for row in rows]) == (0, ["ok"])
    assert (mask ^ expected).sum() <= 3, "pixels whose centres lie on the line"
    assert expected.sum() > 200


@pytest.mark.parametrize(
    "text",
    [
        coco({"bbox": [20, 10, 31, 20], "segmentation": []}),
        label_studio(result_of(LS_BOX, "rectanglelabels")),
        json_min(LS_BOX | {"rectanglelabels": ["x"], "rotation": 0}),
        cvat(CVAT_BOX),
    ],
)
def test_a_bare_box_is_no_outline_unless_that_is_said(tmp_path, text):
    status, mask, rows = imported(tmp_path, text)
    assert (status, mask) == (1, None)
    assert [row["status"] for row in rows] == ["mask_empty", "no_outline"]
    assert "is not its outline" in rows[1]["reason"]
    status, mask, rows = imported(tmp_path, text, boxes=True)
    assert status == 0
    np.testing.assert_array_equal(mask, BOX)


TINY = np.ravel(CORNERS).tolist()
BROKEN = {
    "coco two corners": (coco([[1, 2, 3, 4]], [TINY]), "a polygon of 2 corners"),
    "coco odd numbers": (coco([[1, 2, 3, 4, 5, 6, 7]], [TINY]), "a polygon of 3.5 corners"),
    "coco no numbers": (coco([["a", "b", "c", "d", "e", "f"]], [TINY]), "could not convert"),
    "coco far away": (coco([[1e300, 0, 1e300, 5, 0, 5]], [TINY]), "coordinates that cannot be"),
    "coco NaN": (coco([[math.nan, 0, 1, 5, 0, 5]], [TINY]), "coordinates that cannot be"),
    "coco outside": (coco([[900, 900, 950, 900, 950, 950]], [TINY]), "covers no pixel"),
    "coco runs too short": (coco({"counts": [1, 2], "size": [HEIGHT, WIDTH]}, [TINY]), "runs of 3 px"),
    "coco runs of another size": (coco({"counts": [6], "size": [2, 3]}, [TINY]), "runs of a picture of 3x2 px"),
    "coco keypoints": (coco({"keypoints": [1, 2, 2], "segmentation": None}, [TINY]), "keypoints without"),
    "coco box": (coco({"bbox": [1, 2, 3, 4]}, [TINY]), "a box says"),
    "label studio points": (
        label_studio(result_of({"x": 1, "y": 2, "width": 1}, "keypointlabels"), result_of(POLYGON, "x")),
        "keypointlabels is no outline",
    ),
    "label studio open": (
        label_studio(result_of(POLYGON | {"closed": False}, "x"), result_of(POLYGON, "x")),
        "not closed",
    ),
    "label studio turned": (
        label_studio(result_of(POLYGON, "x", image_rotation=90), result_of(POLYGON, "x")),
        "turned by 90",
    ),
    "label studio page 2": (label_studio(result_of(POLYGON, "x", item_index=1), result_of(POLYGON, "x")), "page 1"),
    "label studio brush cut": (
        label_studio(result_of({"format": "rle", "rle": [0, 0, 37]}, "x"), result_of(POLYGON, "x")),
        "ends early",
    ),
    "label studio no value": (label_studio(result_of([], "x"), result_of(POLYGON, "x")), ""),
    "cvat polyline": (cvat('<polyline points="1,2;3,4"/>', CVAT_POLYGON), "polyline is no outline"),
    "cvat skeleton": (cvat("<skeleton><points/></skeleton>", CVAT_POLYGON), "skeleton is no outline"),
    "cvat no points": (cvat("<polygon/>", CVAT_POLYGON), "it has no 'points'"),
    "cvat mask outside": (cvat('<mask rle="4" left="59" top="0" width="2" height="2"/>', CVAT_POLYGON), "reaches out"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_one_object_that_cannot_be_drawn_is_left_out_and_the_others_drawn(tmp_path, name):
    text, words = BROKEN[name]
    status, mask, rows = imported(tmp_path, text)
    assert status == 1
    np.testing.assert_array_equal(mask, BOX)
    assert rows[0]["status"] == "partly"
    assert rows[1]["object"].startswith("1 (")
    assert words in rows[1]["reason"]


def test_a_polygon_that_crosses_itself_covers_what_its_line_goes_around(tmp_path):
    loop = [[10, 10], [40, 10], [40, 30], [20, 30], [20, 5], [30, 5], [30, 25], [10, 25]]
    mask = fill_polygon(loop, (WIDTH, HEIGHT))
    assert mask[12:24, 21:29].all(), "gone around twice"
    assert mask[26:29, 31:39].all()
    assert not mask[26:29, 11:19].any()
    bow_tie = fill_polygon([[10, 10], [50, 30], [50, 10], [10, 30]], (WIDTH, HEIGHT))
    assert bow_tie[20, 12]
    assert bow_tie[20, 47]
    assert not bow_tie[12, 30]
    status, mask, _ = imported(tmp_path, coco([np.ravel(loop).tolist()], [TINY]))
    assert status == 0
    assert mask.sum() == (fill_polygon(loop, (WIDTH, HEIGHT)) | BOX).sum()


def test_random_polygons_cover_what_a_count_of_windings_says():
    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = rng.uniform(-30, 90, (7, 2))
        y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        angle = [np.arctan2(corner[1] - y, corner[0] - x) for corner in corners]
        turn = sum((np.roll(angle, -1, axis=0) - angle + np.pi) % (2 * np.pi) - np.pi)
        np.testing.assert_array_equal(fill_polygon(corners, (WIDTH, HEIGHT)), np.rint(turn / 2 / np.pi) != 0)


def test_of_several_annotators_one_counts(tmp_path):
    small = {"points": percent([1, 1], [9, 1], [9, 9])}
    older, newer = ({"result": [result_of(POLYGON, "x")], "updated_at": f"2024-01-0{day}"} for day in (1, 2))
    other = {"result": [result_of(small, "x")], "updated_at": "2024-01-01T12"}
    for annotations in (
        [other, newer],
        [newer, other],
        [older | {"ground_truth": True}, other],
        [older, other | {"was_cancelled": True}],
    ):
        status, mask, _ = imported(tmp_path, json.dumps([task_of(*annotations)]))
        assert status == 0
        np.testing.assert_array_equal(mask, BOX)
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    flat = [
        {"image": "a.jpg", "x": [value | size], "updated_at": when} for value, when in ((small, "1"), (POLYGON, "2"))
    ]
    np.testing.assert_array_equal(imported(tmp_path, json.dumps(flat))[1], BOX)


def test_what_an_export_says_of_no_picture_is_a_row_and_the_rest_goes_on(tmp_path):
    content = json.loads(EXPORTS["coco polygon"])
    content["annotations"] += [{"image_id": 9, "segmentation": [TINY]}, 3]
    content["images"].append({"id": 8})
    status, mask, rows = imported(tmp_path, json.dumps(content))
    assert status == 1
    np.testing.assert_array_equal(mask, BOX)
    assert {row["picture"]: row["status"] for row in rows} == {
        "a.jpg": "ok", "image_id 9": "unreadable", "image_id None": "unreadable", "images[1]": "unreadable",
    }  # fmt: skip
    two = task_of({"result": [result_of(POLYGON, "x")]})
    two["data"]["second"] = "b.jpg"
    status, mask, rows = imported(tmp_path, json.dumps([two, task_of({"result": [result_of(POLYGON, "x")]})]))
    assert (status, len(rows)) == (1, 2)
    assert "a task of 2 pictures" in rows[0]["reason"] + rows[1]["reason"]


@pytest.mark.parametrize(
    "given",
    [
        "/data/local-files/?d=photos/A/a.jpg",
        "https://x.org/b/A/a.jpg?sig=1",
        "s3://bucket/A/a.jpg",
        "A\\a.jpg",
        "A/a.jpg",
        "../../A/a.jpg",
    ],
)
def test_pictures_are_found_by_as_much_of_their_path_as_there_is(tmp_path, given):
    for folder in ("A", "B"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photos" / folder / "a.jpg")
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photos" / "A" / "a.png")
    task = task_of({"result": [result_of(POLYGON, "x")]}, image=given)
    assert imported(tmp_path, json.dumps([task]), picture="c.jpg")[0] == 0
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")].count("out/A/a.jpg.png") == 1
    task = task_of({"result": [result_of(POLYGON, "x")]}, image="a.jpg")
    assert imported(tmp_path, json.dumps([task]), picture="c.jpg")[2][0]["status"] == "ambiguous_name"


def test_a_mask_drawn_on_the_pixels_as_stored_is_turned_with_them(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    status, mask, _ = imported(tmp_path, EXPORTS["coco polygon"], exif=exif)
    assert status == 0
    np.testing.assert_array_equal(mask, np.rot90(BOX, -1))


def test_exports_that_are_packed_or_of_films_are_named(tmp_path):
    (tmp_path / "a").write_bytes(b"PK\x03\x04")
    with pytest.raises(LiftnetError, match="ZIP archive"):
        read_export(tmp_path / "a")
    (tmp_path / "a").write_text('<annotations><track id="0"/></annotations>')
    with pytest.raises(LiftnetError, match="for video"):
        read_export(tmp_path / "a")
    (tmp_path / "a").write_bytes(EXPORTS["cvat polygon"].encode("utf-16"))
    assert list(read_export(tmp_path / "a")) == ["a.jpg"]


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_gives_the_mask_that_was_drawn(tmp_path, name):
    status, mask, rows = imported(tmp_path, EXPORTS[name])
    assert (status, len(rows)) == (0, 1)
    np.testing.assert_array_equal(mask, BOX)


def test_the_command_mirrors_folders_and_ends_well_only_if_nothing_was_left_out(tmp_path, capsys):
    (tmp_path / "photos" / "A").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photos" / "A" / "a.jpg")
    words = ["segment", "import", tmp_path / "export", "--images", tmp_path / "photos", "--out", tmp_path / "masks"]
    for text, status, told in (
        (EXPORTS["cvat polygon"], 0, "masks of 1 annotated pictures"),
        (cvat(CVAT_POLYGON, CVAT_BOX), 1, "object 2 (box) of a.jpg: no_outline: a box says"),
    ):
        (tmp_path / "export").write_text(text)
        assert main(list(map(str, words))) == status
        assert told in capsys.readouterr().err
        np.testing.assert_array_equal(read_mask(tmp_path / "masks" / "A" / "a.png", (WIDTH, HEIGHT), False), BOX)


def test_letters_and_runs_of_random_masks_say_the_same():
    for seed in range(20):
        mask = np.random.default_rng(seed).random((13, 17)) < 0.3
        lengths = runs(mask.ravel(order="F"))
        np.testing.assert_array_equal(decode_rle(letters(lengths), (17, 13)), mask)
        np.testing.assert_array_equal(decode_brush(brush(mask), (17, 13)), mask)


def test_what_has_no_mask_is_named(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(tmp_path / "photos" / "a.jpg")
    for text, words in (
        (EXPORTS["coco polygon"], "annotated at 60x40 px, the picture as displayed has 60x41"),
        (EXPORTS["coco polygon"].replace("a.jpg", "b.jpg"), "b.jpg: unknown_image"),
    ):
        (tmp_path / "export").write_text(text)
        given = ["segment", "import", tmp_path / "export", "--images", tmp_path / "photos", "--out", tmp_path / "out"]
        assert main(list(map(str, given))) == 1
        assert words in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["annotations.csv"]
    assert main([*map(str, given[:3]), "--images", str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
    assert "none: is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "no",
        "<html>",
        "<a/>",
        '{"images": 3, "annotations": [1]}',
    ],
)
def test_other_files_are_no_exports(tmp_path, text):
    (tmp_path / "export").write_text(text)
    if text == "<a/>":
        assert read_export(tmp_path / "export") == {}
        return
    with pytest.raises(LiftnetError, match=r"cannot be understood|is no export"):
        read_export(tmp_path / "export")
