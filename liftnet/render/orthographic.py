"""Orthographic views of one mesh by casting rays: image, depth in half widths of the image, mask, camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from liftnet.core.types import BoolArray, FloatArray, UInt8Array
from liftnet.data.truth import TrueView
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.materials import Material
from liftnet.render.photograph import SUBPIXELS, develop, key_light_reach, reflect
from liftnet.render.scene import Bodies, openness_at
from liftnet.render.viewpoints import OrthographicView

UNIT = "half width"
AMBIENT_RAYS = 12
JUMP = 0.04  # half widths: a larger step of depth between neighbours is an edge
CREASE = 0.8  # cosine between neighbouring normals below which there is an edge


@dataclass(frozen=True)
class Subject:
    """What is rendered: a mesh as `liftnet.render.viewpoints.fit_frame` gives it, and its material.

    Attributes:
        mesh: The mesh; where it has colours, they replace the material's.
        material: The material.
        bodies: The mesh, ready for rays.
    """

    mesh: TriangleMesh
    material: Material
    bodies: Bodies


@dataclass(frozen=True)
class _Traced:
    """What N parallel rays meet: distance (infinite for nothing), normal towards the camera, colour or None."""

    distance: FloatArray
    normal: FloatArray
    colour: FloatArray | None

    @property
    def hit(self) -> BoolArray:
        return np.isfinite(self.distance)


def make_subject(mesh: TriangleMesh, material: Material) -> Subject:
    """A mesh and its material, ready to be rendered from many sides."""
    return Subject(mesh, material, Bodies(mesh))


def render_view(subject: Subject, view: OrthographicView) -> tuple[UInt8Array, TrueView]:
    """Render one view.

    Depth is sampled at the pixel centres; the image's edges are averaged over four rays a pixel.

    Returns:
        (H, W, 3) uint8 RGB, and the depth and camera it was taken with, in half widths of the image.
    """
    rng = np.random.default_rng(view.seed)
    height, width = view.height, view.width
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2).astype(np.float64)
    traced = _trace(subject, view, grid)
    linear = _shade(subject, view, grid, traced, rng)
    edge = np.flatnonzero(_edges(traced, (height, width)))
    linear[edge] = 0
    for shift in SUBPIXELS:
        at = grid[edge] + shift
        linear[edge] += np.minimum(_shade(subject, view, at, _trace(subject, view, at), rng), 1.5) / len(SUBPIXELS)
    depth = np.where(traced.hit, traced.distance, np.nan).reshape(height, width).astype(np.float32)
    return develop(linear.reshape(height, width, 3), traced.hit, rng), TrueView(depth, view.camera, UNIT)


def _rays(view: OrthographicView, pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N, 3) float32 origins in the camera's plane and directions of length 1, so that a distance is a depth."""
    origins = view.camera.unproject(pixels, np.zeros(len(pixels)))
    ways = np.tile(view.camera.rotation[2].astype(np.float32), (len(pixels), 1))
    return origins.astype(np.float32), ways


def _trace(subject: Subject, view: OrthographicView, pixels: FloatArray) -> _Traced:
    found = subject.bodies.first(*_rays(view, pixels))
    hit = np.flatnonzero(found["geomID"] == 0)
    distance = np.full(len(pixels), np.inf, np.float32)
    distance[hit] = found["tfar"][hit]
    corners = subject.mesh.faces[found["primID"][hit]]
    v, w = found["u"][hit], found["v"][hit]
    weights = np.stack([1 - v - w, v, w], 1)[:, :, None]
    own = (subject.mesh.known_normals[corners] * weights).sum(1)
    own *= np.where(own @ view.camera.rotation[2].astype(np.float32) > 0, -1, 1)[:, None]  # sheets have two sides
    normal = np.zeros((len(pixels), 3), np.float32)
    normal[hit] = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-6)
    colour = None
    if subject.mesh.colours is not None:
        colour = np.zeros((len(pixels), 3), np.float32)
        colour[hit] = (subject.mesh.colours[corners] * weights).sum(1)
    return _Traced(distance, normal, colour)


def _shade(
    subject: Subject, view: OrthographicView, pixels: FloatArray, traced: _Traced, rng: np.random.Generator
) -> FloatArray:
    """(N, 3) linear light along each ray."""
    share = (pixels[:, 1:] + 0.5) / view.height
    colour = (view.backdrop[0] * (1 - share) + view.backdrop[1] * share).astype(np.float32)
    hit = np.flatnonzero(traced.hit)
    if not len(hit):
        return colour
    origins, ways = _rays(view, pixels[hit])
    points, normals = origins + ways * traced.distance[hit, None], traced.normal[hit]
    surface = subject.material(points, np.full(len(hit), 1 / view.camera.scale, np.float32))
    if traced.colour is not None:
        surface = replace(surface, albedo=traced.colour[hit])
    lit = key_light_reach(subject.bodies, view.light, points, normals, rng)
    openness = openness_at(subject.bodies, points, normals, AMBIENT_RAYS, ground=False)
    colour[hit] = reflect(surface, view.light, normals, ways, lit, openness)
    return colour


def _edges(traced: _Traced, shape: tuple[int, int]) -> BoolArray:
    """(H * W,) bool: next to a silhouette, a step of depth or a crease."""
    far = np.where(traced.hit, traced.distance, 1e3).reshape(shape)
    normals = traced.normal.reshape(*shape, 3)
    edge = np.zeros(shape, bool)
    for axis in (0, 1):
        a, b, mark = (np.moveaxis(values, axis, 0) for values in (far, normals, edge))
        jump = np.abs(a[1:] - a[:-1]) > JUMP
        jump |= ((b[1:] * b[:-1]).sum(-1) < CREASE) & (a[1:] < 1e3)
        mark[1:] |= jump
        mark[:-1] |= jump
    return edge.ravel()
