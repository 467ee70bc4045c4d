"""Where cameras stand and where the light comes from: for photographs, and for the paper's orthographic views."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from liftnet.core.ids import stable_seed
from liftnet.core.types import FloatArray
from liftnet.geometry.cameras import AnyCamera, Camera, OrthographicCamera
from liftnet.mesh.mesh import TriangleMesh, stand

FLAVOURS = ("plain", "plain", "close", "plain", "turned", "plain", "near", "plain", "close", "plain")


@dataclass(frozen=True)
class Illumination:
    """A distant key light over a bright surrounding.

    Attributes:
        direction: (3,) from the surface to the light, of length 1.
        colour: (3,) of the key light, linear.
        ambient: (3,) of the surrounding from above.
        spread: Half angle of the light in radians; softens the shadow's edge.
    """

    direction: FloatArray
    colour: FloatArray
    ambient: FloatArray
    spread: float


@dataclass(frozen=True)
class PerspectiveView:
    """One photograph to take: camera, light, size in pixels and which of the work's places it is taken in."""

    camera: Camera
    light: Illumination
    width: int
    height: int
    place: int
    flavour: str
    seed: int


def plan_views(
    vertices: FloatArray, count: int, size: int, span: float, seed: int, flavours: tuple[str, ...] = FLAVOURS
) -> list[PerspectiveView]:
    """The views of one work.

    They spread in azimuth over about `span` degrees before its front, with small changes of height; every tenth view
    or so is a close-up, turned in its plane, or taken with a wide lens from nearby.

    Args:
        vertices: (V, 3) of the normalised mesh.
        count: Number of views.
        size: Long side of the images, px.
        span: Mean of the range of azimuths, degrees.
        seed: Seed of the work.
        flavours: What kinds of views take turns.
    """
    rng = np.random.default_rng(stable_seed(seed, "views"))
    total = np.radians(span) * rng.uniform(0.8, 1.2)
    step = total / max(count - 1, 1)
    azimuths = np.linspace(-total / 2, total / 2, count) + rng.uniform(-0.25, 0.25, count) * step
    azimuths += np.radians(rng.uniform(-20, 20))
    offset, changes = int(rng.integers(len(flavours))), sorted(rng.integers(1, max(count, 2), 2))
    level = rng.uniform(2, 20)
    views = []
    for i in range(count):
        own = np.random.default_rng(stable_seed(seed, "view", str(i)))
        place = int(np.searchsorted(changes, i, side="right"))
        elevation = np.radians(np.clip(level + own.uniform(-7, 7), 0.5, 32))
        flavour = flavours[(i + offset) % len(flavours)]
        views.append(_view(vertices, float(azimuths[i]), float(elevation), flavour, place, size, own))
    return views


def _view(
    vertices: FloatArray,
    azimuth: float,
    elevation: float,
    flavour: str,
    place: int,
    size: int,
    rng: np.random.Generator,
) -> PerspectiveView:
    low, high = vertices.min(0), vertices.max(0)
    wide = np.hypot(*(high - low)[:2]) > 1.05 * (high - low)[2]
    short = round(size * float(rng.choice([0.75, 0.8, 0.667])))
    width, height = (size, short) if wide else (short, size)
    angle = rng.uniform(24, 40) if flavour != "near" else rng.uniform(56, 70)
    roll = np.radians(rng.uniform(15, 40) * rng.choice([-1, 1]) if flavour == "turned" else rng.uniform(-3, 3))
    fill = rng.uniform(1.15, 1.5) if flavour == "close" else rng.uniform(0.68, 0.86)
    target = (low + high) / 2
    if flavour == "close":
        target = target + rng.uniform(-0.2, 0.2, 3) * (high - low) + [0, 0, 0.08 * (high - low)[2]]
    else:
        target = target + rng.uniform(-0.04, 0.04, 3) * (high - low)
    out = towards(azimuth, elevation)
    focal = 0.5 * size / np.tan(np.radians(angle) / 2)
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    camera = _fit(vertices[:: max(len(vertices) // 2000, 1)], intrinsics, target, out, roll, fill)
    light = draw_light(rng, azimuth)
    return PerspectiveView(camera, light, width, height, place, flavour, int(rng.integers(1 << 40)))


def _fit(
    points: FloatArray, intrinsics: FloatArray, target: FloatArray, out: FloatArray, roll: float, fill: float
) -> Camera:
    """The camera on the ray `target + t out` whose picture of `points` takes `fill` of the width or height."""
    size = 2 * intrinsics[:2, 2] + 1
    nearest = float((points @ out).max() - target @ out) + 0.45
    distance = 4.0
    for _ in range(12):
        camera = look_at(intrinsics, target + distance * out, target, roll)
        pixels, depth = camera.project(points)
        pixels = pixels[depth > 0.1]
        share = float((np.ptp(pixels, axis=0) / size).max())
        distance = float(np.clip(distance * share / fill, nearest, 30.0))
    return look_at(intrinsics, target + distance * out, target, roll)


def look_at(intrinsics: FloatArray, eye: FloatArray, target: FloatArray, roll: float = 0.0) -> Camera:
    """The camera at `eye` that has `target` in its centre, z up, turned by `roll` radians in its plane."""
    turn = facing((target - eye) / np.linalg.norm(target - eye), roll)
    return Camera(intrinsics, turn, -turn @ eye)


def facing(forward: FloatArray, roll: float = 0.0) -> FloatArray:
    """(3, 3) world to camera for a camera that looks along `forward` (of length 1), z up, turned by `roll`."""
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, forward])


def towards(azimuth: float, elevation: float) -> FloatArray:
    """(3,) from the object to a camera or a light; azimuth 0 is the front, -y, and grows to +x. Radians."""
    return np.array([np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)])


def draw_light(rng: np.random.Generator, azimuth: float) -> Illumination:
    """A key light from above, at most 72 degrees to the side of a camera at `azimuth` (radians)."""
    side, height = azimuth + rng.uniform(-1.25, 1.25), np.radians(rng.uniform(22, 68))
    direction = towards(side, height)
    warmth, strength = rng.uniform(-1, 1), rng.uniform(0.75, 1.15)
    colour = strength * np.array([1 + 0.13 * warmth, 1.0, 1 - 0.16 * warmth])
    around = rng.uniform(0.2, 0.5) * np.array([1 - 0.08 * warmth, 1.0, 1 + 0.1 * warmth])
    return Illumination(direction, colour, around, float(rng.uniform(0.01, 0.09)))


FILL = 0.9  # radius of the shape's bounding sphere, in half widths of the image
DISTANCE = 2.732  # half widths from the camera's plane to the middle of the shape: depths are positive
SKETCHFAB_VIEWS, SHAPENET_VIEWS = 5, 10
SKETCHFAB_AZIMUTHS = (0.0, 120.0)
SHAPENET_ELEVATION = 45.0
GREY = np.full((2, 3), 0.45)


@dataclass(frozen=True)
class SubjectView:
    """One view of a mesh alone to render.

    Attributes:
        camera: How it is seen.
        light: The key light and the surrounding.
        width: Of the image, px.
        height: Of the image, px.
        seed: Of the noise in the image.
    """

    camera: AnyCamera
    light: Illumination
    width: int
    height: int
    seed: int


@dataclass(frozen=True)
class OrthographicView(SubjectView):
    """One orthographic view to render, the same for every renderer.

    Attributes:
        camera: A world unit is half the image's width.
        backdrop: (2, 3) linear colour of the background at the top and at the bottom.
        azimuth: Radians; 0 looks at the front, which faces -y.
        elevation: Radians above the horizon.
    """

    camera: OrthographicCamera
    backdrop: FloatArray
    azimuth: float
    elevation: float


def fit_frame(mesh: TriangleMesh) -> TriangleMesh:
    """Scale a mesh so that its bounding sphere has the radius `FILL`, centre it over the origin, stand it on z = 0."""
    mesh = stand(mesh.to_up("z"))
    return replace(mesh, vertices=mesh.vertices * np.float32(FILL))


def sketchfab_views(mesh: TriangleMesh, size: int, varied: bool, seed: int) -> list[OrthographicView]:
    """Five views, azimuth spread evenly over 0 to 120 degrees, elevation 0.

    Args:
        mesh: As `fit_frame` gives it.
        size: Side of the images, px.
        varied: Draw a background for each view, else a plain grey.
        seed: Of the shape.
    """
    azimuths = np.radians(np.linspace(*SKETCHFAB_AZIMUTHS, SKETCHFAB_VIEWS))
    return _views(mesh, [(float(azimuth), 0.0) for azimuth in azimuths], size, varied, seed)


def shapenet_views(mesh: TriangleMesh, size: int, varied: bool, seed: int) -> list[OrthographicView]:
    """Ten views, azimuth in 0 to 360 degrees and elevation in -45 to 45, drawn from the seed of the shape.

    Arguments as for `sketchfab_views`.
    """
    rng = np.random.default_rng(stable_seed(seed, "directions"))
    azimuths = rng.uniform(0, 2 * np.pi, SHAPENET_VIEWS)
    elevations = np.radians(rng.uniform(-SHAPENET_ELEVATION, SHAPENET_ELEVATION, SHAPENET_VIEWS))
    directions = list(zip(azimuths.tolist(), elevations.tolist(), strict=True))
    return _views(mesh, directions, size, varied, seed)


def orthographic_camera(target: FloatArray, azimuth: float, elevation: float, size: int) -> OrthographicCamera:
    """The camera `DISTANCE` from the target; the image is two world units wide. Angles in radians, size in px."""
    out = towards(azimuth, elevation)
    turn = facing(-out)
    centre = np.full(2, (size - 1) / 2)
    return OrthographicCamera(size / 2, centre, turn, -turn @ (np.asarray(target, np.float64) + DISTANCE * out))


def _views(
    mesh: TriangleMesh, directions: list[tuple[float, float]], size: int, varied: bool, seed: int
) -> list[OrthographicView]:
    target = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    views = []
    for number, (azimuth, elevation) in enumerate(directions):
        rng = np.random.default_rng(stable_seed(seed, "view", str(number)))
        views.append(
            OrthographicView(
                camera=orthographic_camera(target, azimuth, elevation, size),
                light=draw_light(rng, azimuth),
                width=size,
                height=size,
                backdrop=rng.uniform(0.05, 0.8, (2, 1)) * rng.uniform(0.85, 1, (2, 3)) if varied else GREY,
                azimuth=azimuth,
                elevation=elevation,
                seed=int(rng.integers(1 << 40)),
            )
        )
    return views
