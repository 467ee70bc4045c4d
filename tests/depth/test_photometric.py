import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.transform import Rotation

from liftnet.depth.augment import Changes
from liftnet.depth.objectives import TrainingInputs, load_training_data
from liftnet.depth.objectives.photometric import (
    PoseNetwork,
    build_pose_network,
    camera_depth,
    inverse_warp,
    photometric_terms,
    rotation_matrix,
    sample_image,
    sample_image_by_index,
    second_differences,
)
from liftnet.depth.settings import PhotometricSettings, TrainSettings
from liftnet.depth.train import train
from liftnet.learn import loop
from liftnet.models.liftnet import load_model

TINY = {
    "input": {"image_size": 32},
    "network": {"levels": 3, "width": 8},
    "batch_size": 4,
    "validate_every": 4,
    "iterations": 8,
}
PHOTOMETRIC = TrainSettings(**TINY, method="photometric")


def scene(size=16, dtype=torch.float64, seed=0):
    """A smooth source image, a curved surface and a motion of a few pixels."""
    g = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size, dtype=dtype)] * 2, indexing="ij")
    phases = torch.rand(3, 4, generator=g, dtype=dtype) * 6
    source = torch.stack([torch.sin(3 * x + p[0]) + torch.cos(4 * y + p[1]) * torch.sin(2 * x + p[2]) for p in phases])
    depth = 1 + 0.2 * x - 0.1 * y + 0.15 * (x**2 + y**2)
    motion = torch.tensor([[0.09, -0.05, 0.04, 0.02, -0.03, 0.05]], dtype=dtype)
    return source[None], depth[None], motion


def bilinear(image, x, y):
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    value = np.zeros(len(image))
    for column, row, weight in [
        (x0, y0, (x0 + 1 - x) * (y0 + 1 - y)),
        (x0 + 1, y0, (x - x0) * (y0 + 1 - y)),
        (x0, y0 + 1, (x0 + 1 - x) * (y - y0)),
        (x0 + 1, y0 + 1, (x - x0) * (y - y0)),
    ]:
        if 0 <= column < image.shape[2] and 0 <= row < image.shape[1]:
            value += weight * image[:, row, column]
    return value


def test_rotation_is_scipy_s():
    angles = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = Rotation.from_euler("XYZ", angles.numpy()).as_matrix()
    np.testing.assert_allclose(rotation_matrix(angles).numpy(), expected, atol=1e-12)


def test_the_warp_reads_each_pixel_where_the_pinhole_camera_sees_it():
    source, depth, motion = scene(12)
    focal, size = 0.7, 12
    warped, valid = inverse_warp(source, depth, motion, focal)
    k = np.array([[focal * size, 0, size / 2 - 0.5], [0, focal * size, size / 2 - 0.5], [0, 0, 1]])
    rotation = Rotation.from_euler("XYZ", motion[0, 3:].numpy()).as_matrix()
    for row in range(size):
        for column in range(size):
            point = depth[0, row, column].item() * np.linalg.inv(k) @ [column, row, 1]
            x, y, z = k @ (rotation @ point + motion[0, :3].numpy())
            x, y = x / z, y / z
            assert bool(valid[0, row, column]) == (-0.5 <= x <= size - 0.5 and -0.5 <= y <= size - 0.5)
            expected = bilinear(source[0].numpy(), x, y)
            np.testing.assert_allclose(warped[0, :, row, column].numpy(), expected, atol=1e-9)
    assert 0.5 < valid.double().mean() < 1


def test_no_motion_changes_nothing_and_points_behind_the_camera_are_not_valid():
    source, depth, _ = scene()
    warped, valid = inverse_warp(source, depth, torch.zeros(1, 6, dtype=torch.float64), 0.7)
    torch.testing.assert_close(warped, source)
    assert valid.all()
    back = torch.tensor([[0, 0, -5.0, 0, 0, 0]], dtype=torch.float64)
    assert not inverse_warp(source, depth, back, 0.7)[1].any()


def test_sampling_by_index_is_grid_sample_with_its_gradient():
    g = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 7, 7, generator=g, dtype=torch.float64)
    grid = (torch.rand(2, 5, 6, 2, generator=g, dtype=torch.float64) * 3 - 1.5).requires_grad_()
    weight = torch.randn(2, 3, 5, 6, generator=g, dtype=torch.float64)
    found, gradients = [], []
    for sample in (sample_image, sample_image_by_index):
        values = sample(images, grid)
        found.append(values)
        gradients.append(torch.autograd.grad((values * weight).sum(), grid)[0])
    torch.testing.assert_close(*found)
    torch.testing.assert_close(*gradients)


def test_smoothness_is_a_sum_over_pixels_and_zero_for_a_plane():
    disparity = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    d = disparity[0].numpy()
    across = [abs(d[y, x] - 2 * d[y, x + 1] + d[y, x + 2]) for y in range(6) for x in range(4)]
    down = [abs(d[y, x] - 2 * d[y + 1, x] + d[y + 2, x]) for y in range(4) for x in range(6)]
    mixed = [abs(d[y, x] - d[y, x + 1] - d[y + 1, x] + d[y + 1, x + 1]) for y in range(5) for x in range(5)]
    expected = np.mean(across) + np.mean(down) + 2 * np.mean(mixed)
    assert second_differences(disparity)[0].item() == pytest.approx(expected)
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    assert second_differences((2 * x - 3 * y + 1)[None]).item() == pytest.approx(0, abs=1e-5)


def test_the_loss_has_the_right_gradient():
    """The border of the image moves no pixel in or out within gradcheck's steps: the scene is fixed."""
    source, depth, motion = scene(8)
    target = inverse_warp(source, 1.1 * depth, motion, 0.7)[0].detach() + 0.3
    logit = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = [tensor.requires_grad_() for tensor in (depth, motion, logit)]
    settings = PhotometricSettings(scales=2)

    def loss(depth, motion, logit):
        return photometric_terms(target, source, depth, motion, logit, settings)["loss"]

    assert torch.autograd.gradcheck(loss, inputs)


def test_pixels_out_of_view_are_compared_in_place():
    source, depth, motion = scene(12)
    target = source.flip(2)
    settings = PhotometricSettings(smoothness=0.0, scales=1)
    warped, valid = inverse_warp(source, depth, motion, 0.7)
    seen = (warped - target).abs().mean(1)[valid].sum()
    unseen = (source - target).abs().mean(1)[~valid].sum()
    terms = photometric_terms(target, source, depth, motion, None, settings)
    assert terms["photometric"].item() == pytest.approx(float(seen + unseen) / 144)
    assert terms["valid_share"].item() == pytest.approx(float(valid.double().mean()))


def test_true_depth_has_the_least_error_and_descent_finds_it():
    """With the motion known, the three numbers of a curved surface are recovered from the photographs alone."""
    source, depth, motion = scene(48)
    target = inverse_warp(source, depth, motion, 0.7)[0]
    settings = PhotometricSettings(smoothness=0.0, scales=2)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 48, dtype=torch.float64)] * 2, indexing="ij")
    guess = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([guess], lr=0.02)
    for step in range(250):
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / 250)
        surface = 1.1 + guess[0] + guess[1] * x + guess[2] * y + guess[3] * (x**2 + y**2)
        loss = photometric_terms(target, source, surface[None], motion, None, settings)["loss"].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    expected = [-0.1, 0.2, -0.1, 0.15]
    np.testing.assert_allclose(guess.detach().numpy(), expected, atol=0.02)


def test_looking_away_does_not_pay(run_folder, tmp_path):
    data = load_training_data(sources(run_folder, tmp_path), PHOTOMETRIC)
    chosen = np.stack([np.arange(len(data.train.items)), np.zeros(len(data.train.items), int)], 1)
    target, source = data.train.batch(chosen, 0)._replace(changes=Changes()).network_images()
    depth = torch.ones(len(target), 32, 32)
    still, away = torch.zeros(len(target), 6), torch.zeros(len(target), 6)
    away[:, 0] = 50.0
    losses = [
        photometric_terms(target, source, depth, motion, None, PHOTOMETRIC.photometric)["loss"].mean()
        for motion in (still, away)
    ]
    torch.testing.assert_close(losses[1], losses[0])
    assert losses[0] > 0.03


def test_explainability_pays_for_every_pixel_it_leaves_out():
    source, depth, motion = scene(16)
    target = source.flip(3)
    settings = PhotometricSettings(smoothness=0.0, scales=1)
    full, half = (
        photometric_terms(target, source, depth, motion, torch.full((1, 1, 16, 16), value).double(), settings)
        for value in (30.0, 0.0)
    )
    plain = photometric_terms(target, source, depth, motion, None, settings)
    assert full["loss"].item() == pytest.approx(plain["loss"].item())
    assert half["photometric"].item() == pytest.approx(plain["photometric"].item() / 2)
    assert half["loss"].item() == pytest.approx(plain["loss"].item() / 2 + 0.2 * np.log(2))
    assert half["explainability"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_pose_network_begins_near_no_motion_and_repeats_from_its_seed(size):
    network, again = build_pose_network(True, 3), build_pose_network(True, 3)
    images = torch.rand(2, 2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    motion, logit = network(*images)
    assert motion.shape == (2, 6)
    assert logit.shape == (2, 1, size, size)
    assert motion.abs().max() < 0.02
    assert torch.equal(motion, again(*images)[0])
    assert not torch.equal(motion, build_pose_network(True, 4)(*images)[0])
    assert build_pose_network(False, 3)(*images)[1] is None
    assert (
        sum(p.numel() for p in PoseNetwork(False).parameters()) == 1_586_774
    )  # of the published layers, summed by hand


def test_depth_is_positive_and_keeps_the_sense_of_the_network():
    depth = camera_depth(torch.tensor([-1.0, 0.0, 1.0]))
    assert depth.tolist() == pytest.approx([0.1, 1.0, 1.9])


def sources(root, model):
    return TrainingInputs(root, root / "dataset", None, model, 1, 0)


def test_both_photographs_are_changed_alike(run_folder, tmp_path):
    data = load_training_data(sources(run_folder, tmp_path), PHOTOMETRIC)
    batch = data.train.batch(np.array([[0, 0], [0, 1], [3, 0]]), seed=5)
    assert torch.equal(batch.target[0], batch.source[1])
    assert torch.equal(batch.target[1], batch.source[0])
    assert batch.changes.light is None
    same = batch._replace(source=batch.target)
    target, source = same.network_images()
    assert torch.equal(target, source)
    assert not torch.equal(target, same._replace(changes=type(batch.changes)()).network_images()[0])


def test_photometric_training_resumes_bit_for_bit_and_keeps_the_depth_network_alone(run_folder, tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(sources(run_folder, whole), whole, PHOTOMETRIC)
    metrics = pd.read_csv(whole / "metrics.csv")
    assert {"photometric", "smoothness", "explainability", "valid_share", "val_motion"} <= set(metrics)
    assert np.isfinite(metrics.to_numpy()).all()
    assert load_model(whole).sign == 1
    state = torch.load(whole / "checkpoint.pt", weights_only=True)
    assert set(state["networks"]) == {"depth", "pose"}
    step = loop.train_step

    def stop(run, batch):
        if run.state.step == 6:
            raise KeyboardInterrupt
        return step(run, batch)

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(loop, "train_step", stop)
    with pytest.raises(KeyboardInterrupt):
        train(sources(run_folder, stopped), stopped, PHOTOMETRIC)
    monkeypatch.setattr(loop, "train_step", step)
    train(sources(run_folder, stopped), stopped, PHOTOMETRIC)
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    again = torch.load(stopped / "checkpoint.pt", weights_only=True)
    for name, weights in state["networks"]["pose"].items():
        assert torch.equal(weights, again["networks"]["pose"][name])
