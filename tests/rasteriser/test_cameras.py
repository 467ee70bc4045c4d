"""Cameras put world points where the house's pixel convention says."""

import numpy as np
import pytest
import torch

from liftnet.geometry.cameras import Camera
from liftnet.rasteriser.camera_batch import CameraBatch, look_at

EYES = torch.tensor([[2.0, 1.0, -1.5], [0.0, 3.0, 0.0], [-1.0, 0.2, 2.0]], dtype=torch.float64)


def test_look_at_centres_the_target_and_turns_up_upwards() -> None:
    cameras = look_at(EYES, target=(0.1, 0.2, 0.3))
    seen = cameras.project(torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.3, 0.3]], dtype=torch.float64))
    torch.testing.assert_close(seen[:, 0, :2], torch.zeros(3, 2, dtype=torch.float64), atol=1e-12, rtol=0)
    assert (seen[[0, 2], 1, 1] < 0).all()  # y points down, so what is higher in the world has a smaller y
    distance = (EYES - torch.tensor([0.1, 0.2, 0.3])).norm(dim=1)
    torch.testing.assert_close(seen[:, 0, 2], distance)


def test_projection_agrees_with_the_pinhole_camera() -> None:
    size, points = 64, torch.rand(20, 3, dtype=torch.float64) - 0.5
    cameras = look_at(EYES, half_angle=25)
    for rotation, translation, seen in zip(
        cameras.rotation, cameras.translation, cameras.project(points), strict=True
    ):
        focal, middle = size / 2 / cameras.half_width, (size - 1) / 2
        pinhole = Camera(
            np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]]), rotation.numpy(), translation.numpy()
        )
        pixels, depth = pinhole.project(points.numpy())
        np.testing.assert_allclose((2 * pixels + 1 - size) / size, seen[:, :2].numpy(), atol=1e-12)
        np.testing.assert_allclose(depth, seen[:, 2].numpy(), atol=1e-12)


def test_rotations_are_proper() -> None:
    rotation = look_at(EYES).rotation
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(3, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(3, dtype=torch.float64))


def test_orthographic_cameras_ignore_distance() -> None:
    near, far = look_at(EYES[:1], half_width=0.5), look_at(3 * EYES[:1], half_width=0.5)
    point = torch.tensor([[0.1, -0.2, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(near.project(point)[..., :2], far.project(point)[..., :2])


def test_bad_cameras_are_refused() -> None:
    with pytest.raises(ValueError, match="target"):
        look_at(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="half width"):
        CameraBatch(torch.eye(3)[None], torch.zeros(1, 3), 0.0)
    with pytest.raises(ValueError, match="rotations"):
        CameraBatch(torch.eye(3), torch.zeros(1, 3), 1.0)
