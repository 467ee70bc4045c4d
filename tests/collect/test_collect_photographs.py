"""The 249 real photographs."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from liftnet.collect.collect import collect
from liftnet.collect.sources.lists import read_csv
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image

PHOTOS = Path(__file__).resolve().parents[2] / "../shared/data/photos"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PHOTOS.exists(), reason="the real photographs are not beside the project"),
]


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    out = tmp_path_factory.mktemp("photographs")
    start = time.monotonic()
    result = collect(read_csv(PHOTOS / "sources.csv"), out)
    return out, result, time.monotonic() - start


def test_every_photograph_and_mask_is_used(collected):
    out, result, seconds = collected
    with open(PHOTOS / "sources.csv", newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert dict(result.counts) == {"ok": len(listed)} == {"ok": 249}
    assert dict(result.masks) == {"ok": sum(bool(row["mask"]) for row in listed)} == {"ok": 115}
    assert result.works == 6
    assert set(result.splits) == {"train", "val", "test"}
    rows = result.manifest().to_pylist()
    assert [row["image_url"] for row in rows] == [row["image"] for row in listed]
    assert [row["attribution"] for row in rows] == [row["attribution"] for row in listed]
    assert (out / "works.tsv").read_text().count("\n") == 7
    assert seconds < 60


def test_stored_photographs_are_upright(collected):
    out, result, _ = collected
    rows = result.manifest().to_pylist()
    turned = [row for row in rows if row["exif_orientation"] == 6]
    straight = [row for row in rows if row["exif_orientation"] == 1]
    assert turned
    assert straight
    for row in (*turned[::20], *straight[::40]):
        shown = ImageOps.exif_transpose(Image.open(PHOTOS / row["image_url"])).convert("RGB")
        stored = read_image(out / "images" / row["file"])
        assert stored.shape == (shown.height, shown.width, 3) == (row["height"], row["width"], 3)
        assert np.abs(stored.astype(int) - np.asarray(shown)).mean() < 1.5
    for row in straight:
        assert row["sha256"] == row["sha256_raw"], "nothing had to change, so no bit did"


def test_masks_fit_their_images(collected):
    out, result, _ = collected
    rows = [row for row in result.manifest().to_pylist() if row["mask_status"] == "ok"]
    for row in rows:
        mask = read_mask(out / "hand_masks" / f"{row['image_id']}.png", (row["width"], row["height"]))
        assert 0.01 < mask.mean() < 1
    row = rows[0]
    given = np.asarray(Image.open(PHOTOS / row["mask_url"]).convert("L")) >= 128
    assert (read_mask(out / "hand_masks" / f"{row['image_id']}.png") == given).all()


def test_cameras_that_wrote_their_focal_length_are_recorded(collected):
    rows = collected[1].manifest().to_pylist()
    canon = [row for row in rows if row["camera"] == "Canon EOS 700D"]
    phone = [row for row in rows if row["camera"] == "ONEPLUS A3003"]
    assert canon
    assert all(row["focal_mm"] > 5 for row in canon)
    assert phone
    assert all(row["focal_35mm"] > 20 for row in phone if row["focal_35mm"])
    assert all(row["focal_mm"] is None for row in rows if row["artist"].startswith("Unknown (Buddha"))
