"""The views of the paper's protocols (section 5): where orthographic cameras stand, and the light they see by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from liftnet.core.ids import stable_seed
from liftnet.core.types import FloatArray
from liftnet.geometry.cameras import OrthographicCamera
from liftnet.render.mesh import Mesh, normalise
from liftnet.render.views import Light, draw_light, facing, towards

FILL = 0.9  # radius of the shape's bounding sphere, in half widths of the image
DISTANCE = 2.732  # half widths from the camera's plane to the middle of the shape: depths are positive
SKETCHFAB_VIEWS, SHAPENET_VIEWS = 5, 10
SKETCHFAB_AZIMUTHS = (0.0, 120.0)
SHAPENET_ELEVATION = 45.0
GREY = np.full((2, 3), 0.45)


@dataclass(frozen=True)
class OrthographicView:
    """One orthographic view to render, the same for every renderer.

    Attributes:
        camera: A world unit is half the image's width.
        light: The key light and the surrounding.
        width: Of the image, px.
        height: Of the image, px.
        backdrop: (2, 3) linear colour of the background at the top and at the bottom.
        azimuth: Radians; 0 looks at the front, which faces -y.
        elevation: Radians above the horizon.
        seed: Of the noise in the image.
    """

    camera: OrthographicCamera
    light: Light
    width: int
    height: int
    backdrop: FloatArray
    azimuth: float
    elevation: float
    seed: int


def fit_frame(mesh: Mesh) -> Mesh:
    """Scale a mesh so that its bounding sphere has the radius `FILL`, centre it over the origin, stand it on z = 0."""
    mesh = normalise(mesh)
    return replace(mesh, vertices=mesh.vertices * np.float32(FILL))


def sketchfab_views(mesh: Mesh, size: int, varied: bool, seed: int) -> list[OrthographicView]:
    """Five views, azimuth spread evenly over 0 to 120 degrees, elevation 0.

    Args:
        mesh: As `fit_frame` gives it.
        size: Side of the images, px.
        varied: Draw a background for each view, else a plain grey.
        seed: Of the shape.
    """
    azimuths = np.radians(np.linspace(*SKETCHFAB_AZIMUTHS, SKETCHFAB_VIEWS))
    return _views(mesh, [(float(azimuth), 0.0) for azimuth in azimuths], size, varied, seed)


def shapenet_views(mesh: Mesh, size: int, varied: bool, seed: int) -> list[OrthographicView]:
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
    mesh: Mesh, directions: list[tuple[float, float]], size: int, varied: bool, seed: int
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
