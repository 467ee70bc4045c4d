"""Take the photograph of a view: shade what its rays meet, smooth the edges, add the sensor's noise."""

from __future__ import annotations

import numpy as np

from liftnet.core.types import BoolArray, FloatArray, IntArray, UInt8Array
from liftnet.data.truth import TrueView
from liftnet.geometry.cameras import Camera
from liftnet.render.materials import Material, Surface
from liftnet.render.scene import OBJECT, SKY, Bodies, Hits, Place
from liftnet.render.viewpoints import Illumination, PerspectiveView

SUBPIXELS = np.array([[-0.375, -0.125], [0.125, -0.375], [0.375, 0.125], [-0.125, 0.375]])  # rotated grid
SHADOW_RAYS = 2


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
    height, width = view.height, view.width
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2).astype(np.float64)
    origins, ways = rays(view.camera, grid)
    hits = place.trace(origins, ways)
    linear = _shade(place, material, view, hits, origins, ways, rng)
    depth = np.where(hits.kind == OBJECT, hits.distance, np.nan).reshape(height, width).astype(np.float32)
    edge = np.flatnonzero(_edges(hits.kind.reshape(height, width), hits.distance.reshape(height, width)))
    linear[edge] = 0
    for shift in SUBPIXELS:
        origins, ways = rays(view.camera, grid[edge] + shift)
        part = place.trace(origins, ways)
        shaded = _shade(place, material, view, part, origins, ways, rng)
        linear[edge] += np.minimum(shaded, 1.5) / np.float32(len(SUBPIXELS))
    return develop(linear.reshape(height, width, 3), hits.kind == OBJECT, rng), TrueView(depth, view.camera)


def _edges(kind: IntArray, distance: FloatArray) -> BoolArray:
    """(H, W) bool: next to a jump in kind or of more than 1.5 % in distance."""
    edge = np.zeros(kind.shape, bool)
    far = np.where(np.isfinite(distance), distance, 1e3)
    for axis in (0, 1):
        a, b = np.moveaxis(kind, axis, 0), np.moveaxis(far, axis, 0)
        jump = (a[1:] != a[:-1]) | (np.abs(b[1:] - b[:-1]) > 0.015 * b[1:]) & (a[1:] == OBJECT)
        mark = np.moveaxis(edge, axis, 0)
        mark[1:] |= jump
        mark[:-1] |= jump
    return edge.ravel()


def _shade(
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
