"""Soft images of whole meshes: gradients, light, near plane, batches, meshes that are not seen."""

import itertools

import numpy as np
import pytest
import torch

from liftnet.rasteriser import Light, Softness, look_at, rasterise, render, render_soft
from liftnet.rasteriser.render import clip_near, face_normals

EYES = torch.tensor([[1.2, 1.0, 1.9], [0.1, 2.4, -0.4], [-1.5, 0.2, -1.7]], dtype=torch.float64)


def octahedron(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    vertices = torch.cat([torch.eye(3), -torch.eye(3)]).to(dtype) * torch.tensor([0.5, 0.4, 0.45], dtype=dtype)
    sides = list(itertools.product((0, 3), (1, 4), (2, 5)))
    faces = [side if sum(side) % 2 else (side[0], side[2], side[1]) for side in sides]
    return vertices + 0.01 * torch.arange(18, dtype=dtype).view(6, 3).sin(), torch.tensor(faces)


def test_gradcheck_of_the_specification() -> None:
    generator = torch.Generator().manual_seed(2)
    triangles = torch.rand(3, 3, 3, generator=generator, dtype=torch.float64) * 1.4 - 0.7
    triangles[..., 2] = 2 + 0.02 * triangles[..., 2]
    shades = torch.rand(3, generator=generator, dtype=torch.float64)
    image = torch.tensor([0, 0, 1])
    for softness in (Softness(1e-2, 1e-2, far=9), Softness(3e-2, 1e-2, far=9, perspective=False)):
        assert torch.autograd.gradcheck(
            lambda corners, gray: rasterise(corners, gray, image, 2, 7, softness, "reference"),  # noqa: B023
            (triangles.requires_grad_(), shades.requires_grad_()),
            atol=1e-5,
            rtol=1e-5,
        )


@pytest.mark.parametrize("orthographic", [False, True])
def test_gradient_of_all_images_by_finite_differences(orthographic: bool) -> None:
    vertices, faces = octahedron()
    cameras = look_at(EYES * 0.9, half_width=0.6 if orthographic else None)  # one is cut by the near plane

    def mixed(points: torch.Tensor, backend: str) -> torch.Tensor:
        images = render_soft(points, faces, cameras, 12, Softness(1e-2, 1e-3, near=1.9, far=9), backend=backend)
        weight = torch.linspace(-1, 1, images.gray.numel(), dtype=points.dtype).view_as(images.gray)
        return sum((image * weight * scale).sum() for image, scale in zip(images, (1, 1, 0.1), strict=True))

    points = vertices.clone().requires_grad_()
    (slope,) = torch.autograd.grad(mixed(points, "reference"), points)
    step, differences = 1e-6, torch.zeros_like(vertices)
    for index in np.ndindex(*vertices.shape):
        ahead, behind = vertices.clone(), vertices.clone()
        ahead[index] += step
        behind[index] -= step
        differences[index] = (mixed(ahead, "reference") - mixed(behind, "reference")) / (2 * step)
    torch.testing.assert_close(slope, differences, rtol=1e-4, atol=1e-4 * float(slope.abs().max()))
    (fast,) = torch.autograd.grad(mixed(points, "numba"), points)
    assert float((fast - slope).norm() / slope.norm()) < 1e-3


def test_shading_is_lambert_on_the_side_that_is_seen() -> None:
    vertices = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    light = Light((0, 3, 4), ambient=0.25, directional=0.75)
    cameras = look_at(torch.tensor([[0.0, 0, 3], [0, 0, -3]]))
    for faces in ([[0, 1, 2], [0, 2, 3]], [[0, 2, 1], [0, 3, 2]]):  # either winding
        gray = render_soft(vertices, torch.tensor(faces), cameras, 8, light=light).gray
        torch.testing.assert_close(gray[:, 2, 5], torch.tensor([0.25 + 0.75 * 0.8, 0.25]))
    with pytest.raises(ValueError, match="direction"):
        Light((0, 0, 0))


def test_shaded_images_have_the_gradient_of_outlines_that_gray_lacks() -> None:
    square = torch.tensor([[-0.4, -0.4, 0], [0.4, -0.4, 0], [0.4, 0.4, 0], [-0.4, 0.4, 0]])
    faces, cameras = torch.tensor([[0, 1, 2], [0, 2, 3]]), look_at(torch.tensor([[0.0, 0, 2]]))
    larger = torch.ones(1, requires_grad=True)
    images = render_soft(square * larger, faces, cameras, 128, Softness(1e-3))
    side = 0.8 / (2 * cameras.half_width) * 128 / 2  # px; the area grows by 2 side^2 times the shade
    expected = 2 * side**2 * images.gray[0, 64, 70].detach()
    of_gray, of_shaded = (
        torch.autograd.grad(x.sum(), larger, retain_graph=True)[0] for x in (images.gray, images.shaded)
    )
    torch.testing.assert_close(of_shaded[0], expected, rtol=0.2, atol=0)
    assert float(of_gray.abs()) < 1e-3 * float(expected)


def test_normals_of_faces_without_area_are_zero_with_zero_gradient() -> None:
    corners = torch.tensor([[[0.0, 0, 0], [1, 1, 1], [2, 2, 2]], [[0, 0, 0], [1, 0, 0], [0, 1, 0]]]).requires_grad_()
    normals = face_normals(corners)
    torch.testing.assert_close(normals, torch.tensor([[0.0, 0, 0], [0, 0, 1]]))
    (slope,) = torch.autograd.grad(normals.sum(), corners)
    assert bool(torch.isfinite(slope).all())
    assert float(slope[0].abs().max()) == 0


def test_near_plane_cuts_exactly() -> None:
    vertices = torch.tensor([[0.3, -0.2, 5.0], [-2.0, -1.0, -3.0], [2.5, 1.0, -2.0]], dtype=torch.float64)
    cameras = look_at(torch.tensor([[0.0, 0, 0]], dtype=torch.float64), target=(0, 0, 1), half_angle=40)
    size, faces = 33, torch.tensor([[0, 1, 2]])
    for backend in ("reference", "numba"):
        images = render_soft(vertices, faces, cameras, size, Softness(1e-10, 1e-8, near=0.5, far=50), backend=backend)
        centres = (2 * np.arange(size) + 1 - size) / size * cameras.half_width
        x, y = np.meshgrid(centres, centres)
        corners = cameras.in_camera(vertices)[0].numpy()
        weights = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(corners.T).T
        z = 1 / weights.sum(-1)
        hit = (weights > 0).all(-1) & (z > 0.5)
        assert 100 < hit.sum() < size**2 - 100
        seen = images.silhouette[0].numpy()
        wrong = np.abs(seen - hit) > 1e-3
        assert wrong.sum() <= 2  # a pixel on an edge of the mathematics' making
        np.testing.assert_allclose(images.depth[0].numpy()[hit & ~wrong], z[hit & ~wrong], rtol=1e-4)


def test_cut_triangles_keep_their_sense_and_their_area() -> None:
    generator = torch.Generator().manual_seed(0)
    triangles = torch.rand(200, 3, 3, generator=generator, dtype=torch.float64) * 4 - 1.5
    pieces, source = clip_near(triangles, 0.3)
    assert float(pieces[..., 2].min()) == 0.3
    assert bool((source[1:] >= source[:-1]).all())
    normals = [torch.linalg.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]) for t in (triangles, pieces)]
    assert bool(((normals[1] * normals[0][source]).sum(-1) > 0).all())
    heights = torch.linspace(0.3, 3, 20001, dtype=torch.float64)
    for index in range(20):  # the area behind the plane, by the widths of the triangle at many depths
        area = normals[1][source == index].norm(dim=-1).sum() / 2
        widths = _width_at(triangles[index], heights)
        across = normals[0][index]
        slope = across[:2].norm() / across.norm()
        torch.testing.assert_close(area, torch.trapezoid(widths, heights) / slope, rtol=2e-3, atol=1e-4)


def _width_at(triangle: torch.Tensor, heights: torch.Tensor) -> torch.Tensor:
    """Length of the cut of a triangle (3, 3) with the planes z = heights."""
    cuts = []
    for k in range(3):
        a, b = triangle[k], triangle[(k + 1) % 3]
        share = ((heights - a[2]) / (b[2] - a[2]))[:, None]
        cuts.append(torch.where((share >= 0) & (share <= 1), a[:2] + share * (b[:2] - a[:2]), torch.nan))
    pairs = torch.stack([(cuts[i] - cuts[j]).norm(dim=1) for i, j in ((0, 1), (1, 2), (2, 0))])
    return pairs.nan_to_num(0).amax(0)


def test_meshes_of_a_batch_look_as_they_do_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, faces = octahedron(torch.float32)
    meshes = [(vertices, faces), (vertices[:5] * 0.7, faces[(faces < 5).all(1)]), (vertices * 1.1, faces[:0])]
    cameras = look_at(EYES)
    singles = [render_soft(*mesh, cameras, 40) for mesh in meshes]
    for at_once in (render.AT_ONCE, 1, 20):
        monkeypatch.setattr(render, "AT_ONCE", at_once)
        batch = render_soft([mesh[0] for mesh in meshes], [mesh[1] for mesh in meshes], cameras, 40)
        assert batch.gray.shape == (3, 3, 40, 40)
        for index, single in enumerate(singles):
            assert all(torch.equal(a[index], b) for a, b in zip(batch, single, strict=True))


@pytest.mark.parametrize("shift", [[0, 40.0, 0], [0, 0, 300.0], [0, 0, -4.0]], ids=["aside", "too far", "behind"])
def test_what_is_not_seen_gives_background_and_no_gradient(shift: list[float]) -> None:
    vertices, faces = octahedron(torch.float32)
    vertices = (vertices + torch.tensor(shift)).requires_grad_()
    cameras = look_at(torch.tensor([[0.0, 0, -2.5]]))
    images = render_soft(vertices, faces, cameras, 16, Softness(background=0.5))
    for values, expected in zip(images, (0.5, 0.0, 100.0), strict=True):
        torch.testing.assert_close(values, torch.full_like(values, expected))
    sum(values.sum() for values in images).backward()
    assert float(vertices.grad.abs().max()) == 0


def test_a_million_faces_look_like_a_few() -> None:
    images = []
    for count in (12, 709):
        axis = torch.linspace(-0.7, 0.7, count)
        x, y = torch.meshgrid(axis, axis, indexing="ij")
        vertices = torch.stack([x, y, x / 3], -1).view(-1, 3).requires_grad_()
        corner = (torch.arange(count - 1)[:, None] * count + torch.arange(count - 1)).flatten()
        faces = torch.cat([corner[:, None] + torch.tensor(side) for side in ([0, 1, count], [1, count + 1, count])])
        images.append(render_soft(vertices, faces, look_at(torch.tensor([[0.0, 0, 3]])), 48, Softness(1e-4)))
    assert len(faces) > 1_000_000
    seen = images[0].silhouette.detach() > 0.99
    torch.testing.assert_close(images[0].gray[seen], images[1].gray[seen], atol=0.02, rtol=0)
    torch.testing.assert_close(images[0].depth[seen], images[1].depth[seen], atol=0.02, rtol=0)
    (slope,) = torch.autograd.grad(images[1].depth.sum(), vertices)
    assert bool(torch.isfinite(slope).all())
    assert float(slope.abs().max()) > 0


SIDES = [10.0**-power for power in range(3, 21)]


def slivers(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(T, 3, 3) triangles with sides from 1e-3 to 1e-20, as thin as marching cubes makes them, about the origin."""
    shapes = torch.tensor([[[0, 0, 0], [1, 0.2, 0.1], [0.3, 1, 0.5]], [[0, 0, 0], [1, 0, 0.5], [1, 1e-3, 0.5]]])
    return torch.cat([shapes.to(dtype) * side for side in SIDES])


def test_normals_of_slivers_are_right_and_their_gradients_finite() -> None:
    corners = slivers().requires_grad_()
    normals = face_normals(corners)
    (slope,) = torch.autograd.grad(normals.sum(), corners)
    assert bool(torch.isfinite(slope).all())
    truth = slivers(torch.double).requires_grad_()
    true_normals = face_normals(truth)
    seen = normals.detach().norm(dim=-1) > 0  # where single precision has an area at all
    assert int(seen.sum()) > 12
    torch.testing.assert_close(normals[seen].double(), true_normals[seen], atol=1e-2, rtol=0)
    (true_slope,) = torch.autograd.grad(true_normals.sum(), truth)
    large = [number for number, side in enumerate(SIDES) for _ in range(2) if side > 1e-5]
    rows = torch.arange(len(large))
    torch.testing.assert_close(
        slope[rows].double(), true_slope[rows], rtol=1e-3, atol=1e-3 * float(true_slope[rows].abs().max())
    )
    still = [2 * number for number, side in enumerate(SIDES) if side < 1e-7]
    assert float(slope[still].abs().max()) == 0  # no gradient rather than an infinite one


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_slivers_give_finite_gradients_through_the_images(backend: str) -> None:
    corners = slivers()
    square = torch.tensor([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    vertices = torch.cat([square, corners.view(-1, 3) + torch.tensor([0.0, 0.0, 0.01])]).requires_grad_()
    faces = torch.cat([torch.tensor([[0, 1, 2], [0, 2, 3]]), 4 + torch.arange(3 * len(corners)).view(-1, 3)])
    images = render_soft(vertices, faces, look_at(EYES.float()), 24, Softness(1e-3), backend=backend)  # type: ignore[arg-type]
    loss = images.gray.square().sum() + images.silhouette.sum() + images.depth.sum()
    (slope,) = torch.autograd.grad(loss, vertices)
    assert bool(torch.isfinite(slope).all())
    assert float(slope[:4].abs().max()) > 0


def test_vertices_in_double_precision_and_without_faces() -> None:
    vertices, faces = octahedron()
    vertices.requires_grad_()
    images = render_soft(vertices, faces, look_at(EYES), 16)
    images.gray.sum().backward()
    assert images.gray.dtype == torch.float32
    assert vertices.grad.dtype == torch.float64
    assert float(vertices.grad.abs().max()) > 0
    assert render_soft(torch.zeros(0, 3), faces[:0], look_at(EYES), 16).silhouette.eq(0).all()


def test_render_refuses() -> None:
    vertices, faces = octahedron()
    cameras = look_at(EYES)
    for wrong, reason in (
        ((vertices[:, :2], faces), "vertices must be"),
        ((vertices, faces.float()), "int64"),
        ((vertices, faces + 1), "name vertices from 1 to 6 of 6"),
        ((vertices * torch.nan, faces), "finite"),
        (([vertices], [faces, faces]), "zip"),
    ):
        with pytest.raises(ValueError, match=reason):
            render_soft(*wrong, cameras, 8)
