import numpy as np
import pytest
import torch

from liftnet.depth.augment import (
    Augmentation,
    Changes,
    change_images,
    draw_changes,
    move_points,
    warp,
)
from liftnet.depth.crops import CropStore
from liftnet.depth.pairs import Batch, PairLoader, PairTable, sample_depth, sample_depth_by_index
from liftnet.depth.reprojection import correspondence_loss
from liftnet.learn.task import epoch_order
from liftnet.models.depth_input import (
    CropBox,
    box_around,
    box_of_image,
    cut,
    cut_input,
    cut_mask,
    cut_nearest,
    network_input,
)
from liftnet.models.depth_networks import InputSettings

OPTIONS = InputSettings(image_size=64, background="keep")


def image_with_dot(x, y, height=120, width=90):
    image = np.zeros((height, width, 3), np.uint8)
    image[y, x] = 255
    return image


def centre_of_light(image):
    weight = image.astype(float).reshape(*image.shape[:2], -1).sum(2)
    rows, columns = np.indices(weight.shape)
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize("box", [CropBox(10, 20, 64), CropBox(-15, -7, 128), CropBox(3, 5, 40), CropBox(0, 0, 96)])
def test_a_dot_drawn_in_the_image_lands_where_to_crop_says(box):
    x, y = 30, 40
    crop = cut(image_with_dot(x, y), box, 64)
    expected = box.to_crop(np.array([x, y]), 64)
    np.testing.assert_allclose(centre_of_light(crop), expected, atol=0.3)
    np.testing.assert_allclose(box.to_image(expected, 64), [x, y])


def test_box_is_the_square_around_the_mask_with_its_margin():
    mask = np.zeros((100, 80), bool)
    mask[10:50, 30:50] = True  # 40 high, 20 wide, centred at row 30, column 40
    assert box_around(mask, 0.1) == CropBox(16, 6, 48)
    assert box_around(np.zeros((100, 80), bool), 0.1) == box_of_image((100, 80, 3)) == CropBox(-10, 0, 100)


def test_mask_and_values_are_empty_beyond_the_image():
    box = CropBox(-16, 0, 32)
    mask = cut_mask(np.ones((32, 40), bool), box, 32)
    assert not mask[:, :16].any()
    assert mask[:, 16:].all()
    values = cut_nearest(np.arange(32 * 40.0).reshape(32, 40), box, 32)
    assert np.isnan(values[:, :16]).all()
    np.testing.assert_array_equal(values[3, 16:20], [120, 121, 122, 123])


def test_grey_background_hides_what_is_off_the_mask():
    image = np.full((64, 64, 3), 200, np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    crop, small, _ = cut_input(image, mask, InputSettings(crop="full", background="grey"))
    assert (crop[~small] == 128).all()
    assert (crop[small] == 200).all()
    assert (cut_input(image, mask, InputSettings(crop="full", background="keep"))[0] == 200).all()


def test_store_reads_crops_and_names_what_it_cannot_read(run_folder, run_views, tmp_path):
    root = tmp_path
    for name in ("manifest.parquet", "masks"):
        (root / name).symlink_to(run_folder / name)
    (root / "images").mkdir()
    for view in run_views:
        (root / "images" / f"{view.image_id}.png").symlink_to(run_folder / "images" / f"{view.image_id}.png")
    broken, missing, fine = (view.image_id for view in run_views[:3])
    (root / "images" / f"{broken}.png").unlink()
    (root / "images" / f"{broken}.png").write_bytes(b"<html>not found</html>")
    (root / "images" / f"{missing}.png").unlink()
    store = CropStore(root, [broken, missing, fine, "not-in-the-manifest"], OPTIONS)
    assert set(store.failed) == {broken, missing, "not-in-the-manifest"}
    assert "an HTML page" in store.failed[broken]
    assert fine in store
    assert len(store) == 1
    assert store.masks[0].mean() > 0.2


def test_crops_beyond_the_cache_lie_in_a_scratch_file_and_are_the_same(run_folder, run_views, tmp_path):
    ids = [view.image_id for view in run_views] * 2
    options = InputSettings(image_size=256, background="keep")
    memory = CropStore(run_folder, ids, options)
    disk = CropStore(run_folder, ids, options, threads=2, cache_mb=1, scratch=tmp_path)
    assert isinstance(disk.images, np.memmap)
    np.testing.assert_array_equal(memory.images, disk.images)
    assert not list(tmp_path.iterdir())


def test_an_epoch_shows_each_pair_in_both_directions_once_and_keeps_row_groups_together():
    groups = [0] * 30 + [1] * 20 + [2] * 25
    order = epoch_order(groups, seed=1, epoch=0, window=1)
    assert len(order) == 150
    assert len(np.unique(order, axis=0)) == 150
    visited = np.array(groups)[order[:, 0]]
    assert (np.diff(visited) != 0).sum() == 2
    np.testing.assert_array_equal(order, epoch_order(groups, seed=1, epoch=0, window=1))
    assert (order != epoch_order(groups, seed=1, epoch=1, window=1)).any()
    mixed = np.array(groups)[epoch_order(groups, seed=1, epoch=0, window=8)[:, 0]]
    assert (np.diff(mixed) != 0).sum() > 50


@pytest.fixture(scope="module")
def loader(run_folder):
    table = PairTable(run_folder / "dataset", "train")
    store = CropStore(run_folder, [i for row in table.rows for i in (row.image_a, row.image_b)], OPTIONS)
    return PairLoader(table, table.rows, store, limit=50, augmentation=Augmentation())


def test_batch_maps_true_correspondences_into_each_image_s_own_crop(loader, run_views):
    """A point of the batch, taken back to its image and through the true geometry, meets its partner."""
    views = {view.image_id: view for view in run_views}
    chosen = np.array([[0, 0], [0, 1], [4, 1]])
    batch = loader.batch(chosen, seed=0)
    assert batch.images.shape == (3, 64, 64, 3)
    assert batch.mask.sum(1).tolist() == [50, 50, 50]
    for k, (index, direction) in enumerate(chosen.tolist()):
        row = loader.rows[index]
        source, target = (row.image_b, row.image_a) if direction else (row.image_a, row.image_b)
        box_s, box_t = (loader.store.boxes[loader.store.index[i]] for i in (source, target))
        pixels = box_s.to_image(batch.source_xy[k].numpy(), 64)
        near = np.rint(pixels).astype(int)
        depth = views[source].truth.depth[near[:, 1], near[:, 0]]
        known = np.isfinite(depth)
        world = views[source].truth.camera.unproject(pixels[known], depth[known])
        expected = box_t.to_crop(views[target].truth.camera.project(world)[0], 64)
        error = np.linalg.norm(batch.target_xy[k].numpy()[known] - expected, axis=1)
        assert np.median(error) < 0.3


def test_correspondences_beyond_the_limit_are_drawn_anew_from_the_seed(loader):
    chosen = np.array([[1, 0]])
    first, again, other = (loader.batch(chosen, seed) for seed in (0, 0, 1))
    assert torch.equal(first.source_xy, again.source_xy)
    assert not torch.equal(first.source_xy, other.source_xy)


def test_pairs_with_an_unreadable_image_are_dropped(loader):
    class Without:
        def __contains__(self, image_id):
            return image_id != loader.rows[0].image_a

    rest = PairLoader(loader.table, loader.rows, Without(), 50, Augmentation())
    assert 0 < len(rest.rows) < len(loader.rows)
    assert loader.rows[0] not in rest.rows


def test_fixed_correspondences_are_the_same_each_time_and_the_first_of_more(loader):
    few, many = (
        PairLoader(loader.table, loader.rows, loader.store, limit, Augmentation(), fixed=True) for limit in (10, 30)
    )
    chosen = np.array([[1, 0], [1, 1]])
    first, other = few.batch(chosen, 0), few.batch(chosen, 1)
    assert torch.equal(first.source_xy, other.source_xy)
    assert torch.equal(first.source_xy[0], first.target_xy[1])
    torch.testing.assert_close(many.batch(chosen, 2).source_xy[:, :10], first.source_xy)


def dots():
    points = torch.tensor([[[20.0, 30.0], [40.0, 35.0], [31.0, 12.0]]]).repeat(4, 1, 1)
    return torch.zeros(4, 64, 64, 3, dtype=torch.uint8), points


@pytest.mark.parametrize(
    "options",
    [Augmentation(flip=True), Augmentation(rotation=40), Augmentation(zoom=0.3), Augmentation(True, 30, 0.2)],
)
def test_geometric_augmentation_moves_image_and_correspondences_together(options):
    pixels, points = dots()
    for k in range(4):
        x, y = points[k, 0].long().tolist()
        pixels[k, y - 1 : y + 2, x - 1 : x + 2] = 255
    changes = draw_changes(options, 4, np.random.default_rng(3))
    images, moved, mask = Batch(pixels, points, points + 3, torch.ones(4, 3, dtype=torch.bool), changes).augmented()
    assert not torch.allclose(moved, points)
    assert mask.all()
    for k in range(4):
        light = centre_of_light(images[k].permute(1, 2, 0).numpy() + 1)
        np.testing.assert_allclose(light, moved[k, 0].numpy(), atol=0.25)


def test_correspondences_that_leave_the_image_are_masked_out():
    points = torch.tensor([[[1.0, 1.0], [32.0, 32.0], [62.0, 5.0]]]).repeat(4, 1, 1)
    changes = draw_changes(Augmentation(rotation=45), 4, np.random.default_rng(0))
    moved, mask = move_points(points, torch.ones(4, 3, dtype=torch.bool), 64, changes)
    outside = ((moved < -0.5) | (moved > 63.5)).any(2)
    assert outside.any()
    assert torch.equal(mask, ~outside)


def test_no_changes_leave_everything_as_it_is():
    pixels, points = dots()
    mask = torch.ones(4, 3, dtype=torch.bool)
    images, moved, kept = Batch(pixels, points, points, mask, draw_changes(Augmentation(), 4, None)).augmented()
    assert torch.equal(images, network_input(pixels))
    assert torch.equal(moved, points)
    assert torch.equal(kept, mask)


def test_mirrored_depth_keeps_the_loss():
    g = torch.Generator().manual_seed(0)
    depth, points = torch.randn(2, 64, 64, generator=g), torch.rand(2, 50, 2, generator=g) * 60 + 2
    target, mask = torch.rand(2, 50, 2, generator=g) * 64, torch.ones(2, 50, dtype=torch.bool)
    mirror = torch.tensor([[-1.0, 0], [0, 1]]).expand(2, 2, 2)
    mirrored_points, _ = move_points(points, mask, 64, Changes(mirror))
    torch.testing.assert_close(warp(depth[:, None], mirror)[:, 0], depth.flip(2), atol=1e-4, rtol=1e-4)
    losses = [
        correspondence_loss(xy, sample_depth(d, xy), target, mask, 20.0, 20.0, torch.Generator().manual_seed(0))
        for xy, d in ((points, depth), (mirrored_points, depth.flip(2)))
    ]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-3, atol=1e-3)


def test_colour_jitter_changes_colours_alone():
    images = torch.rand(4, 3, 64, 64) * 2 - 1
    changes = draw_changes(Augmentation(colour_jitter=0.3), 4, np.random.default_rng(0))
    assert changes.matrix is None
    changed = change_images(images, changes)
    assert not torch.equal(changed, images)
    assert changed.abs().max() <= 1
    # where nothing is clipped, each channel is an affine function of what it was
    inside = changed[0, 0].abs() < 1
    slope, offset = np.polyfit(images[0, 0][inside].numpy(), changed[0, 0][inside].numpy(), 1)
    np.testing.assert_allclose(changed[0, 0][inside], slope * images[0, 0][inside] + offset, atol=1e-5)


def test_depth_by_lookup_equals_depth_by_grid_sample_in_values_and_gradients():
    g = torch.Generator().manual_seed(0)
    depth = torch.randn(2, 16, 16, generator=g, dtype=torch.float64)
    points = torch.rand(2, 200, 2, generator=g, dtype=torch.float64) * 18 - 1
    points[0, 0], points[0, 1] = torch.tensor([0.0, 15.0]), torch.tensor([15.0, 15.0])
    weight = torch.randn(2, 200, generator=g, dtype=torch.float64)
    found = []
    for sample in (sample_depth, sample_depth_by_index):
        leaf = depth.clone().requires_grad_()
        values = sample(leaf, points)
        (values * weight).sum().backward()
        found.append((values.detach(), leaf.grad))
    torch.testing.assert_close(found[0], found[1])


def test_sampled_depth_is_bilinear_between_pixel_centres():
    depth = torch.arange(64.0).repeat(64, 1)[None] + 100 * torch.arange(64.0)[None, :, None]
    points = torch.tensor([[[3.0, 5.0], [10.25, 7.5], [63.0, 63.0]]])
    torch.testing.assert_close(
        sample_depth(depth, points), torch.tensor([[503.0, 760.25, 6363.0]]), rtol=1e-5, atol=0.01
    )
