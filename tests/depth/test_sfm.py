import shutil

import numpy as np
import pandas as pd
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.data.masks import write_mask
from liftnet.data.pictures import write_image
from liftnet.data.schemas import MANIFEST, SFM, TRUTH, read_table, write_table
from liftnet.data.truth import TrueView, load_truth, save_truth, truth_files
from liftnet.depth import sfm as sfm
from liftnet.depth.settings import SfmSettings
from liftnet.depth.sfm import (
    SfmInputs,
    SfmModel,
    list_works,
    load_pycolmap,
    reconstruct_works,
    sfm_table,
    sparse_depth,
)
from liftnet.geometry.cameras import Camera

SIDE = 320
SETTINGS = SfmSettings()


def texture(u, v, seed):
    """Blobs of many sizes over the plane of (u, v), in [0, 255]."""
    rng = np.random.default_rng(seed)
    value = np.zeros_like(u)
    for _ in range(500):
        centre, width = rng.uniform(-1.2, 1.2, 2), rng.uniform(0.012, 0.05)
        value += rng.choice([-1, 1]) * np.exp(-((u - centre[0]) ** 2 + (v - centre[1]) ** 2) / (2 * width**2))
    return (128 + 70 * value).clip(0, 255)


def corner_view(azimuth, seed):
    """Two textured walls that meet in an edge towards the camera, by intersecting each ray with both."""
    focal = 1.7 * SIDE
    k = np.array([[focal, 0, (SIDE - 1) / 2], [0, focal, (SIDE - 1) / 2], [0, 0, 1]])
    c, s = np.cos(azimuth), np.sin(azimuth)
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    camera = Camera(k, rotation, np.array([0, 0, 3.2]))
    y, x = np.indices((SIDE, SIDE)).astype(float)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(k).T @ rotation
    eye = -rotation.T @ camera.translation
    depth, grey = np.full((SIDE, SIDE), np.inf), np.full((SIDE, SIDE), 20.0)
    for number, normal in enumerate(([0.5, 0, -0.866], [-0.5, 0, -0.866])):
        normal = np.array(normal)
        distance = -(eye @ normal + 0.2) / (rays @ normal)  # the plane normal . X = -.2
        point = eye + distance[..., None] * rays
        across = point @ np.cross(normal, [0, 1, 0])
        side = point[..., 0] * (1 if number == 0 else -1)
        hit = (distance > 0) & (distance < depth) & (side >= 0) & (np.abs(point[..., 1]) < 1) & (np.abs(across) < 1)
        depth[hit] = distance[hit]
        grey[hit] = texture(across[hit], point[..., 1][hit], seed + number)
    return grey.astype(np.uint8), np.where(np.isfinite(depth), depth, np.nan).astype(np.float32), camera


@pytest.fixture(scope="module")
def walls(tmp_path_factory):
    """A run of one work that COLMAP can reconstruct, seen from five sides, and one of blank images."""
    root = tmp_path_factory.mktemp("walls")
    manifest, truths = [], []
    for work in ("walls", "blank"):
        for number, azimuth in enumerate(np.radians([-18, -9, 0, 9, 18])):
            grey, depth, camera = corner_view(azimuth, 7)
            grey = grey if work == "walls" else np.full_like(grey, 90)
            image_id, url = f"{work}{number}", f"images/{work}{number}.png"
            write_image(root / url, np.repeat(grey[..., None], 3, 2))
            write_mask(root / "masks" / f"{image_id}.png", np.isfinite(depth))
            (root / "true").mkdir(exist_ok=True)
            save_truth(root / "true" / f"{image_id}.npz", TrueView(depth, camera))
            names = {"artist_id": "a", "work_id": work, "image_url": url}
            truths.append({**names, "truth": f"{image_id}.npz"})
            size = {"width": SIDE, "height": SIDE, "split": "train", "status": "ok"}
            manifest.append({**names, **size, "image_id": image_id, "file": f"{image_id}.png"})
    write_table(root / "manifest.parquet", manifest, MANIFEST)
    write_table(root / "true" / "truth.parquet", truths, TRUTH)
    return root


def inputs(root, out, threads=1, truth="true"):
    return SfmInputs(root, out, out / "tables", ("train", "val"), truth and root / truth, threads)


@pytest.fixture(scope="module")
def reconstructed(walls, tmp_path_factory):
    pytest.importorskip("pycolmap")
    out = tmp_path_factory.mktemp("sfm")
    reconstruct_works(inputs(walls, out), SETTINGS, 0)
    return out


@pytest.mark.slow
def test_colmap_finds_the_true_depth_of_a_work_and_names_the_one_it_cannot_do(walls, reconstructed):
    works = read_table(reconstructed / "works.parquet", SFM).to_pandas().set_index("work_id")
    assert works.loc["walls", "status"] == "ok"
    assert works.loc["walls", "n_registered"] >= 4
    assert works.loc["walls", "correlation"] > 0.98
    assert works.loc["walls", "relative_error"] < 0.2
    assert works.loc["blank", "status"] == "no_model"
    files = truth_files(reconstructed)
    assert len(files) == works.loc["walls", "n_registered"]
    for url, path in files.items():
        view = load_truth(path)
        true = load_truth(walls / "true" / f"{url[7:-4]}.npz").depth
        assert view.depth.shape == true.shape
        assert 20 < view.mask.sum() < 0.2 * view.mask.size
        assert (view.mask & np.isfinite(true)).sum() > 0.9 * view.mask.sum()  # features on the mask alone
    table = pd.read_csv(reconstructed / "tables" / "sfm.csv")
    assert table["failed_share"].tolist() == [0.5]
    assert table["works"].tolist() == [2]


def test_points_are_where_the_camera_says(reconstructed):
    """A point of one view, through the reconstructed cameras, meets a point of another view."""
    views = [load_truth(path) for path in truth_files(reconstructed).values()]
    first, second = views[0], views[1]
    rows, columns = np.nonzero(first.mask)
    world = first.camera.unproject(np.stack([columns, rows], 1).astype(float), first.depth[rows, columns])
    moved, depth = second.camera.project(world)
    near = np.rint(moved).astype(int)
    inside = ((near >= 2) & (near < SIDE - 2)).all(1)
    agree = []
    for (x, y), z in zip(near[inside], depth[inside], strict=True):
        around = second.depth[y - 2 : y + 3, x - 2 : x + 3]
        if np.isfinite(around).any():
            agree.append(np.nanmin(np.abs(around - z)) / z)
    assert len(agree) > 20
    assert np.median(agree) < 0.01


def test_threads_and_a_second_run_change_nothing(walls, reconstructed, tmp_path, monkeypatch):
    reconstruct_works(inputs(walls, tmp_path, threads=2), SETTINGS, 0)
    assert _contents(tmp_path) == _contents(reconstructed)
    before = _contents(tmp_path)
    monkeypatch.setattr(sfm, "reconstruct", None)  # a work that is done is not done again
    (tmp_path / "truth.parquet").unlink()
    reconstruct_works(inputs(walls, tmp_path), SETTINGS, 0)
    assert _contents(tmp_path) == before
    with pytest.raises(TypeError):  # other settings are another run
        reconstruct_works(inputs(walls, tmp_path), SfmSettings(min_images=4), 0)


def _contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def model(names, points=10):
    depth = np.full((4, 4), np.nan, np.float32)
    depth[1, 2] = points
    view = TrueView(depth, Camera(np.eye(3), np.eye(3), np.zeros(3)))
    return SfmModel(dict.fromkeys(names, view), points, 0.5)


def test_models_that_are_too_small_and_failures_of_colmap_are_rows(walls, tmp_path, monkeypatch):
    models = [model(["walls0", "walls1", "walls2"], 30), model(["walls2", "walls3", "walls4"], 20), model(["walls4"])]

    def reconstruct(pycolmap, images, seed):
        if images[0].image_id.startswith("blank"):
            raise RuntimeError("database is locked")
        return models

    monkeypatch.setattr(sfm, "reconstruct", reconstruct)
    monkeypatch.setattr(sfm, "load_pycolmap", lambda: type("Pycolmap", (), {"__version__": "0"}))
    reconstruct_works(inputs(walls, tmp_path, truth=None), SETTINGS, 0)
    works = read_table(tmp_path / "works.parquet", SFM).to_pandas().set_index("work_id")
    assert works.loc["blank", ["status", "reason"]].tolist() == ["colmap_failed", "COLMAP stopped: database is locked"]
    assert works.loc["walls", ["n_models", "n_registered", "n_points"]].tolist() == [3, 3, 30]
    depths = {url[7:-4]: np.nanmax(load_truth(path).depth) for url, path in truth_files(tmp_path).items()}
    assert depths == {"walls0": 30, "walls1": 30, "walls2": 30, "walls3": 20, "walls4": 20}  # the larger model first
    shutil.rmtree(tmp_path / "journal")
    reconstruct_works(inputs(walls, tmp_path, truth=None), SfmSettings(min_images=4), 0)
    works = read_table(tmp_path / "works.parquet", SFM).to_pandas().set_index("work_id")
    assert works.loc["walls", "status"] == "too_few_images"
    assert "3 images, fewer than 4" in works.loc["walls", "reason"]
    assert truth_files(tmp_path) == {}


def test_the_nearest_point_of_a_pixel_counts_and_points_behind_the_camera_do_not():
    pixels = np.array([[1.2, 2.4], [0.8, 1.6], [3.0, 0.0], [9.0, 0.0], [0.0, 0.0]])
    depth = sparse_depth(pixels, np.array([5.0, 4.0, 2.0, 1.0, -1.0]), (3, 5))
    assert depth[2, 1] == 4
    assert depth[0, 3] == 2
    assert np.isfinite(depth).sum() == 2
    assert depth.dtype == np.float32


def test_table_counts_failures_by_split():
    works = pd.DataFrame(
        {
            "split": ["train", "train", "train", "val"],
            "status": ["ok", "no_model", "too_few_images", "ok"],
            "n_images": [10, 10, 10, 4],
            "n_models": [2, 0, 1, 1],
            "n_registered": [4, 0, 2, 4],
            "n_points": [100, 0, 9, 50],
        }
    )
    table = sfm_table(works, measured=False).set_index("split")
    assert table.index.tolist() == ["train", "val", "all"]
    assert table["failed"].tolist() == [2, 0, 2]
    assert table["failed_share"].tolist() == pytest.approx([2 / 3, 0, 0.5])
    assert table["no_model_share"].tolist() == pytest.approx([1 / 3, 0, 0.25])
    assert table["below_half_share"].tolist() == pytest.approx([1, 0, 0.75])
    assert table["registered_share"].tolist() == pytest.approx([4 / 30, 1, 8 / 34])


def test_missing_works_and_a_missing_pycolmap_are_named(walls, monkeypatch):
    with pytest.raises(LiftnetError, match=r"manifest\.parquet: has no work in the splits test"):
        list_works(walls, ("test",), True)
    monkeypatch.setitem(__import__("sys").modules, "pycolmap", None)
    with pytest.raises(LiftnetError, match=r"pycolmap: cannot be imported.*liftnet\[colmap\]"):
        load_pycolmap()
