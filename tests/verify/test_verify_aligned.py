"""Matches of the second search are laid on the pictures: they move to where they belong, or go."""

import numpy as np
import pytest

from liftnet.core.settings import changed
from liftnet.data.features import Features, write_features
from liftnet.data.pictures import write_image
from liftnet.data.schemas import PAIRS, read_table
from liftnet.verify.inputs import PictureFolder
from liftnet.verify.settings import VerifySettings
from liftnet.verify.truth import transfer_errors
from liftnet.verify.verify import verify_matches

SETTINGS = VerifySettings()
RECIPE = "opencv-test"
WAVES = np.random.default_rng(0).normal(size=(80, 3)) * 18
PHASES = np.random.default_rng(1).uniform(0, 2 * np.pi, 80)


def painted(view):
    """The picture of a view whose surface is painted: the same colour wherever it is seen from."""
    rows, columns = np.nonzero(view.mask)
    world = view.camera.unproject(np.column_stack([columns, rows]).astype(float), view.depth[rows, columns])
    picture = np.full(view.mask.shape, 60.0)
    picture[rows, columns] = 128 + 60 * np.cos(world @ WAVES.T + PHASES).sum(axis=1) / np.sqrt(40)
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def scene(run, tools):
    """400 points of two painted balls in v0 and v1, found .7 px off in v1, of which the first 120 are matched."""
    rng = np.random.default_rng(0)
    a, b = tools.matches(run.views["v0"], run.views["v1"], 400, rng)
    angle = rng.uniform(0, 2 * np.pi, 400)
    b = b + 0.7 * np.column_stack([np.cos(angle), np.sin(angle)])
    values = rng.gamma(0.5, size=(400, 128))
    descriptors = np.minimum(512 * np.sqrt(values / values.sum(axis=1, keepdims=True)), 255).astype(np.uint8)
    for name in ("v0", "v1"):
        write_image(run.root / f"images/{name}.jpg", painted(run.views[name]), quality=98)
    return a.astype(np.float32), b.astype(np.float32), descriptors


def verified(run, tools, scene, settings=SETTINGS, known=120):
    a, b, descriptors = scene
    for name, points in (("v0", a), ("v1", b)):
        ones = np.ones(len(points), np.float32)
        features = Features(points, ones, 0 * ones, descriptors)
        write_features(run.root / f"features/{RECIPE}/{name}.safetensors", features, {})
    matches = run.match("balls", [{**tools.row("v0", "v1", a[:known], b[:known]), "features": RECIPE}])
    verify_matches(run.root, matches, run.root / "pairs" / "balls.parquet", settings)
    return read_table(run.root / "pairs" / "balls.parquet", PAIRS).to_pylist()[0]


def points_of(row):
    return np.column_stack([row["x1"], row["y1"]]), np.column_stack([row["x2"], row["y2"]])


def errors(run, row):
    return transfer_errors(run.views["v0"], run.views["v1"], *points_of(row))[0]


def test_correspondences_move_to_where_they_belong(run, tools, scene):
    plain = verified(run, tools, scene, changed(SETTINGS, **{"guided.align.pictures": False}))
    row = verified(run, tools, scene)
    assert (row["kept"], row["second_search"]) == (True, "done")
    assert row["n_correspondences"] == len(row["x1"]) > 250
    assert np.median(errors(run, plain)) > 0.6
    assert np.median(errors(run, row)) < 0.2
    shift = np.column_stack([row["shift_x"], row["shift_y"]])
    keypoints = points_of(row)[1] - shift
    assert np.abs(keypoints[:, None] - scene[1]).max(axis=2).min(axis=1).max() < 1e-3
    assert 0 <= min(row["misfit"]) <= max(row["misfit"]) < SETTINGS.guided.align.max_misfit
    assert np.isinf(plain["misfit"]).all()
    assert not np.any(plain["shift_x"])
    assert row["n_guided"] == sum(row["guided"]) < row["n_correspondences"]


def test_a_lower_bound_of_the_misfit_needs_no_new_run(run, tools, scene):
    row = verified(run, tools, scene)
    strict = verified(run, tools, scene, changed(SETTINGS, max_misfit=0.5))
    kept = np.array(row["misfit"]) < 0.5
    assert 20 < kept.sum() < len(kept)
    assert np.array(strict["x2"]) == pytest.approx(np.array(row["x2"])[kept])


def test_matches_that_the_pictures_contradict_go(run, tools, scene):
    """Half of the surface is painted over in v1: what the descriptors say of it is not believed."""
    painted_over = painted(run.views["v1"])
    over = np.arange(painted_over.shape[1]) > scene[1][:, 0].mean()
    noise = np.random.default_rng(7).integers(0, 256, painted_over.shape[:2]).astype(np.uint8)
    painted_over[:, over] = noise[:, over, None]
    write_image(run.root / "images/v1.jpg", painted_over, quality=98)
    row = verified(run, tools, scene)
    x = np.array(row["x2"])
    assert len(x) > 80
    assert np.mean(x > scene[1][:, 0].mean() + 3) < 0.02


@pytest.mark.parametrize("picture", ["missing", "damaged", "of another size"])
def test_without_pictures_the_stricter_search_decides_and_the_log_says_so(run, tools, scene, caplog, picture):
    path = run.root / "images/v1.jpg"
    if picture == "missing":
        path.unlink()
    elif picture == "damaged":
        path.write_bytes(path.read_bytes()[:500])
    else:
        write_image(path, np.zeros((30, 40, 3), np.uint8))
    row = verified(run, tools, scene)
    plain = verified(run, tools, scene, changed(SETTINGS, **{"guided.align.pictures": False}))
    assert (row["second_search"], plain["second_search"]) == ("not_aligned", "done")
    assert points_of(row)[1] == pytest.approx(points_of(plain)[1])
    assert "1 images were not aligned" in caplog.text
    assert "v1.jpg" in caplog.text


def test_a_pair_of_which_too_few_are_confirmed_keeps_its_first_matches(run, tools, scene):
    """Another picture altogether: every match is contradicted, and the pair had passed every question before."""
    noise = np.random.default_rng(8).integers(0, 256, (*run.views["v1"].mask.shape, 3)).astype(np.uint8)
    write_image(run.root / "images/v1.jpg", noise)
    row = verified(run, tools, scene)
    first = verified(run, tools, scene, changed(SETTINGS, search=False))
    assert (row["kept"], row["second_search"], row["n_guided"]) == (True, "too_few", 0)
    assert row["x2"] == first["x2"]
    assert row["n_correspondences"] == row["n_inliers"]


def test_each_picture_is_read_once(run, scene, monkeypatch):
    read = []
    monkeypatch.setattr(
        "liftnet.verify.inputs.read_grey", lambda path: read.append(path) or np.zeros((300, 400), np.uint8)
    )
    from liftnet.data.manifest import stored_images

    images, folder = stored_images(run.root), PictureFolder(run.root / "images")
    for _ in range(3):
        assert folder.of_pair(images["v0"], images["v1"]) is not None
    assert len(read) == 2
