"""Write the set reconstruction: pictures of shapes from known cameras, and what is to be reconstructed of each shape.

A picture is cut out: its fourth channel says what the shape covers. It fills the picture as far as the ball of radius
.5 around it does. In the random rig, each picture has a camera, a light and colours of its own; the ring is that of
Kato et al., Neural 3D Mesh Renderer (CVPR 2018): 24 azimuths, 30 degrees above the horizon.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_json
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.core.types import Float64Array, FloatArray, UInt8Array
from liftnet.data.pictures import write_image
from liftnet.data.reconstruction_set import ShapeTarget, mesh_path, picture_path, target_path, write_target
from liftnet.data.schemas import RECONSTRUCTION_SHAPES, VIEWS, write_table
from liftnet.geometry.cameras import Camera
from liftnet.mesh.mesh import RADIUS, BadMeshError, TriangleMesh, is_closed
from liftnet.mesh.voxels import sample_outside, voxelise, with_thin_parts
from liftnet.mesh.writing import write_mesh
from liftnet.render.materials import paint
from liftnet.render.ray_caster import Subject, make_subject, render_cutout
from liftnet.render.reconstruction_shapes import PlacedShape, placed_shapes
from liftnet.render.set_folder import SetFolder, remove
from liftnet.render.settings import PicturedShapeSettings, SetSettings
from liftnet.render.viewpoints import FILL, SubjectView, draw_light, facing, towards

LOG = get_logger("render")
VERSION = 1  # raised when the same settings give other files
NAME = "reconstruction"
HALF_ANGLES = (10.0, 22.0)  # degrees, of the viewing angle in which the ball just fits: distances 2.9 to 1.3
RING_VIEWS, RING_ELEVATION, RING_HALF_ANGLE = 24, 30.0, 15.0
SCALE = FILL / RADIUS  # shapes are lit at the size that shadows, soft light and edges of the ray caster are made for
TURN = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # the frame of shapes, y up, to that of the ray caster, z up
FLIP = np.diag([1.0, -1, -1])  # x right, y down, z away to x right, y up, z towards the camera
SAME = 1e-4  # how alike the corners of two copies of one mesh are


@dataclass(frozen=True)
class Viewpoint:
    """Where a picture is taken from.

    Attributes:
        azimuth: Degrees; 0 looks at the front, which faces +z, and grows to +x.
        elevation: Degrees above the horizon.
        half_angle: Degrees, half the viewing angle; the ball of radius .5 just fits.
    """

    azimuth: float
    elevation: float
    half_angle: float

    @property
    def distance(self) -> float:
        """From the middle of the ball."""
        return RADIUS / float(np.sin(np.radians(self.half_angle)))

    @property
    def half_width(self) -> float:
        """What the picture shows to each side at distance 1."""
        return float(np.tan(np.radians(self.half_angle)))

    def camera(self, size: int) -> Camera:
        """The camera of a picture of `size` px in the ray caster's frame, where the ball has the radius `FILL`."""
        out = towards(np.radians(self.azimuth), np.radians(self.elevation))
        turn = facing(-out)
        focal, centre = size / 2 / self.half_width, (size - 1) / 2
        intrinsics = np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]])
        return Camera(intrinsics, turn, -turn @ (out * self.distance * SCALE))

    @property
    def rotation(self) -> Float64Array:
        """(3, 3) from the shape's frame to that of the camera: x right, y up, z towards it."""
        return FLIP @ self.camera(1).rotation @ TURN


def render_reconstruction_set(folder: Path, settings: SetSettings, seed: int, threads: int) -> Path:
    """Write the set into `folder`; shapes that are there already are kept.

    Args:
        folder: Where to write; new, empty or a set of before.
        settings: What the set holds.
        seed: Seed of everything random.
        threads: Number of shapes at a time; the files do not depend on it.

    Returns:
        The table of views, `folder/views.parquet`, which is written last.

    Raises:
        LiftnetError: The folder holds something else or cannot be written, a class is unknown or has no shapes in a
            split, or none of them is usable.
    """
    asked = settings.reconstruction
    made = asked.model_dump(include=set(PicturedShapeSettings.model_fields))  # more shapes leave the others alone
    record = {"version": VERSION, "set": NAME, "seed": seed, "settings": made}
    if asked.folder is not None:
        record["up"] = settings.views.up
    files = SetFolder(Path(folder), record, ("done", "shapes"), (), ("views.parquet", "shapes.parquet"))
    shapes = placed_shapes(settings, seed)

    def complete(shape: PlacedShape) -> bool:
        row = files.row(shape)
        return row is not None and (row["status"] != "ok" or _is_there(files.root, shape, row["n_views"]))

    def render(shape: PlacedShape) -> None:
        write_json(files.done(shape), _write_shape(files.root, shape, asked))

    if files.write(shapes, complete, render, threads):
        _finish(files, shapes)
    return files.last


def _is_there(root: Path, shape: PlacedShape, views: int) -> bool:
    paths = [picture_path(root, shape.shape_id, view) for view in range(views)]
    return all(path.exists() for path in (mesh_path(root, shape.shape_id), target_path(root, shape.shape_id), *paths))


def _write_shape(root: Path, shape: PlacedShape, asked: PicturedShapeSettings) -> dict[str, Any]:
    """Write a shape's mesh, target and pictures; returns its row, with what the table of views says of them."""
    row: dict[str, Any] = {
        **{"shape_id": shape.shape_id, "class": shape.class_name, "split": shape.split, "source": shape.source},
        **{"status": "ok", "reason": "rendered", "views": [], "source_content": shape.content},
    }
    try:
        placed = shape.make()
        target, hidden = target_of(placed.surface, asked, shape.seed)
    except BadMeshError as problem:
        LOG.warning("%s set aside: %s", shape.shape_id, problem)
        remove(mesh_path(root, shape.shape_id).parent)
        return row | {"status": problem.status, "reason": problem.reason}
    write_mesh(mesh_path(root, shape.shape_id), placed.surface)
    write_target(target_path(root, shape.shape_id), target)
    subject = make_subject(_as_lit(placed.visible), paint(np.random.default_rng(shape.seed)))
    views = viewpoints(asked, shape.seed)
    for number, viewpoint in enumerate(views):
        rng = np.random.default_rng(stable_seed(shape.seed, "picture", str(number)))
        picture, facts = picture_of(subject, viewpoint, asked.picture_size, rng)
        write_image(picture_path(root, shape.shape_id, number), picture)
        row["views"].append(facts)
    return row | {
        "n_vertices": len(placed.surface.vertices),
        "n_faces": len(placed.surface.faces),
        "watertight": is_closed(placed.surface),
        "n_views": len(views),
        "n_points": len(target.points),
        "hidden": hidden,
        "filled": [float(voxels.mean()) for voxels in target.voxels.values()],
        "digest": digest_of(placed.surface),
    }


def target_of(mesh: TriangleMesh, asked: PicturedShapeSettings, seed: int) -> tuple[ShapeTarget, float]:
    """What is to be reconstructed of a placed mesh, and the share of its surface that lies inside.

    Raises:
        BadMeshError: It has no surface outside.
    """
    try:
        outside = sample_outside(mesh, asked.points, stable_seed(seed, "points"))
    except ValueError as error:
        raise BadMeshError("mesh", "no_outside", str(error)) from error
    voxels = {}
    for resolution in sorted(set(asked.voxels)):
        voxels[resolution] = voxelise(mesh, resolution)
        if asked.thin_parts:
            voxels[resolution] = with_thin_parts(voxels[resolution], mesh, stable_seed(seed, "thin parts"))
    points, normals = (rows.astype(np.float32) for rows in (outside.points, outside.normals))
    return ShapeTarget(points, normals, voxels), outside.hidden


def viewpoints(asked: PicturedShapeSettings, seed: int) -> list[Viewpoint]:
    """Where a shape's pictures are taken from: of the random rig as the seed says, the ring always the same."""
    if asked.rig == "ring":
        step = 360 / RING_VIEWS
        return [Viewpoint(number * step, RING_ELEVATION, RING_HALF_ANGLE) for number in range(RING_VIEWS)]
    rng = np.random.default_rng(stable_seed(seed, "viewpoints"))
    lows, highs = zip((0, 360), (asked.lowest, asked.highest), HALF_ANGLES, strict=True)
    return [Viewpoint(*map(float, drawn)) for drawn in rng.uniform(lows, highs, (asked.views, 3))]


def _as_lit(mesh: TriangleMesh) -> TriangleMesh:
    """A placed mesh in the frame and at the size in which the ray caster lights it."""
    turned = mesh.to_up("z")
    vertices, normals = turned.vertices * SCALE, turned.known_normals
    return replace(turned, vertices=vertices.astype(np.float32), normals=normals.astype(np.float32))


def picture_of(
    subject: Subject, viewpoint: Viewpoint, size: int, rng: np.random.Generator
) -> tuple[UInt8Array, dict[str, Any]]:
    """A picture under a light and in colours of its own.

    Args:
        subject: The shape as it is lit.
        viewpoint: Where it is seen from.
        size: Side of the picture, px.
        rng: Of light, colours and noise.

    Returns:
        (S, S, 4) uint8 as `render_cutout` gives it, and what the table of views says of it.
    """
    light = draw_light(rng, np.radians(viewpoint.azimuth))
    mesh = recoloured(subject.mesh, rng)
    view = SubjectView(viewpoint.camera(size), light, size, size, int(rng.integers(1 << 40)))
    return render_cutout(replace(subject, mesh=mesh, material=paint(rng)), view), {
        "rotation": viewpoint.rotation.ravel().tolist(),
        "distance": viewpoint.distance,
        "half_width": viewpoint.half_width,
        "azimuth": viewpoint.azimuth,
        "elevation": viewpoint.elevation,
        "light": (light.direction @ TURN).tolist(),
        "light_colour": light.colour.tolist(),
        "ambient": light.ambient.tolist(),
        "colour": _mean_colour(mesh).tolist(),
    }


def recoloured(mesh: TriangleMesh, rng: np.random.Generator) -> TriangleMesh:
    """The mesh in other colours: each part stays of one colour, grey and black ones stay grey and black.

    Red, green and blue are exchanged, which turns hues, and each colour becomes lighter or darker by itself. A mesh
    without colours gets one.
    """
    if mesh.colours is None:
        colour = rng.uniform(0.08, 0.75, 3)
        return replace(mesh, colours=np.tile(colour, (len(mesh.vertices), 1)).astype(np.float32))
    shades, which = np.unique(mesh.colours, axis=0, return_inverse=True)
    gains = rng.uniform(0.6, 1.5, (len(shades), 1)) * rng.uniform(0.9, 1.1, (len(shades), 3))
    drawn = np.clip(shades[:, rng.permutation(3)] * gains, 0.01, 0.9)
    return replace(mesh, colours=drawn[which.ravel()].astype(np.float32))


def _mean_colour(mesh: TriangleMesh) -> FloatArray:
    assert mesh.colours is not None
    return np.unique(mesh.colours, axis=0).mean(0)


def digest_of(mesh: TriangleMesh) -> str:
    """A digest of where a mesh's vertices lie: the same for copies of a shape, whatever their order."""
    places = np.unique(np.round(mesh.vertices / SAME).astype(np.int32), axis=0)
    return hashlib.sha256(places.tobytes()).hexdigest()[:16]


def _finish(files: SetFolder, shapes: list[PlacedShape]) -> None:
    """Write the tables; shapes that equal one of an earlier split are set aside."""
    rows = [files.row(shape) or {} for shape in shapes]
    first: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: ("train", "val", "test").index(row["split"])):
        if row["status"] == "ok":
            other = first.setdefault(row["digest"], row)
            if other["split"] != row["split"]:
                row |= {"status": "duplicate", "reason": f"the same mesh as {other['shape_id']} of {other['split']}"}
    usable = [row for row in rows if row["status"] == "ok"]
    for name in sorted({shape.class_name for shape in shapes}):
        if not any(row["class"] == name and row["split"] == "train" for row in usable):
            reason = f"none of the shapes of the class {name} can be trained on"
            raise LiftnetError(
                files.root, reason, "The log says why each was set aside; leave the class out, or mend them"
            )
    write_table(files.root / "shapes.parquet", ({**row, "views": None} for row in rows), RECONSTRUCTION_SHAPES)
    views = (
        {"shape_id": row["shape_id"], "view": number, **view}
        for row in usable
        for number, view in enumerate(row["views"])
    )
    write_table(files.last, views, VIEWS)
    hidden = float(np.mean([row["hidden"] for row in usable]))
    LOG.info(
        "%d shapes (%d set aside) with %d pictures; %.0f %% of their surface lies inside: %s",
        *(len(usable), len(rows) - len(usable), sum(row["n_views"] for row in usable), 100 * hidden, files.root),
    )
