"""The round trip of a person's corrections: sheet, edited masks, check, training."""

import argparse

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from liftnet.core.errors import LiftnetError
from liftnet.data.masks import read_mask, write_mask
from liftnet.data.pictures import read_image, write_image
from liftnet.data.schemas import MANIFEST, MASKS, read_table, write_table
from liftnet.segment.cli import add_commands
from liftnet.segment.corrections import image_name, overlay, read_corrections, write_sheet
from liftnet.segment.evaluate import iou
from liftnet.segment.samples import all_masked_images, load_samples, masked_images
from liftnet.segment.settings import SegmentSettings


def run(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    parsed = parser.parse_args([str(argument) for argument in arguments])
    parsed.run(parsed)


def write_masks(root, rows, confidences, make_blob):
    """Masks and their table as `segment predict` leaves them; a confidence of None is an image without a mask."""
    table = []
    for number, (row, confidence) in enumerate(zip(rows, confidences, strict=True)):
        found = confidence is not None
        if found:
            write_mask(root / "masks" / f"{row['image_id']}.png", make_blob(number)[1])
        status, reason = ("ok", "") if found else ("no_foreground", "<b>")
        entry = {"image_id": row["image_id"], "status": status, "reason": reason}
        table.append(entry | {"coverage": 0.2 if found else 0.0, "confidence": confidence or 0.4})
    write_table(root / "masks" / "a.parquet", table, MASKS)


def test_every_kind_of_wrong_file_is_a_row_and_the_rest_is_used(tmp_path, make_results, make_blob, caplog):
    rows = make_results(tmp_path, [("a", "a1", "train", 6)], masked=False)
    for number, name in enumerate(["x/bust%201.jpg", "y/same.jpg", "z/same.jpg"]):
        rows[number]["image_url"] = f"https://host/{name}?width=9"
    write_table(tmp_path / "manifest.parquet", rows, MANIFEST)
    folder, ids = tmp_path / "edited", [row["image_id"] for row in rows]
    write_mask(folder / "bust 1.mask.png", make_blob(0)[1])
    write_mask(folder / f"{ids[0]}.png", make_blob(0)[1])
    write_mask(folder / "same.png", make_blob(1)[1])
    write_mask(folder / f"{ids[3]}.png", np.zeros((96, 128), bool))
    write_mask(folder / f"{ids[4]}.png", np.ones((95, 128), bool))
    write_mask(folder / f"{ids[5]}.png", make_blob(5)[1])
    (folder / "broken.png").write_bytes(b"\x89PNG")
    (folder / f"{ids[2]}.png").write_bytes(b"\x89PNG")
    (folder / "notes.txt").write_text("left alone")
    run("segment", "correct", "--root", tmp_path, "--masks", folder, "--tables", tmp_path / "tables")
    table = pd.read_csv(tmp_path / "tables" / "corrections.csv", dtype={"image_id": str}).set_index("file")
    assert table.status.to_dict() == {
        f"{ids[0]}.png": "ok", "bust 1.mask.png": "twice", "same.png": "ambiguous_name", f"{ids[3]}.png": "empty",
        f"{ids[4]}.png": "mask_wrong_size", f"{ids[5]}.png": "ok", "broken.png": "unknown_image",
        f"{ids[2]}.png": "not_image",
    }  # fmt: skip
    assert (table.reason.isna() == (table.status == "ok")).all()
    images = masked_images(tmp_path, folder)
    assert [image.image_id for image in images] == [ids[0], ids[5]]
    assert all(image.corrected for image in images)
    assert "same.png" in caplog.text


def test_a_corrected_mask_trains_in_place_of_the_hand_mask(tmp_path, make_results, make_blob):
    rows = make_results(tmp_path, [("a", "a1", "train", 2), ("b", "b1", "test", 1)])
    corrected = np.zeros((96, 128), bool)
    corrected[:48] = True
    write_mask(tmp_path / "edited" / f"{rows[1]['image_id']}.png", corrected)
    own, _ = all_masked_images(tmp_path, SegmentSettings(data={"corrections": str(tmp_path / "edited")}))
    assert [image.corrected for image in own] == [False, True, False]
    samples = load_samples(own, 102, threads=1)  # at the size of the images
    assert iou(samples[1].mask >= 128, corrected) > 0.98
    assert iou(samples[0].mask >= 128, make_blob(0)[1]) > 0.95


@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_folder_without_masks_is_a_clear_error(tmp_path, make_results, how):
    make_results(tmp_path, [("a", "a1", "train", 1)])
    if how == "empty":
        (tmp_path / "edited").mkdir()
    with pytest.raises(LiftnetError, match="is no folder" if how == "absent" else r"holds no masks"):
        read_corrections(tmp_path / "edited", read_table(tmp_path / "manifest.parquet", MANIFEST).to_pylist(), 0.0)


@pytest.mark.parametrize(
    ("address", "name"),
    [("https://h/a/b%20c.JPG?x=1", "b c"), ("/photos/Büste.v2.png", "Büste.v2"), ("plain.jpg", "plain"), ("", "")],
)
def test_the_name_of_an_image_is_that_of_its_file(address, name):
    assert image_name(address) == name


def test_the_sheet_shows_the_least_confident_first_and_its_masks_can_be_edited(tmp_path, make_results, make_blob):
    rows = make_results(tmp_path, [("a", "a1", "train", 5)], masked=False)
    rows[2]["work"] = "<script>alert(1)</script>"
    write_table(tmp_path / "manifest.parquet", rows, MANIFEST)
    ids = [row["image_id"] for row in rows]
    write_masks(tmp_path, rows, [0.9, 0.5, 0.7, None, 0.6], make_blob)
    run("segment", "sheet", "--root", tmp_path, "--out", tmp_path / "sheet", "--count", 4)
    table = pd.read_csv(tmp_path / "sheet" / "sheet.csv", dtype={"image_id": str})
    assert table.image_id.tolist() == [ids[3], ids[1], ids[4], ids[2]]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    page = (tmp_path / "sheet" / "sheet.html").read_text()
    assert "<script>" not in page
    assert "&lt;b&gt;" in page
    assert page.index(ids[1]) < page.index(ids[4])
    assert np.array_equal(read_mask(tmp_path / "sheet" / "masks" / f"{ids[1]}.png"), make_blob(1)[1])
    assert not read_mask(tmp_path / "sheet" / "masks" / f"{ids[3]}.png").any()
    with Image.open(tmp_path / "sheet" / "sheet.png") as picture:
        assert picture.width > picture.height
    # the exported masks are accepted as they are, but for the empty one
    run("segment", "correct", "--root", tmp_path, "--masks", tmp_path / "sheet" / "masks", "--tables", tmp_path)
    assert pd.read_csv(tmp_path / "corrections.csv").status.value_counts().to_dict() == {"ok": 3, "empty": 1}


def test_a_sheet_of_one_work_leaves_out_what_cannot_be_read(tmp_path, make_results, make_blob, caplog):
    rows = make_results(tmp_path, [("a", "a1", "train", 2), ("a", "a2", "train", 2)], masked=False)
    write_masks(tmp_path, rows, [0.1, 0.2, 0.3, 0.4], make_blob)
    (tmp_path / "masks" / f"{rows[2]['image_id']}.png").unlink()
    table = write_sheet(tmp_path, tmp_path / "masks", tmp_path / "sheet", 10, work="a2")
    assert table.image_id.tolist() == [rows[3]["image_id"]]
    assert "not on the sheet" in caplog.text
    with pytest.raises(LiftnetError, match="holds no table of masks"):
        write_sheet(tmp_path, tmp_path / "images", tmp_path / "sheet", 10)


def test_overlay_keeps_the_foreground_and_darkens_the_rest():
    image = np.full((60, 80, 3), 200, np.uint8)
    mask = np.zeros((120, 160), bool)
    mask[40:80, 40:120] = True
    drawn = overlay(image, mask)
    assert (drawn[26:34, 30:50] == 200).all()
    assert drawn[:15].max() < 130


def test_written_overlays_are_pictures(tmp_path, make_results, make_blob):
    rows = make_results(tmp_path, [("a", "a1", "train", 1)], masked=False)
    write_image(tmp_path / "images" / rows[0]["file"], np.full((96, 128, 3), 90, np.uint8))
    write_masks(tmp_path, rows, [0.5], make_blob)
    write_sheet(tmp_path, tmp_path / "masks", tmp_path / "sheet", 1)
    assert read_image(tmp_path / "sheet" / "overlays" / f"{rows[0]['image_id']}.jpg").shape == (96, 128, 3)
