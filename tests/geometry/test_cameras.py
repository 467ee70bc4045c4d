import numpy as np
import pytest

from liftnet.geometry.cameras import Camera, OrthographicCamera


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


PINHOLE = Camera(np.array([[200.0, 0, 63.5], [0, 200, 47.5], [0, 0, 1]]), rotation(1), np.array([0.1, -0.2, 4.0]))
PARALLEL = OrthographicCamera(40.0, np.array([63.5, 47.5]), rotation(2), np.array([0.1, -0.2, 2.7]))


@pytest.mark.parametrize("camera", [PINHOLE, PARALLEL])
def test_projection_and_its_inverse_agree(camera):
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    pixels, depth = camera.project(points)
    np.testing.assert_allclose(camera.unproject(pixels, depth), points, atol=1e-12)


@pytest.mark.parametrize("camera", [PINHOLE, PARALLEL])
def test_the_matrix_projects_as_the_camera_does(camera):
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    homogeneous = np.column_stack([points, np.ones(20)]) @ camera.matrix.T
    np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], camera.project(points)[0], atol=1e-12)


@pytest.mark.parametrize("camera", [PINHOLE, PARALLEL])
def test_pixels_per_unit_is_the_length_of_a_unit_step_across_the_axis(camera):
    depth = 3.3
    start = camera.unproject(np.array([[20.0, 30.0]]), np.array([depth]))
    for axis in camera.rotation[:2]:
        step = camera.project(start + axis)[0] - [20.0, 30.0]
        assert np.linalg.norm(step) == pytest.approx(camera.pixels_per_unit(depth))


def test_parallel_rays_keep_lengths_at_every_depth():
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    pixels, depth = PARALLEL.project(points)
    further, depth_further = PARALLEL.project(points + 5 * PARALLEL.rotation[2])
    np.testing.assert_allclose(further, pixels, atol=1e-9)
    np.testing.assert_allclose(depth_further, depth + 5)
