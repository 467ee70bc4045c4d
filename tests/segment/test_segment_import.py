"""Masks out of exports of annotation programs, against shapes that are known."""

import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.data.masks import read_mask
from liftnet.segment.annotations import decode_brush, decode_rle, read_export

WIDTH, HEIGHT = 60, 40
BOX = np.zeros((HEIGHT, WIDTH), bool)
BOX[10:30, 20:51] = True
CORNERS = [[20, 10], [50, 10], [50, 29], [20, 29]]  # fillPoly takes the outline with the inside


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


def coco(shape):
    image = {"id": 7, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    return json.dumps({"images": [image], "annotations": [{"image_id": 7, "segmentation": shape}]})


def label_studio(value, kind):
    result = {"type": kind, "original_width": WIDTH, "original_height": HEIGHT, "value": value}
    task = {"data": {"image": "/data/upload/1/1a2b3c4d-a.jpg"}, "annotations": [{"result": [result]}]}
    return json.dumps([task])


def cvat(shape):
    return f'<annotations><image id="0" name="a.jpg" width="{WIDTH}" height="{HEIGHT}">{shape}</image></annotations>'


PERCENT = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in CORNERS]
INSIDE = ", ".join(map(str, runs(np.ones(20 * 31, bool))))
EXPORTS = {
    "coco polygon": coco([np.ravel(CORNERS).tolist()]),
    "coco runs": coco({"counts": runs(BOX.ravel(order="F")), "size": [HEIGHT, WIDTH]}),
    "coco letters": coco({"counts": letters(runs(BOX.ravel(order="F"))), "size": [HEIGHT, WIDTH]}),
    "label studio polygon": label_studio({"points": PERCENT, "polygonlabels": ["x"]}, "polygonlabels"),
    "label studio brush": label_studio({"format": "rle", "rle": brush(BOX)}, "brushlabels"),
    "cvat polygon": cvat(f'<polygon points="{";".join(f"{x}.0,{y}.0" for x, y in CORNERS)}"/>'),
    "cvat mask": cvat(f'<mask rle="{INSIDE}" left="20" top="10" width="31" height="20"/>'),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_gives_the_mask_that_was_drawn(tmp_path, name):
    (tmp_path / "photos" / "A").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photos" / "A" / "a.jpg")
    (tmp_path / "export").write_text(EXPORTS[name])
    words = ["segment", "import", tmp_path / "export", "--images", tmp_path / "photos", "--out", tmp_path / "masks"]
    assert main(list(map(str, words))) == 0
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
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "no",
        "<html>",
        "<a/>",
        coco({"counts": [1, 2], "size": [HEIGHT, WIDTH]}),
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
