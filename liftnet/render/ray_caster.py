"""The built-in renderer: cast rays, shade what they meet, smooth the edges, add the sensor's noise.

It takes photographs of a sculpture in its place, and views of one mesh alone: orthographic ones with a backdrop, their
depth in half widths of the image, and others cut out, with the share of each pixel that the mesh covers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from liftnet.core.types import BoolArray, FloatArray, IntArray, UInt8Array
from liftnet.data.truth import TrueView
from liftnet.geometry.cameras import AnyCamera, Camera
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.materials import Material, Surface
from liftnet.render.scene import OBJECT, SKY, Bodies, Hits, Place, openness_at
from liftnet.render.viewpoints import Illumination, OrthographicView, PerspectiveView, SubjectView

SUBPIXELS = np.array([[-0.375, -0.125], [0.125, -0.375], [0.375, 0.125], [-0.125, 0.375]])  # rotated grid
SHADOW_RAYS = 2
UNIT = "half width"  # of the depth of an orthographic view
AMBIENT_RAYS = 12
JUMP = 0.04  # half widths: a larger step of depth between neighbours is an edge
CREASE = 0.8  # cosine between neighbouring normals below which there is an edge


def rays(camera: Camera, pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rays through (N, 2) pixels.

    Returns:
        (N, 3) float32 origins and directions. A direction's part along the optical axis is 1, so a distance in units
        of the direction is a depth.
    """
    ways = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(camera.intrinsics).T @ camera.rotation
    eye = -camera.rotation.T @ camera.translation
    return np.tile(eye.astype(np.float32), (len(pixels), 1)), ways.astype(np.float32)


def photograph(place: Place, material: Material, view: PerspectiveView) -> tuple[UInt8Array, TrueView]:
    """Render one view.

    Returns:
        (H, W, 3) uint8 RGB, and the depth and camera it was taken with.
    """
    rng = np.random.default_rng(view.seed)
    grid = _pixels(view)

    def light(pixels: FloatArray) -> tuple[FloatArray, Hits]:
        origins, ways = rays(view.camera, pixels)
        hits = place.trace(origins, ways)
        return _shaded(place, material, view, hits, origins, ways, rng), hits

    linear, hits = light(grid)
    shape = (view.height, view.width)
    depth = np.where(hits.kind == OBJECT, hits.distance, np.nan).reshape(shape).astype(np.float32)
    edge = np.flatnonzero(_near_jumps(hits.kind.reshape(shape), hits.distance.reshape(shape)))
    _smooth(linear, edge, lambda shift: light(grid[edge] + shift)[0])
    return develop(linear.reshape(*shape, 3), hits.kind == OBJECT, rng), TrueView(depth, view.camera)


def _pixels(view: PerspectiveView | SubjectView) -> FloatArray:
    """(H * W, 2) the centres of the pixels of a view, row by row."""
    across = np.stack(np.meshgrid(np.arange(view.width), np.arange(view.height)), -1)
    return across.reshape(-1, 2).astype(np.float64)


def _smooth(linear: FloatArray, edge: IntArray, light: Callable[[FloatArray], FloatArray]) -> None:
    """Replace the light of the pixels `edge` by its mean over four rays each; `light` gives it at a shift."""
    linear[edge] = 0
    for shift in SUBPIXELS:
        linear[edge] += np.minimum(light(shift), 1.5) / np.float32(len(SUBPIXELS))


def _beside(jumps: Sequence[BoolArray], shape: tuple[int, ...]) -> BoolArray:
    """(H * W,) bool: on either side of a jump, (H - 1, W) down the columns and (W - 1, H) along the rows."""
    edge = np.zeros(shape, bool)
    for axis, jump in enumerate(jumps):
        mark = np.moveaxis(edge, axis, 0)
        mark[1:] |= jump
        mark[:-1] |= jump
    return edge.ravel()


def _near_jumps(kind: IntArray, distance: FloatArray) -> BoolArray:
    """(H * W,) bool: next to a jump in kind or of more than 1.5 % in distance."""
    far = np.where(np.isfinite(distance), distance, 1e3)
    jumps = [
        (a[1:] != a[:-1]) | (np.abs(b[1:] - b[:-1]) > 0.015 * b[1:]) & (a[1:] == OBJECT)
        for a, b in ((kind, far), (kind.T, far.T))
    ]
    return _beside(jumps, kind.shape)


def _shaded(
    place: Place,
    material: Material,
    view: PerspectiveView,
    hits: Hits,
    origins: FloatArray,
    ways: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """(N, 3) linear light along each ray."""
    colour = np.empty((len(ways), 3), np.float32)
    open_sky = np.flatnonzero(hits.kind == SKY)
    if len(open_sky):
        colour[open_sky] = place.sky(ways[open_sky]) * view.light.ambient.mean().astype(np.float32) * np.float32(2)
    solid = np.flatnonzero(hits.kind != SKY)
    points = origins[solid] + ways[solid] * hits.distance[solid, None]
    lit = key_light_reach(place.bodies, view.light, points, hits.normal[solid], rng)
    footprint = hits.distance[solid] / np.float32(view.camera.intrinsics[0, 0])
    for kind, texture in {OBJECT: material, **place.textures}.items():
        mine = np.flatnonzero(hits.kind[solid] == kind)
        if not len(mine):
            continue
        surface = texture(points[mine], footprint[mine])
        rows = solid[mine]
        colour[rows] = reflect(surface, view.light, hits.normal[rows], ways[rows], lit[mine], hits.occlusion[rows])
    return colour


def key_light_reach(
    bodies: Bodies, light: Illumination, points: FloatArray, normals: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """(N,) share of the key light that reaches each point, from a few rays spread over the light."""
    start = points + normals * np.float32(0.006)
    facing = np.flatnonzero(normals @ light.direction.astype(np.float32) > -0.2)
    reach = np.zeros(len(points), np.float32)
    for _ in range(SHADOW_RAYS):
        spread = rng.normal(size=(len(facing), 3)).astype(np.float32) * np.float32(light.spread * 0.6)
        towards = light.direction.astype(np.float32) + spread
        reach[facing] += ~bodies.blocked(start[facing], towards)
    return reach / np.float32(SHADOW_RAYS)


def reflect(
    surface: Surface, light: Illumination, normals: FloatArray, ways: FloatArray, lit: FloatArray, openness: FloatArray
) -> FloatArray:
    """Lambert and Blinn-Phong under the key light, and a surrounding that is brighter above than below."""
    tilt = surface.bump - (surface.bump * normals).sum(1, keepdims=True) * normals
    bumped = normals - tilt
    bumped /= np.linalg.norm(bumped, axis=1, keepdims=True)
    direction = light.direction.astype(np.float32)
    diffuse = np.maximum(bumped @ direction, 0) * lit
    from_above = (0.62 + 0.38 * bumped[:, 2]) * openness**1.3
    colour = surface.albedo * (
        diffuse[:, None] * light.colour.astype(np.float32) + from_above[:, None] * light.ambient.astype(np.float32)
    )
    if surface.gloss > 0:
        eye = -ways / np.linalg.norm(ways, axis=1, keepdims=True)
        half = direction + eye
        half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
        shine = np.maximum((bumped * half).sum(1), 0) ** surface.shininess * (0.15 + 0.85 * lit)
        colour += (surface.gloss * shine * openness)[:, None] * light.colour.astype(np.float32)
    return colour.astype(np.float32)


def develop(linear: FloatArray, subject: BoolArray, rng: np.random.Generator) -> UInt8Array:
    """Expose for the subject, apply the sRGB curve and add noise.

    Args:
        linear: (H, W, 3) light.
        subject: (H * W,) bool, what to expose for.
        rng: Of the exposure and the noise.
    """
    own = linear.reshape(-1, 3)[subject]
    bright = float(np.percentile(own.mean(1), 90)) if len(own) else 0.5
    exposed = np.maximum(linear * np.float32(rng.uniform(0.5, 0.72) / max(bright, 0.02)), 0)
    exposed = np.where(exposed > 0.7, 0.7 + 0.3 * np.tanh((exposed - 0.7) / 0.3), exposed)
    encoded = np.where(exposed < 0.0031308, 12.92 * exposed, 1.055 * exposed ** np.float32(1 / 2.4) - 0.055)
    noise = rng.normal(size=(*linear.shape[:2], 1)) + 0.5 * rng.normal(size=linear.shape)
    return np.clip(255 * encoded + rng.uniform(0.7, 2.0) * noise + 0.5, 0, 255).astype(np.uint8)


# Views of one mesh


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
    """What N rays meet: distance (infinite for nothing), normal towards the camera, colour or None."""

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
    """Render one view before its backdrop.

    Depth is sampled at the pixel centres; the image's edges are averaged over four rays a pixel.

    Returns:
        (H, W, 3) uint8 RGB, and the depth and camera it was taken with, in half widths of the image.
    """
    rng = np.random.default_rng(view.seed)
    grid, shape = _pixels(view), (view.height, view.width)

    def light(pixels: FloatArray) -> tuple[FloatArray, _Traced]:
        share = (pixels[:, 1:] + 0.5) / view.height
        backdrop = (view.backdrop[0] * (1 - share) + view.backdrop[1] * share).astype(np.float32)
        return _lit(subject, view, pixels, backdrop, rng)

    linear, traced = light(grid)
    edge = np.flatnonzero(_near_creases(traced, shape))
    _smooth(linear, edge, lambda shift: light(grid[edge] + shift)[0])
    depth = np.where(traced.hit, traced.distance, np.nan).reshape(shape).astype(np.float32)
    return develop(linear.reshape(*shape, 3), traced.hit, rng), TrueView(depth, view.camera, UNIT)


def render_cutout(subject: Subject, view: SubjectView) -> UInt8Array:
    """Render one view without a background.

    Returns:
        (H, W, 4) uint8: RGB, not multiplied, black where the mesh is not seen, and the share of the pixel it covers.
    """
    rng = np.random.default_rng(view.seed)
    grid, shape = _pixels(view), (view.height, view.width)

    def light(pixels: FloatArray) -> tuple[FloatArray, _Traced]:
        linear, traced = _lit(subject, view, pixels, np.zeros((len(pixels), 3), np.float32), rng)
        return np.column_stack([linear, traced.hit.astype(np.float32)]), traced

    linear, traced = light(grid)
    edge = np.flatnonzero(_near_creases(traced, shape))
    _smooth(linear, edge, lambda shift: light(grid[edge] + shift)[0])
    cover = linear[:, 3]
    seen = cover > 0
    linear[seen, :3] /= cover[seen, None]
    image = develop(linear[:, :3].reshape(*shape, 3), seen, rng)
    image[~seen.reshape(shape)] = 0
    return np.dstack([image, np.rint(255 * cover).astype(np.uint8).reshape(shape)])


def _rays_through(camera: AnyCamera, pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N, 3) float32 origins in the camera or its plane, and directions along which a distance is a depth."""
    if isinstance(camera, Camera):
        return rays(camera, pixels)
    origins = camera.unproject(pixels, np.zeros(len(pixels)))
    ways = np.tile(camera.rotation[2].astype(np.float32), (len(pixels), 1))
    return origins.astype(np.float32), ways


def _trace(subject: Subject, origins: FloatArray, ways: FloatArray) -> _Traced:
    found = subject.bodies.first(origins, ways)
    hit = np.flatnonzero(found["geomID"] == 0)
    distance = np.full(len(ways), np.inf, np.float32)
    distance[hit] = found["tfar"][hit]
    corners = subject.mesh.faces[found["primID"][hit]]
    v, w = found["u"][hit], found["v"][hit]
    weights = np.stack([1 - v - w, v, w], 1)[:, :, None]
    own = (subject.mesh.known_normals[corners] * weights).sum(1)
    own *= np.where((own * ways[hit]).sum(1) > 0, -1, 1)[:, None]  # sheets have two sides
    normal = np.zeros((len(ways), 3), np.float32)
    normal[hit] = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-6)
    colour = None
    if subject.mesh.colours is not None:
        colour = np.zeros((len(ways), 3), np.float32)
        colour[hit] = (subject.mesh.colours[corners] * weights).sum(1)
    return _Traced(distance, normal, colour)


def _lit(
    subject: Subject, view: SubjectView, pixels: FloatArray, backdrop: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, _Traced]:
    """(N, 3) linear light along the rays through pixels, the backdrop where they meet nothing; and what they meet."""
    origins, ways = _rays_through(view.camera, pixels)
    traced = _trace(subject, origins, ways)
    hit = np.flatnonzero(traced.hit)
    if not len(hit):
        return backdrop, traced
    ways, distance, normals = ways[hit], traced.distance[hit], traced.normal[hit]
    points = origins[hit] + ways * distance[:, None]
    footprint = _pixel_width(view.camera, distance)
    surface = subject.material(points, footprint)
    if traced.colour is not None:
        surface = replace(surface, albedo=traced.colour[hit])
    lit = key_light_reach(subject.bodies, view.light, points, normals, rng)
    openness = openness_at(subject.bodies, points, normals, AMBIENT_RAYS, ground=False)
    backdrop[hit] = reflect(surface, view.light, normals, ways, lit, openness)
    return backdrop, traced


def _pixel_width(camera: AnyCamera, depth: FloatArray) -> FloatArray:
    """(N,) float32 width of a pixel at a depth, world units."""
    if isinstance(camera, Camera):
        return (depth / np.float32(camera.intrinsics[0, 0])).astype(np.float32)
    return np.full(len(depth), 1 / camera.scale, np.float32)


def _near_creases(traced: _Traced, shape: tuple[int, int]) -> BoolArray:
    """(H * W,) bool: next to a silhouette, a step of depth or a crease."""
    far = np.where(traced.hit, traced.distance, 1e3).reshape(shape)
    normals = traced.normal.reshape(*shape, 3)
    jumps = [
        (np.abs(a[1:] - a[:-1]) > JUMP) | ((b[1:] * b[:-1]).sum(-1) < CREASE) & (a[1:] < 1e3)
        for a, b in ((far, normals), (far.T, normals.swapaxes(0, 1)))
    ]
    return _beside(jumps, shape)
