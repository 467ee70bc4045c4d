"""`segment images`: masks of photographs outside any run."""

import argparse

import numpy as np
import pytest
from PIL import Image

from liftnet.core.errors import LiftnetError
from liftnet.data.masks import read_mask
from liftnet.data.pictures import write_image
from liftnet.segment.cli import add_commands
from liftnet.segment.evaluate import iou


def run(*arguments):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    parsed = parser.parse_args(["segment", "images", *map(str, arguments), "--threads=1", "--device=cpu"])
    parsed.run(parsed)


@pytest.fixture
def photos(tmp_path, make_blob):
    """A photograph in a folder of its own, one stored turned, one without foreground, one that is none."""
    image, truth = make_blob(40)
    write_image(tmp_path / "in" / "sub" / "blob.png", image)
    exif = Image.Exif()
    exif[274] = 6  # displayed after a turn by 90 degrees clockwise
    Image.fromarray(np.rot90(image)).save(tmp_path / "in" / "turned.jpg", exif=exif, quality=95)
    write_image(tmp_path / "in" / "empty.png", np.full((96, 128, 3), (40, 60, 90), np.uint8))
    (tmp_path / "in" / "page.jpg").write_text("<html>")
    return tmp_path / "in", truth


def test_masks_are_mirrored_upright_and_of_the_image_s_size(trained, photos, tmp_path, caplog):
    folder, truth = photos
    with caplog.at_level("INFO"):
        run(folder, "--model", trained / "model", "--out", tmp_path / "out", "--ending", "mask.png")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert names == {"sub/blob.mask.png", "turned.mask.png"}
    for name in names:
        assert iou(read_mask(tmp_path / "out" / name, (128, 96)), truth) > 0.8
    assert "page.jpg: the file is" in caplog.text
    assert "empty.png: no mask, its foreground covers less than 0.20%" in caplog.text
    assert "masked 2 images, 0 had a mask already, 1 cannot be read, 1 show no foreground" in caplog.text


def test_masks_that_are_there_are_kept_unless_forced(trained, photos, tmp_path):
    image, mask = photos[0] / "sub" / "blob.png", tmp_path / "out" / "blob.png"
    write_image(mask, np.zeros((96, 128), np.uint8))
    run(image, "--model", trained / "model", "--out", tmp_path / "out")
    assert not read_mask(mask).any()
    run(image, "--model", trained / "model", "--out", tmp_path / "out", "--force")
    assert read_mask(mask).any()


def test_an_ending_that_is_no_png_is_refused(trained, photos, tmp_path):
    with pytest.raises(LiftnetError, match="is not the ending of a PNG"):
        run(photos[0], "--model", trained / "model", "--out", tmp_path / "out", "--ending", "jpg")
