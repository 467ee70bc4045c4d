"""A small work on disk: textured pictures related by a known motion, and its manifest."""

import cv2
import numpy as np
import pytest

from liftnet.data.pictures import write_image
from liftnet.data.schemas import MANIFEST, MATCHES, read_table, write_table

WORK = "a-work-123abc"


def texture(height=240, width=320, seed=0):
    """(H, W, 3) uint8 blotches of several sizes."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), s) * s for s in (1.5, 3, 6)
    ]
    grey = np.sum(layers, axis=0)
    grey = np.clip(128 + 45 * grey / grey.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def moved(image, motion):
    """The image under the 2x3 affine motion of its points."""
    return cv2.warpAffine(image, motion, image.shape[1::-1], flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)


MOTION = np.array([[0.96, -0.12, 18.0], [0.12, 0.96, -14.0]])


class Root:
    """A results folder with one work."""

    def __init__(self, path):
        self.path, self.rows = path, []

    def add(self, image_id, pixels, **changes):
        write_image(self.path / "images" / f"{image_id}.jpg", pixels, quality=98)
        return self.add_row(image_id, **changes)

    def add_row(self, image_id, **changes):
        row = {"image_id": image_id, "work_id": WORK, "artist_id": "x", "status": "ok", "file": f"{image_id}.jpg"}
        self.rows.append(row | changes)
        write_table(self.path / "manifest.parquet", self.rows, MANIFEST)
        return self.path / "images" / f"{image_id}.jpg"

    def matches(self, name="m.parquet"):
        return read_table(self.path / name, MATCHES).to_pylist()


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "results")


@pytest.fixture
def two_views(root):
    """A root with the images a0, b1 where b1 is a0 under MOTION."""
    image = texture()
    root.add("a0", image)
    root.add("b1", moved(image, MOTION))
    return root


@pytest.fixture
def motion():
    """(2, 3) affine motion of the points of a0 to those of b1."""
    return MOTION


@pytest.fixture
def textured():
    """The function that makes a textured picture."""
    return texture
