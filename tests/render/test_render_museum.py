import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.ids import stable_id
from liftnet.data.pictures import read_image
from liftnet.data.schemas import TRUTH, read_table
from liftnet.render.museum import COLUMNS, render_museum
from liftnet.render.settings import MuseumSettings

TINY = MuseumSettings(artists=2, works_per_artist=2, views_per_work=2, image_size=96, mesh_resolution=24)
FLAGS = ["--artists=2", "--works-per-artist=2", "--views-per-work=2", "--image-size=96", "--mesh-resolution=24"]


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and ".part-" not in path.name)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def pictures(folder: Path) -> dict[str, bytes]:
    """All but the truth, whose zip archives carry the time of day."""
    return {name: data for name, data in files(folder).items() if not name.endswith(".npz")}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "museum"
    render_museum(folder, TINY, seed=0, threads=1)
    return folder


def test_source_list_names_what_is_there(small_museum):
    sources = pd.read_csv(small_museum / "sources.csv", keep_default_na=False)
    truth = read_table(small_museum / "truth.parquet", TRUTH).to_pandas()
    assert tuple(sources.columns) == COLUMNS
    assert len(sources) == 3 * 2 * 4 + 4
    assert set(sources["license"]) == {"CC0-1.0"}
    good = sources[sources["image"].isin(truth["image_url"])]
    assert len(good) == len(truth) == 24
    assert truth["image_url"].is_unique
    joined = good.merge(truth, left_on="image", right_on="image_url")
    assert [stable_id(name) for name in joined["artist"]] == list(joined["artist_id"])
    assert [stable_id(a, w) for a, w in zip(joined["artist"], joined["work"], strict=True)] == list(joined["work_id"])
    assert all((small_museum / path).exists() for path in joined["truth"])
    assert all((small_museum / path).exists() for path in good["mask"] if path)
    # the share of masks holds for every artist
    assert (good.assign(given=good["mask"] != "").groupby("artist")["given"].mean() == 0.5).all()


def test_faults_are_what_they_claim(small_museum):
    sources = pd.read_csv(small_museum / "sources.csv", keep_default_na=False)
    by_name = {Path(path).name: small_museum / path for path in sources["image"]}
    copies = [path for path in small_museum.rglob("*.jpg") if path.read_bytes() == by_name["copy.jpg"].read_bytes()]
    assert len(copies) == 2
    assert not by_name["gone.jpg"].exists()
    assert by_name["page.jpg"].read_bytes().startswith(b"<!DOCTYPE html>")
    with pytest.raises(BadImageError, match="the file ends early"):
        read_image(by_name["cut.jpg"])


def test_number_of_threads_does_not_change_a_byte(tiny, tmp_path):
    import numpy as np

    from liftnet.data.truth import load_truth

    render_museum(tmp_path / "m", TINY, seed=0, threads=4)
    assert pictures(tmp_path / "m") == pictures(tiny)
    for path in tiny.rglob("*.npz"):
        same = load_truth(tmp_path / "m" / path.relative_to(tiny))
        np.testing.assert_array_equal(load_truth(path).depth, same.depth)
        np.testing.assert_array_equal(load_truth(path).camera.translation, same.camera.translation)


def test_another_seed_gives_another_museum(tiny, tmp_path):
    render_museum(tmp_path / "m", TINY, seed=1, threads=2)
    ours, other = pictures(tiny), pictures(tmp_path / "m")
    assert not {data for name, data in ours.items() if name.endswith("01.jpg")} & set(other.values())


def test_complete_museum_is_left_alone(tiny, caplog):
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    with caplog.at_level(logging.INFO):
        render_museum(tiny, TINY, seed=0, threads=2)
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before
    assert "nothing to do" in caplog.text


def test_what_is_missing_is_made_again_and_the_rest_kept(tmp_path):
    museum = tmp_path / "m"
    render_museum(museum, TINY, seed=0, threads=2)
    before = files(museum)
    lost = [
        sorted(museum.rglob("images/*/*/01.jpg"))[0],
        sorted(museum.rglob("*.npz"))[-1],
        sorted(museum.rglob("masks/*/*/*.png"))[1],
    ]
    kept = sorted(museum.rglob("images/*/*/02.jpg"))[0]
    stamp = kept.stat().st_mtime_ns
    for path in lost:
        path.unlink()
    render_museum(museum, TINY, seed=0, threads=2)
    assert {k: v for k, v in files(museum).items() if k.endswith("jpg")} == {
        k: v for k, v in before.items() if k.endswith("jpg")
    }
    assert files(museum).keys() == before.keys()
    assert kept.stat().st_mtime_ns == stamp


def test_killed_run_goes_on_to_the_same_museum(tiny, tmp_path):
    museum = tmp_path / "m"
    command = [sys.executable, "-m", "liftnet", "render", "museum", "--out", str(museum), "--threads", "1", *FLAGS]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 120
        while not list(museum.rglob("images/*/*/*.jpg")) and time.monotonic() < limit:
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (museum / "sources.csv").exists()  # the mark of completion
    assert len(list(museum.rglob("images/*/*/*.jpg"))) >= 1
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "8 views of 4 works by 2 artists" in done.stderr.splitlines()[-1]
    assert pictures(museum) == pictures(tiny)


def test_changed_settings_render_anew(tiny, tmp_path):
    museum = tmp_path / "m"
    render_museum(museum, TINY, seed=0, threads=2)
    smaller = TINY.model_copy(update={"views_per_work": 1, "faults": False, "manual_mask_fraction": 0.0})
    render_museum(museum, smaller, seed=0, threads=2)
    assert len(list(museum.rglob("*.jpg"))) == len(list(museum.rglob("*.npz"))) == 4
    assert not list(museum.rglob("*.png"))


def test_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.jpg").write_bytes(b"precious")
    with pytest.raises(LiftnetError, match="not of a museum"):
        render_museum(tmp_path, TINY, seed=0, threads=1)
    assert (tmp_path / "images" / "mine.jpg").read_bytes() == b"precious"


def test_file_in_the_place_of_the_folder_is_one_plain_line(tmp_path):
    (tmp_path / "m").write_text("a file")
    run = [sys.executable, "-m", "liftnet", "render", "museum", "--out", str(tmp_path / "m"), *FLAGS]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a file stands where a folder is needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_impossible_setting_names_its_flag(tmp_path):
    run = [
        sys.executable,
        "-m",
        "liftnet",
        "render",
        "museum",
        "--out",
        str(tmp_path / "m"),
        "--manual-mask-fraction",
        "2",
    ]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--manual-mask-fraction" in done.stderr
    assert not (tmp_path / "m").exists()
