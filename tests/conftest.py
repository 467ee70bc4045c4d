"""Pictures made by code; and how the tests share a machine: one thread each, the longest files first."""

import os

# Before numpy and torch are loaded. Tests run side by side (`make test`), so each keeps to one thread, as do the
# programs that it starts, unless it asks for more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from io import BytesIO
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image, ImageFilter
from pillow_heif import register_heif_opener

from liftnet.core.killable import Killables

register_heif_opener()


class LastingDecoders(Killables):
    """Processes that decode, kept from test to test: hundreds fetch a few pictures, and each start takes a while."""

    made = {}

    @classmethod
    def of(cls, *given):
        if given not in cls.made:
            cls.made[given] = cls(*given)
        return cls.made[given]

    def close(self):
        """Not yet."""


@pytest.fixture(autouse=True, scope="session")
def _decoders_last():
    with patch("liftnet.collect.decoding.Killables", LastingDecoders.of):
        yield
    for processes in LastingDecoders.made.values():
        Killables.close(processes)


@pytest.fixture(scope="session", autouse=True)
def nobody_waits_for_the_disk():
    """Files reach the disk when the system likes: no test cuts the power, and each waiting takes milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which refuses what is no open file too
        yield


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


def pytest_collection_modifyitems(items):
    """Files with slow tests first: a worker that starts one last keeps all others waiting."""
    slowest = ("slurm", "workflow", "slow")
    ranks = {}
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        rank = next((rank for rank, name in enumerate(slowest) if name in marks), len(slowest))
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])
