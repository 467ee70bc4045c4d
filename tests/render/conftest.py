from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liftnet.render.museum import render_museum
from liftnet.render.settings import MuseumSettings

SMALL = MuseumSettings(
    artists=3, works_per_artist=2, views_per_work=4, image_size=320, mesh_resolution=64, azimuth_span=45
)


@pytest.fixture(scope="session")
def small_museum(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("render") / "museum"
    render_museum(folder, SMALL, seed=0, threads=2)
    return folder


@pytest.fixture
def write_recording() -> Callable[..., None]:
    """Write frames of an RGB-D recording: a square object 1234 mm away."""

    def write(folder: Path, names: list[str], size: tuple[int, int] = (40, 30)) -> None:
        width, height = size
        for name in names:
            for part, pixels in (
                ("rgb", np.full((height, width, 3), 90, np.uint8)),
                ("depth", np.full((height, width), 1234, np.uint16)),
                ("mask", np.pad(np.full((10, 10), 255, np.uint8), ((10, 10), (10, 20)))),
            ):
                (folder / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / part / f"{name}.png")

    return write
