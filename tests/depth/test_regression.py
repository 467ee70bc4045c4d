import numpy as np
import pandas as pd
import pytest
import torch

from liftnet.core.errors import LiftnetError
from liftnet.data.schemas import TRUTH, read_table, write_table
from liftnet.data.truth import TrueView, save_truth
from liftnet.depth.objectives import TrainingInputs, load_training_data
from liftnet.depth.objectives.regression import aligned_error, masked_median
from liftnet.depth.score import align_as_paper
from liftnet.depth.settings import TrainSettings
from liftnet.depth.train import train
from liftnet.models.liftnet import load_model

TINY = {
    "input": {"image_size": 32},
    "network": {"levels": 3, "width": 8},
    "batch_size": 4,
    "validate_every": 4,
    "iterations": 8,
}
AS_THEY_ARE = {"flip": False, "rotation": 0, "zoom": 0, "colour_jitter": 0}


def random_maps(seed=0, count=5, size=12, known=0.6):
    g = torch.Generator().manual_seed(seed)
    depth = torch.randn(count, size, size, generator=g, dtype=torch.float64)
    target = torch.randn(count, size, size, generator=g, dtype=torch.float64) + 2.7
    target[torch.rand(count, size, size, generator=g) > known] = torch.nan
    return depth, target


def aligned_mse(depth, target, signed=False):
    return aligned_error(depth, target, signed).loss


def test_aligned_mse_is_the_error_of_the_evaluation_s_alignment():
    depth, target = random_maps()
    expected = []
    for d, gt in zip(depth.numpy(), target.numpy(), strict=True):
        known = np.isfinite(gt)
        expected.append(np.square(align_as_paper(d[known], gt[known]) - gt[known]).mean())
    np.testing.assert_allclose(aligned_mse(depth, target).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 11])
def test_masked_median_is_numpy_s(count):
    values = torch.randn(1, 17, generator=torch.Generator().manual_seed(count))
    mask = torch.zeros(1, 17, dtype=torch.bool)
    mask[0, torch.randperm(17)[:count]] = True
    expected = np.median(values[mask].numpy()) if count else 0.0
    assert masked_median(values, mask).item() == pytest.approx(float(expected))
    full = torch.ones_like(mask)
    assert masked_median(values, full).item() == pytest.approx(float(np.median(values.numpy())))


def test_aligned_mse_has_the_right_gradient():
    depth, target = random_maps(count=3, size=5)
    depth.requires_grad_()
    for signed in (False, True):
        assert torch.autograd.gradcheck(lambda d, signed=signed: aligned_mse(d, target, signed), (depth,))


def test_aligned_mse_does_not_see_scale_shift_and_sign():
    depth, target = random_maps()
    loss = aligned_mse(depth, target)
    for changed in (3 * depth + 1, -0.2 * depth - 7):
        torch.testing.assert_close(aligned_mse(changed, target), loss)
    torch.testing.assert_close(aligned_mse(target.nan_to_num(0) * -0.5, target), torch.zeros_like(loss))


def test_signed_alignment_is_the_same_where_near_is_near_and_worse_than_flat_where_it_is_far():
    depth, target = random_maps()
    free = aligned_error(depth, target)
    right = depth * free.scale.sign()[:, None, None]
    torch.testing.assert_close(aligned_mse(right, target, signed=True), free.loss)
    flat = aligned_mse(torch.zeros_like(depth), target)
    assert (aligned_mse(-right, target, signed=True) > flat).all()
    assert aligned_error(-right, target).in_sign.tolist() == [0] * 5


def test_images_without_enough_target_and_flat_predictions_are_harmless():
    depth, target = random_maps(count=4)
    target[0], target[1] = torch.nan, torch.nan
    target[1, 0, :7] = torch.arange(7.0, dtype=torch.float64)  # one pixel short of eight
    depth[2] = 0.25
    depth.requires_grad_()
    error = aligned_error(depth, target)
    error.loss.sum().backward()
    assert error.loss[:2].tolist() == [0, 0]
    assert (depth.grad[:2] == 0).all()
    assert torch.isfinite(depth.grad).all()
    known = target[2][torch.isfinite(target[2])]
    assert error.loss[2].item() == pytest.approx(float((known - np.median(known)).square().mean()))
    assert depth.grad[3].abs().max() > 0


def sources(root, model, targets=None, seed=0):
    return TrainingInputs(root, root / "dataset", targets or root / "museum", model, 1, seed)


@pytest.mark.slow
def test_regression_learns_true_depth_and_resumes(run_folder, tmp_path, monkeypatch):
    """A few hundred steps on nine images: the error of the training images falls to a fraction of a plane's."""
    own = {"method": "regression", "iterations": 120, "validate_every": 60, "optimiser": {"learning_rate": 0.005}}
    settings = TrainSettings(**TINY | own, augment=AS_THEY_ARE)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(sources(run_folder, whole), whole, settings)
    metrics = pd.read_csv(whole / "metrics.csv")
    assert metrics["rmse"].iloc[-1] < 0.13  # a plane has .21
    assert {"scale", "target_pixels", "val_rmse"} <= set(metrics)
    model = load_model(whole)
    assert model.notes["training"]["items"] == 9
    assert model.notes["training"]["validated_on"] == "images of the val artists"

    from liftnet.learn import loop

    step = loop.train_step

    def stop(run, batch):
        if run.state.step == 70:
            raise KeyboardInterrupt
        return step(run, batch)

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(loop, "train_step", stop)
    with pytest.raises(KeyboardInterrupt):
        train(sources(run_folder, stopped), stopped, settings)
    monkeypatch.setattr(loop, "train_step", step)
    train(sources(run_folder, stopped), stopped, settings)
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_other_targets_start_a_run_anew(run_folder, run_views, tmp_path):
    """The same images with flattened depth are another run, which does not take the first one's checkpoint."""
    settings = TrainSettings(**TINY, method="regression")
    truths = read_table(run_folder / "museum" / "truth.parquet", TRUTH)
    write_table(tmp_path / "truth.parquet", truths, TRUTH)
    for view in run_views:
        path = tmp_path / "truth" / f"{view.image_id}.npz"
        path.parent.mkdir(exist_ok=True)
        save_truth(path, TrueView(view.truth.depth * 0 + 3 + (np.indices((96, 96)).sum(0) / 90), view.truth.camera))
    models = []
    for targets in (run_folder / "museum", tmp_path, tmp_path):
        train(sources(run_folder, tmp_path / "model", targets), tmp_path / "model", settings)
        models.append((tmp_path / "model" / "model.safetensors").read_bytes())
    assert models[0] != models[1] == models[2]


def test_works_are_held_out_where_no_val_image_has_a_target(run_folder, run_views, tmp_path):
    truths = read_table(run_folder / "museum" / "truth.parquet", TRUTH).to_pylist()
    train_ids = {f"images/{view.image_id}.png" for view in run_views if view.split == "train"}
    kept = [row | {"truth": str(run_folder / "museum" / row["truth"])} for row in truths]
    write_table(tmp_path / "truth.parquet", [row for row in kept if row["image_url"] in train_ids], TRUTH)
    data = load_training_data(sources(run_folder, tmp_path, tmp_path), TrainSettings(**TINY, method="regression"))
    assert data.held_out == "images of 1 training works, as no val image has a target"
    assert len(data.train.items) == 6
    assert len(data.val.items) == 3
    works = [{image.split(":")[0][:8] for image in part.items} for part in (data.train, data.val)]
    assert not works[0] & works[1]


def test_regression_without_targets_says_what_to_give(run_folder, tmp_path):
    settings = TrainSettings(**TINY, method="regression")
    with pytest.raises(LiftnetError, match=r"--targets.*truth\.parquet"):
        train(TrainingInputs(run_folder, run_folder / "dataset", None, tmp_path, 1, 0), tmp_path, settings)
