"""Pictures made by code."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFilter


@pytest.fixture(scope="session")
def photo():
    """A smooth random RGB picture of a given size and seed."""

    def make(seed=0, size=(120, 90)):
        noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2))

    return make


@pytest.fixture(scope="session")
def encode():
    """A picture as bytes."""

    def to_bytes(picture, kind="JPEG", **options):
        buffer = BytesIO()
        picture.save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {}) | options)
        return buffer.getvalue()

    return to_bytes


@pytest.fixture(scope="session")
def jpeg(photo, encode):
    """The bytes of a JPEG, another one for each seed."""
    return lambda seed=0, size=(120, 90): encode(photo(seed, size))
