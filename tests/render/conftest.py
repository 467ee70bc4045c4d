from pathlib import Path

import pytest

from liftnet.render.museum import render_museum
from liftnet.render.settings import RenderSettings

SMALL = RenderSettings(
    artists=3, works_per_artist=2, views_per_work=4, image_size=320, mesh_resolution=64, azimuth_span=45
)


@pytest.fixture(scope="session")
def small_museum(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("render") / "museum"
    render_museum(folder, SMALL, seed=0, threads=2)
    return folder
