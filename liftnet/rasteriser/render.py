"""Soft images of meshes as seen by cameras under a fixed light, with flat shading."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from liftnet.rasteriser.camera_batch import CameraBatch
from liftnet.rasteriser.soft_images import Backend, SoftImages, rasterise
from liftnet.rasteriser.softness import Softness

AT_ONCE = 2_000_000  # triangles, counted once per view, that are drawn together: bounds what is held besides results
SIDE_LIMIT = 1e5  # image coordinates: faces that reach farther are cut
SIDES = 64.0  # where, in image coordinates
LARGEST = 1e9  # coordinate of a vertex: products of four are finite in float32
MARGIN = 8.0  # the gradient of 1 / |n| overflows where |n|^2 falls to the largest number to the power of -2/3


@dataclass(frozen=True)
class Light:
    """Parallel light that stays where it is in the world, and light from everywhere.

    A surface with unit normal n has the gray value ambient + directional * max(0, n . l). Surfaces are two-sided: n is
    the normal that points to the camera. A wrapped light (Half Lambert) leaves out the maximum, so that faces that
    look away from the light differ in shade, too.

    Attributes:
        direction: Towards the light, in world coordinates (+y is up); of any length.
        ambient: Share of the light from everywhere.
        directional: Share of the parallel light.
        wrapped: Let shades fall further on the side away from the light; `ambient` is then at least `directional`.
    """

    direction: tuple[float, float, float] = (0.3, 0.8, 0.5)
    ambient: float = 0.5
    directional: float = 0.5
    wrapped: bool = False

    def __post_init__(self) -> None:
        length = math.hypot(*self.direction)
        if not (math.isfinite(length) and length > 0):
            raise ValueError(f"the direction of the light must be finite and not zero, not {self.direction}")
        if self.wrapped and self.directional > self.ambient:
            raise ValueError(
                "a wrapped light needs as much ambient as directional light, or some faces are below black"
            )

    def shade(self, corners: Tensor, cameras: CameraBatch) -> Tensor:
        """Gray values of faces; differentiable.

        Args:
            corners: (F, 3, 3) world coordinates of the corners of each face.
            cameras: N cameras.

        Returns:
            (N, F). A face without area has the ambient light alone.
        """
        direction = corners.new_tensor(self.direction)
        normals = face_normals(corners)
        facing = normals @ (direction / direction.norm())
        with torch.no_grad():
            cameras = cameras.to(corners)
            if cameras.orthographic:
                away = normals @ cameras.rotation[:, 2].T
            else:
                eyes = -torch.einsum("nji,nj->ni", cameras.rotation, cameras.translation)
                away = (normals * corners[:, 0]).sum(-1, keepdim=True) - normals @ eyes.T
        towards = torch.where(away.T > 0, -facing, facing)
        return self.ambient + self.directional * (towards if self.wrapped else towards.relu())


def face_normals(corners: Tensor) -> Tensor:
    """Unit normals (F, 3) of faces (F, 3, 3), right-handed; zero where a face has no area.

    Faces so small that the gradient would overflow on its way (in float32 of sides below about 6e-7, which marching
    cubes makes) have none: no pixel sees them turn.
    """
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1)
    squared = normals.square().sum(-1, keepdim=True)
    seen, steady = squared > 0, squared > torch.finfo(squared.dtype).max ** (-2 / 3) * MARGIN
    units = (normals * torch.where(seen, squared, 1).rsqrt()).detach()
    turning = normals * torch.where(steady, squared, 1).rsqrt()
    return torch.where(steady, turning, torch.where(seen, units, 0))


@dataclass(frozen=True)
class _Scene:
    """Triangles (T, 3, 3) with shades (T,) in images (T,) out of `count`."""

    triangles: Tensor
    shades: Tensor
    image: Tensor
    count: int


def render_soft(
    vertices: Tensor | Sequence[Tensor],
    faces: Tensor | Sequence[Tensor],
    cameras: CameraBatch,
    image_size: int = 256,
    softness: Softness = Softness(),  # noqa: B008 (frozen)
    light: Light = Light(),
    backend: Backend | None = None,
) -> SoftImages:
    """Draw meshes softly from all cameras; differentiable with respect to the vertices.

    A pixel is covered by a triangle with the probability sigmoid(+-d^2 / sigma), d its distance from the triangle's
    edge, and triangles blend by a softmax over depth (SoftRas, Liu et al., ICCV 2019). Faces are two-sided and shaded
    flat. Faces that cross the near plane are cut there; what lies beyond `far` or outside the image is not seen and
    costs nothing. An empty mesh gives the background.

    Memory for the way back: about 100 bytes a face and view and 32 bytes a pixel; at a million faces from 25 views
    2.5 GB. Without gradients, views are drawn in groups and the memory is that of 2,000,000 triangles.

    Args:
        vertices: (V, 3) world coordinates, or B of them, of any lengths.
        faces: (F, 3) int64 indices of vertices, or B of them.
        cameras: N cameras, the same for all meshes.
        image_size: Side S of the images, px.
        softness: Softness of edges and depth, the planes between which faces are seen, the background, the rule of the
            gradient. Whether depth or its inverse is linear in the image follows from the cameras.
        light: Where the light comes from.
        backend: "reference" (plain torch, any precision), "numba" (CPU) or "triton"; by default the fast one.

    Returns:
        Images (N, S, S), for lists of meshes (B, N, S, S); x right, y down; float32, of the reference the type of the
        vertices.

    Raises:
        ValueError: Tensors of other shapes, indices of vertices that do not exist, or coordinates that are not finite.
    """
    softness = replace(softness, perspective=not cameras.orthographic)
    single = isinstance(vertices, Tensor) and isinstance(faces, Tensor)
    meshes: list[tuple[Tensor, Tensor]] = [(vertices, faces)] if single else list(zip(vertices, faces, strict=True))  # type: ignore[list-item]
    for mesh in meshes:
        _check(*mesh)
    groups = [
        rasterise(scene.triangles, scene.shades, scene.image, scene.count, image_size, softness, backend)
        for scene in _scenes(meshes, cameras, light, softness.near)
    ]
    shape = (len(cameras),) if single else (len(meshes), len(cameras))
    images = [
        (torch.cat(parts) if len(parts) > 1 else parts[0]).view(*shape, image_size, image_size)
        for parts in zip(*groups, strict=True)
    ]
    return SoftImages(*images)


def _scenes(meshes: list[tuple[Tensor, Tensor]], cameras: CameraBatch, light: Light, near: float) -> Iterator[_Scene]:
    """Meshes and views in order, as many at once as `AT_ONCE` allows."""
    waiting: list[_Scene] = []
    for vertices, faces in meshes:
        views = max(1, AT_ONCE // max(1, len(faces)))
        for first in range(0, len(cameras), views):
            scene = _seen(vertices, faces, cameras[first : first + views], light, near)
            if waiting and sum(len(other.image) for other in [*waiting, scene]) > AT_ONCE:
                yield _together(waiting)
                waiting = []
            waiting.append(scene)
    yield _together(waiting)


def _together(scenes: list[_Scene]) -> _Scene:
    if len(scenes) == 1:
        return scenes[0]
    images, count = [], 0
    for scene in scenes:
        images.append(scene.image + count)
        count += scene.count
    triangles, shades = (torch.cat([getattr(scene, name) for scene in scenes]) for name in ("triangles", "shades"))
    return _Scene(triangles, shades, torch.cat(images), count)


def _seen(vertices: Tensor, faces: Tensor, cameras: CameraBatch, light: Light, near: float) -> _Scene:
    """The faces before the cameras, view by view, cut at the near plane."""
    cameras = cameras.to(vertices)
    count = len(cameras)
    shades = light.shade(vertices.index_select(0, faces.flatten()).view(-1, 3, 3), cameras).flatten()
    image = torch.arange(count, device=vertices.device).repeat_interleave(len(faces))
    points = cameras.in_camera(vertices)
    if bool((points.detach()[..., 2] >= near).all()):
        flat = cameras.to_image(points)
        if not _reaches_far(flat):
            return _Scene(_corners(flat, faces), shades, image, count)
    triangles, source = clip_near(_corners(points, faces), near)
    flat = cameras.to_image(triangles)
    if _reaches_far(flat):
        triangles, inner = clip_sides(triangles, cameras)
        flat, source = cameras.to_image(triangles), source[inner]
    return _Scene(flat, shades[source], image[source], count)


def _reaches_far(flat: Tensor) -> bool:
    """Whether projected points lie so far beside the image that kernels cannot hold them."""
    return flat.numel() > 0 and float(flat.detach()[..., :2].abs().max()) > SIDE_LIMIT


def _corners(points: Tensor, faces: Tensor) -> Tensor:
    """The corners (N * F, 3, 3) of faces (F, 3) among points (N, V, 3), view by view.

    Views lie innermost while corners are looked up: rows of 3 N numbers are copied, and added on the way back, much
    faster than rows of 3.
    """
    views = len(points)
    rows = points.transpose(0, 1).reshape(points.shape[1], 3 * views).index_select(0, faces.flatten())
    return rows.view(-1, 3, views, 3).permute(2, 0, 1, 3).reshape(-1, 3, 3)


def _check(vertices: Tensor, faces: Tensor) -> None:
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices must be (V, 3), not {tuple(vertices.shape)}")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise ValueError(f"faces must be (F, 3) int64, not {tuple(faces.shape)} {faces.dtype}")
    if len(faces) and not 0 <= int(faces.min()) <= int(faces.max()) < len(vertices):
        raise ValueError(f"faces name vertices from {int(faces.min())} to {int(faces.max())} of {len(vertices)}")
    if not bool(torch.isfinite(vertices).all()):
        raise ValueError("the coordinates of all vertices must be finite")
    if len(vertices) and float(vertices.detach().abs().max()) > LARGEST:
        raise ValueError(f"a vertex lies farther than {LARGEST:g} from the origin; scale the mesh to ordinary numbers")


def clip_near(triangles: Tensor, near: float) -> tuple[Tensor, Tensor]:
    """Keep what lies behind the near plane; differentiable.

    Args:
        triangles: (T, 3, 3) camera coordinates, z away from the camera.
        near: Depth of the plane.

    Returns:
        (M, 3, 3) triangles with z >= near, in the order of the given ones, and (M,) int64, the triangle each comes
        from. A triangle with one corner before the plane becomes two, one with two such corners a smaller one; those
        before the plane are gone.
    """
    return _clipped(triangles, triangles.detach()[..., 2] - near, lambda a, b: _crossing_near(a, b, near))


def clip_sides(triangles: Tensor, cameras: CameraBatch) -> tuple[Tensor, Tensor]:
    """Keep what lies within `SIDES` images to each side; as `clip_near`, of triangles behind the near plane."""
    source = torch.arange(len(triangles), device=triangles.device)
    for axis in (0, 1):
        for sign in (1.0, -1.0):

            def distance(points: Tensor, axis: int = axis, sign: float = sign) -> Tensor:
                width = 1.0 if cameras.orthographic else points[..., 2]
                return SIDES * cameras.half_width * width - sign * points[..., axis]

            def crossing(start: Tensor, end: Tensor, distance: Callable[[Tensor], Tensor] = distance) -> Tensor:
                before, behind = distance(start), distance(end)
                return start + (before / (before - behind))[:, None] * (end - start)

            triangles, inner = _clipped(triangles, distance(triangles.detach()), crossing)
            source = source[inner]
    return triangles, source


def _clipped(
    triangles: Tensor, distance: Tensor, crossing: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Keep what of triangles lies behind a plane.

    Args:
        triangles: (T, 3, 3).
        distance: (T, 3) of their corners from the plane, below 0 before it.
        crossing: From two ends (M, 3) on either side to where the segments cross the plane, (M, 3).
    """
    before = distance < 0
    corners = before.sum(1)
    whole, one, two = ((corners == number).nonzero()[:, 0] for number in (0, 1, 2))
    a, b, c = _turned(triangles[one], before[one])  # a lies before the plane
    ab, ac = crossing(a, b), crossing(a, c)
    d, e, f = _turned(triangles[two], ~before[two])  # d lies behind the plane
    de, df = crossing(d, e), crossing(d, f)
    pieces = [triangles[whole]] + [torch.stack(piece, 1) for piece in ((ab, b, c), (ab, c, ac), (d, de, df))]
    source = torch.cat([whole, one, one, two])
    order = torch.argsort(source, stable=True)
    return torch.cat(pieces)[order], source[order]


def _turned(triangles: Tensor, odd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The corners (M, 3), in the same sense of rotation, from the odd one on."""
    rows = torch.arange(len(triangles), device=triangles.device)
    first = odd.int().argmax(1)
    a, b, c = (triangles[rows, (first + k) % 3] for k in range(3))
    return a, b, c


def _crossing_near(start: Tensor, end: Tensor, near: float) -> Tensor:
    """Where segments (M, 3) that have one end on each side cross the plane."""
    share = (near - start[:, 2]) / (end[:, 2] - start[:, 2])
    flat = start[:, :2] + share[:, None] * (end - start)[:, :2]
    return torch.cat([flat, torch.full_like(start[:, :1], near)], 1)
