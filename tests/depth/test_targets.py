import numpy as np
import pytest
import torch

from liftnet.data.schemas import TRUTH, read_table, write_table
from liftnet.data.truth import TrueView, load_truth, save_truth
from liftnet.depth.augment import Augmentation, change_images, draw_changes
from liftnet.depth.crops import (
    VIEWING_DISTANCE,
    CropStore,
    TargetStore,
    change_targets,
    is_sparse,
    scatter_depth,
    target_crop,
    true_crop,
)
from liftnet.geometry.cameras import Camera
from liftnet.models.depth_input import CropBox
from liftnet.models.depth_networks import InputSettings

OPTIONS = InputSettings(image_size=64)
BOX = CropBox(-5, 3, 40)


def camera(focal=80.0):
    return Camera(np.array([[focal, 0, 20], [0, focal, 20], [0, 0, 1.0]]), np.eye(3), np.zeros(3))


def sparse_map(rng, count=60, shape=(60, 50)):
    depth = np.full(shape, np.nan, np.float32)
    depth[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = rng.uniform(2, 3, count)
    return depth


@pytest.mark.parametrize("size", [16, 64])
def test_scattered_depth_is_what_a_loop_over_points_gives(size):
    depth = sparse_map(np.random.default_rng(0), 400)
    expected = np.full((size, size), np.nan)
    for row, column in zip(*np.nonzero(np.isfinite(depth)), strict=True):
        x, y = np.rint(BOX.to_crop(np.array([column, row], float), size)).astype(int)
        if 0 <= x < size and 0 <= y < size:
            expected[y, x] = np.nanmin([expected[y, x], depth[row, column]])
    np.testing.assert_array_equal(scatter_depth(depth, BOX, size), expected)
    assert np.isfinite(expected).sum() > 20


def test_sparse_points_are_kept_where_reading_at_pixel_centres_would_miss_them():
    rng = np.random.default_rng(1)
    view = TrueView(sparse_map(rng, 80, (400, 400)), camera())
    box = CropBox(0, 0, 400)
    assert is_sparse(view.depth)
    kept, read = target_crop(view, box, 32), true_crop(view, box, 32)
    assert np.isfinite(kept).sum() > 70
    assert np.isfinite(read).sum() < 10
    assert np.nanmedian(kept) == pytest.approx(VIEWING_DISTANCE)


def test_sparse_and_dense_depth_of_one_surface_have_the_same_unit(run_views):
    """Depth at a third of the pixels, against all of them: equal up to the median that each has of its own."""
    truth = run_views[0].truth
    points = np.random.default_rng(2).random(truth.depth.shape) < 0.3
    sparse = TrueView(np.where(points, truth.depth, np.nan), truth.camera)
    assert is_sparse(sparse.depth)
    assert not is_sparse(truth.depth)
    box = CropBox(0, 0, 96)
    kept, dense = target_crop(sparse, box, 96), target_crop(truth, box, 96)
    difference = (kept - dense)[np.isfinite(kept)]
    assert len(difference) > 200
    assert np.ptp(difference) < 0.02
    assert abs(difference.mean()) < 0.05


def test_targets_have_the_rows_of_the_crops_and_name_what_they_cannot_use(run_folder, run_views, tmp_path):
    ids = [view.image_id for view in run_views[:4]]
    store = CropStore(run_folder, ids, OPTIONS)
    rows = read_table(run_folder / "museum" / "truth.parquet", TRUTH).to_pylist()
    truths = {row["image_url"]: row for row in rows}
    kept = []
    for view, kind in zip(run_views[:3], ("fine", "small", "damaged"), strict=True):
        path = tmp_path / f"{view.image_id}.npz"
        truth = view.truth if kind == "fine" else TrueView(view.truth.depth[::2, ::2], view.truth.camera)
        save_truth(path, truth)
        if kind == "damaged":
            path.write_bytes(path.read_bytes()[:100])
        kept.append(truths[f"images/{view.image_id}.png"] | {"truth": path.name})
    write_table(tmp_path / "truth.parquet", kept, TRUTH)
    targets = TargetStore(tmp_path, store)
    first = store.index[ids[0]]
    expected = true_crop(load_truth(tmp_path / f"{ids[0]}.npz"), store.boxes[first], 64)
    np.testing.assert_allclose(targets.values[first], expected, rtol=1e-6)
    assert targets.known[first] == np.isfinite(expected).sum() > 500
    assert set(targets.failed) == {ids[1], ids[2]}
    assert "48x48 pixels of depth, its image has 96x96" in targets.failed[ids[1]]
    assert (np.delete(targets.known, first) == 0).all()
    assert np.isnan(targets.values[store.index[ids[3]]]).all()


def test_targets_beyond_the_cache_lie_in_a_scratch_file_and_are_the_same(run_folder, run_views, tmp_path):
    store = CropStore(
        run_folder,
        [view.image_id for view in run_views],
        InputSettings(image_size=256),
    )
    memory = TargetStore(run_folder / "museum", store)
    disk = TargetStore(run_folder / "museum", store, threads=2, cache_mb=1, scratch=tmp_path)
    assert isinstance(disk.values, np.memmap)
    np.testing.assert_array_equal(memory.values, disk.values)
    assert not list(tmp_path.iterdir())


def test_targets_move_with_their_images():
    """The target is the image's red channel, with a frame that is unknown: after any change it still is."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    smooth = torch.sin(columns / 9) + torch.cos(rows / 7) + 2
    images = smooth.expand(6, 3, 64, 64).clone()
    targets = smooth.expand(6, 64, 64).clone()
    targets[:, :8] = torch.nan
    changes = draw_changes(Augmentation(True, 25.0, 0.2), 6, np.random.default_rng(0))
    moved, images = change_targets(targets, changes), change_images(images, changes)
    known = torch.isfinite(moved)
    assert 0.4 < known.float().mean() < 1
    assert (moved - images[:, 0])[known].abs().max() < 0.2  # half a pixel of the steepest slope
    assert (moved - images[:, 0])[known].abs().mean() < 0.06
    shrunk = change_targets(torch.ones(1, 64, 64), changes._replace(matrix=torch.eye(2)[None] * 0.5))
    assert torch.isfinite(shrunk).sum() == 32 * 32  # what comes in from outside is unknown
