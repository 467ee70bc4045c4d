"""The four names for notebooks, on two views of a textured thing, a small dataset, a small model and boxes."""

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from run_folder import run_folder, run_views, with_images
from torch.utils.data import DataLoader

import liftnet.api
from liftnet.api import PairDataset, collate_pairs, drkfs, match_images, predict_depth
from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.data.codes import PairReason
from liftnet.data.dataset import read_pairs
from liftnet.drkfs import MetricSettings
from liftnet.mesh.mesh import BadMeshError
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, save_model

__all__ = ["run_folder", "run_views"]
FEW = MetricSettings(image_size=32, views=2)


@pytest.fixture(scope="module")
def two_views():
    """A bumpy wall seen straight and from the side: what lies nearer has moved more. Photographs, and the truth."""
    rng = np.random.default_rng(1)
    texture = np.asarray(Image.fromarray(rng.integers(0, 256, (80, 100), dtype=np.uint8)).resize((400, 320)), np.uint8)
    y, x = np.mgrid[:320, :400].astype(np.float32)
    height = 12 * np.sin(x / 45) * np.cos(y / 60) + 8 * np.sin(y / 31 + x / 90)
    import cv2

    return texture, cv2.remap(texture, x + height, y, cv2.INTER_LINEAR), height


def test_two_photographs_are_matched_and_verified(two_views):
    a, b, height = two_views
    found = match_images(a, b)
    assert found.kept
    assert found.reason == PairReason.KEPT
    assert len(found) > 100
    x, y = np.rint(found.points_b).astype(int).T
    truth = found.points_b[:, 0] + height[y.clip(0, 319), x.clip(0, 399)]
    assert np.median(np.abs(found.points_a[:, 0] - truth)) < 0.15
    assert found.decision.numbers.second_search == "done"
    assert found.points_a.dtype == found.scores.dtype == np.float32
    again = match_images(torch.from_numpy(a.copy()), Image.fromarray(b))
    assert np.array_equal(found.points_a, again.points_a)
    assert f"{len(found)} correspondences, kept" in repr(found)


def test_masks_keep_correspondences_on_the_sculpture(two_views, tmp_path):
    a, b, _ = two_views
    mask = np.zeros(a.shape, bool)
    mask[60:260, 80:320] = True
    found = match_images(a, b, (mask, np.ones(b.shape, bool)))
    assert len(found) > 50
    assert mask[tuple(np.rint(found.points_a).astype(int).T[::-1])].all()


def test_photographs_of_different_things_are_said_to_be_such(two_views):
    other = np.random.default_rng(2).integers(0, 256, (100, 120), dtype=np.uint8)
    found = match_images(two_views[0], np.asarray(Image.fromarray(other).resize((400, 300))))
    assert not found.kept
    assert found.reason in set(PairReason)
    flat = match_images(two_views[0], np.full((300, 400), 90, np.uint8))
    assert (len(flat), flat.kept) == (0, False)


def test_a_plot_shows_both_photographs(two_views, tmp_path):
    figure = match_images(two_views[0], two_views[1]).plot()
    figure.savefig(tmp_path / "plot.png")
    assert Image.open(tmp_path / "plot.png").size[0] > 500
    assert len(figure.axes[0].lines) > 100


def test_a_dataset_gives_pairs_with_images_by_index(run_folder):
    dataset = PairDataset(run_folder / "dataset", "train", images=False)
    pairs = list(read_pairs(run_folder / "dataset", "train"))
    assert len(dataset) == len(pairs) == 9
    assert [dataset[index].pair.pair_id for index in (0, 4, -1)] == [pairs[index].pair_id for index in (0, 4, -1)]
    assert torch.equal(dataset[3].points_b, torch.from_numpy(pairs[3].points_b))
    for wrong in (9, -10):
        with pytest.raises(IndexError, match="there are 9 pairs"):
            dataset[wrong]
    with pytest.raises(LiftnetError):
        PairDataset(run_folder / "nothing")


def test_images_come_with_the_pairs(run_folder, tmp_path):
    dataset = with_images(run_folder, tmp_path / "dataset")
    item = PairDataset(dataset, "test")[0]
    assert item.image_a.shape == item.image_b.shape == (3, 96, 96)
    shown = np.asarray(Image.open(run_folder / "images" / f"{item.pair.image_b}.png"))
    assert np.array_equal(item.image_b.permute(1, 2, 0), shown)


@pytest.mark.parametrize("workers", [0, 1])
def test_pairs_are_batched_by_torch(run_folder, workers):
    dataset = PairDataset(run_folder / "dataset", "validation", images=False)
    loader = DataLoader(dataset, 2, collate_fn=collate_pairs, num_workers=workers)
    batches = list(loader)
    assert [len(batch.items) for batch in batches] == [2, 1]
    first = batches[0]
    counts = [len(item.pair) for item in first.items]
    assert first.valid.sum(1).tolist() == counts
    assert first.points_a.shape == (2, max(counts), 2)
    assert torch.equal(first.points_a[1][first.valid[1]], first.items[1].points_a)
    assert not first.points_a[~first.valid].any()


def test_depth_is_predicted_of_any_photograph(tmp_path):
    model = DepthModel(initial_network(NetworkSettings(levels=3, width=4), 0), InputSettings(image_size=32))
    save_model(tmp_path / "model", model)
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[10:30, 15:50] = True
    depth = predict_depth(picture, tmp_path / "model", mask)
    assert depth.shape == (40, 60)
    assert np.array_equal(np.isfinite(depth), mask)
    assert np.array_equal(depth, predict_depth(picture / 255, model, mask), equal_nan=True)
    with pytest.raises(ValueError, match="floats are pixels from 0 to 1"):
        predict_depth(picture.astype(float), model)
    with pytest.raises(BadImageError):
        predict_depth(tmp_path / "gone.jpg", model)


def test_shapes_are_compared_in_any_form(tmp_path):
    box, ball = trimesh.creation.box(), trimesh.creation.icosphere(2)
    box.export(tmp_path / "box.ply")
    unlike = drkfs(box, ball, FEW)
    assert unlike > 1e-3
    assert drkfs(box, tmp_path / "box.ply", FEW) == pytest.approx(0, abs=1e-6)
    arrays = (box.vertices, box.faces), (torch.tensor(ball.vertices), torch.tensor(ball.faces))
    assert drkfs(*arrays, FEW) == pytest.approx(unlike, rel=1e-5)
    with pytest.raises(TypeError, match="the target, a int, is no mesh"):
        drkfs(box, 7, FEW)
    with pytest.raises(BadMeshError, match="shape"):
        drkfs((box.vertices, np.zeros((0, 3), int)), ball, FEW)
    with pytest.raises(ValueError, match="is in none of the 2 pictures"):
        drkfs(box.copy().apply_translation([90, 0, 0]), box, FEW, place="none")


def test_the_names_are_loaded_when_they_are_used():
    assert set(liftnet.api.__all__) >= {"match_images", "PairDataset", "predict_depth", "drkfs"}
