"""Write a rendered set: the same files as a run of the pipeline, with true depth and exact correspondences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import read_json, write_bytes, write_json
from liftnet.core.ids import slug, stable_seed
from liftnet.core.log import get_logger
from liftnet.core.types import BoolArray, FloatArray, Int64Array, UInt8Array
from liftnet.data.dataset import replaced_folder
from liftnet.data.masks import write_mask
from liftnet.data.pictures import encode_image
from liftnet.data.schemas import MANIFEST, PAIRS, SHAPES, TRUTH, in_groups, table_writer, write_table
from liftnet.data.shards import Cutting, write_pairs
from liftnet.data.truth import TrueView, save_truth
from liftnet.geometry.cameras import Camera
from liftnet.mesh.mesh import BadMeshError, TriangleMesh, stand
from liftnet.render.blender import find_blender
from liftnet.render.materials import MATERIALS, Material, paint
from liftnet.render.ray_caster import make_subject, photograph, render_view
from liftnet.render.scene import make_places
from liftnet.render.set_folder import SetFolder
from liftnet.render.settings import SetSettings
from liftnet.render.shapes import SCAN_UNIT, SCULPTURE, Recording, Shape, shapes_of
from liftnet.render.viewpoints import OrthographicView, fit_frame, plan_views, shapenet_views, sketchfab_views

LOG = get_logger("render")
VERSION = 2  # raised when the same settings give other pictures
PER_SHAPE = ("shapes", "pairs")
FOLDERS = ("images", "masks", "truth", "dataset")
TABLES = ("truth.parquet", "manifest.parquet", "shapes.parquet")
CUTTING = Cutting(rows_per_group=64)  # dense pairs are long: a group is what training holds in memory
PAIRS_PER_GROUP = 16
SCAN_SPAN = 180.0  # degrees about the object that its photographs span
SCAN_FLAVOURS = ("plain", "plain", "turned", "plain", "near")
SHARED = 50  # points that both views of a pair must see: what the paper trains with on ShapeNet
NOT_KEPT = "too_few_shared"
SLACK = 0.25  # pixel widths by which depth may disagree on a surface that faces the camera
SLANT_SHARE = 0.25  # and, on a slanted one, this share of the range of depth among the four pixels around
STEP = 6.0  # pixel widths: where the four pixels differ by more there is an edge, and visibility cannot be told
Frame = tuple[UInt8Array, TrueView]


@dataclass(frozen=True)
class RenderedSet:
    """Where a set lies and what it is to hold."""

    folder: Path
    name: str
    settings: SetSettings
    seed: int

    def stem(self, shape: Shape, view: int) -> str:
        """Path of a view below images/ or truth/, without suffix."""
        return f"{slug(shape.class_name)}/{shape.shape_id}/{view + 1:03d}"

    def image_id(self, shape: Shape, view: int) -> str:
        """Id of a view: 16 hexadecimal digits of the SHA-256 of the set's name and its path."""
        return hashlib.sha256(f"{self.name}/{self.stem(shape, view)}".encode()).hexdigest()[:16]

    def pairs(self, shape: Shape) -> Path:
        """The table of its pairs."""
        return self.folder / "pairs" / f"{shape.shape_id}.parquet"

    @property
    def files(self) -> SetFolder:
        """The folder as a set that is written shape by shape."""
        settings = self.settings.of_set(self.name)
        record = {"version": VERSION, "set": self.name, "seed": self.seed, "settings": settings}
        return SetFolder(self.folder, record, PER_SHAPE, FOLDERS, TABLES)

    def done(self, shape: Shape) -> Path:
        """The file that says what became of a shape."""
        return self.files.done(shape)


def render_set(folder: Path, name: str, settings: SetSettings, seed: int, threads: int) -> Path:
    """Render the set `name` into `folder`; shapes that are there already are kept.

    Args:
        folder: Where to write; new, empty or a set of before.
        name: "shapenet", "sketchfab" or "scanned".
        settings: What the set holds.
        seed: Seed of everything random.
        threads: Number of shapes rendered at a time; the files do not depend on it.

    Returns:
        The table of true depth, `folder/truth.parquet`, which is written last.

    Raises:
        LiftnetError: The folder holds something else or cannot be written, there are no shapes, none is usable, or
            Blender is asked for and is not there.
    """
    rendered = RenderedSet(Path(folder), name, settings, seed)
    if settings.orthographic.renderer == "blender" and name != "scanned":
        find_blender(settings.views.blender)  # before anything is written
    shapes = shapes_of(name, settings, seed)
    counts = dict(zip((s.shape_id for s in shapes), view_counts(name, settings, len(shapes)), strict=True))
    truth = rendered.files.last

    def render(shape: Shape) -> None:
        _render_shape(rendered, shape, counts[shape.shape_id])

    if rendered.files.write(shapes, lambda shape: _complete(rendered, shape), render, threads):
        _finish(rendered, shapes)
    return truth


def view_counts(name: str, settings: SetSettings, n_shapes: int) -> list[int]:
    """How many photographs of each shape: the images of the set scanned, divided as evenly as they can be.

    The protocols of the other sets have a number of their own.
    """
    if name != "scanned":
        return [0] * n_shapes
    share, more = divmod(settings.scanned.max_images, max(n_shapes, 1))
    return [share + (number < more) for number in range(n_shapes)]


def _complete(rendered: RenderedSet, shape: Shape) -> bool:
    row = rendered.files.row(shape)
    if row is None:
        return False
    needed = [rendered.pairs(shape)] if row["status"] == "ok" else []
    for view in range(len(row["views"])):
        stem = rendered.stem(shape, view)
        needed += [rendered.folder / f"images/{stem}.jpg", rendered.folder / f"truth/{stem}.npz"]
        needed.append(rendered.folder / f"masks/{rendered.image_id(shape, view)}.png")
    return all(path.exists() for path in needed)


def _render_shape(rendered: RenderedSet, shape: Shape, count: int) -> None:
    """Render a shape's views and write down its pairs, or why there are none."""
    row: dict[str, Any] = {
        **{"shape_id": shape.shape_id, "class": shape.class_name, "class_id": slug(shape.class_name)},
        **{"split": shape.split, "source": shape.source, "status": "ok", "reason": "rendered", "views": []},
        "source_content": shape.content,
    }
    try:
        body, frames = frames_of(rendered.name, shape, count, rendered.settings)
        truths: list[TrueView] = []
        for frame in frames:
            row["views"].append(_write_view(rendered, shape, len(truths), frame))
            truths.append(frame[1])
        if not truths:
            raise BadMeshError(shape.shape_id, "no_views", "no view shows it")
    except (BadMeshError, BadImageError) as problem:
        LOG.warning("%s set aside: %s", shape.source if shape.source != "generated" else shape.shape_id, problem)
        reason = problem.reason + (f". {problem.remedy}" if problem.remedy else "")
        row |= {"status": problem.status, "reason": reason, "views": []}
    else:
        pairs = _write_pairs(rendered, shape, truths)
        row |= body | pairs | {"n_views": len(truths)}
    write_json(rendered.done(shape), row)


def _write_view(rendered: RenderedSet, shape: Shape, view: int, frame: Frame) -> dict[str, Any]:
    """Write image, mask and truth; returns what the manifest says of the image."""
    image, truth = frame
    stem = rendered.stem(shape, view)
    data = encode_image(image, ".jpg", rendered.settings.views.jpeg_quality)
    write_bytes(rendered.folder / f"images/{stem}.jpg", data)
    write_mask(rendered.folder / f"masks/{rendered.image_id(shape, view)}.png", truth.mask)
    save_truth(rendered.folder / f"truth/{stem}.npz", truth)
    digest = hashlib.sha256(data).hexdigest()
    return {"width": image.shape[1], "height": image.shape[0], "bytes": len(data), "sha256": digest}


def _write_pairs(rendered: RenderedSet, shape: Shape, truths: list[TrueView]) -> dict[str, int]:
    """Write the table of a shape's pairs; returns how many were kept and their correspondences."""
    ids = [rendered.image_id(shape, view) for view in range(len(truths))]
    n_pairs = n_points = 0
    with table_writer(rendered.pairs(shape), PAIRS) as write:
        for rows in in_groups(pair_rows(ids, truths, rendered.settings.views.max_correspondences), PAIRS_PER_GROUP):
            about = {"work_id": shape.shape_id, "artist_id": slug(shape.class_name), "split": shape.split}
            write([row | about for row in rows])
            n_pairs += sum(row["kept"] for row in rows)
            n_points += sum(len(row["x1"]) for row in rows)
    return {"n_pairs": n_pairs, "n_correspondences": n_points}


def _finish(rendered: RenderedSet, shapes: list[Shape]) -> None:
    """Write the dataset and the tables of the whole set from what was written of each shape."""
    rows = [read_json(rendered.done(shape)) for shape in shapes]
    usable = [(shape, row) for shape, row in zip(shapes, rows, strict=True) if row["status"] == "ok"]
    if not usable:
        raise LiftnetError(rendered.folder, f"none of its {len(rows)} shapes can be used", "The log says why")
    manifest = pa.Table.from_pylist(list(_manifest_rows(rendered, usable)), MANIFEST)
    with replaced_folder(rendered.folder / "dataset") as folder:
        write_pairs(folder, [rendered.pairs(shape) for shape, _ in usable], CUTTING, "render", manifest=manifest)
    write_table(rendered.folder / "shapes.parquet", ({**row, "views": None} for row in rows), SHAPES)
    write_table(rendered.folder / "manifest.parquet", manifest, MANIFEST)
    write_table(rendered.folder / "truth.parquet", _truth_rows(rendered, usable), TRUTH)
    LOG.info(
        "%d views of %d shapes (%d set aside), %d pairs with %d correspondences: %s",
        *(sum(len(row["views"]) for row in rows), len(usable), len(rows) - len(usable)),
        *(sum(row["n_pairs"] for _, row in usable), sum(row["n_correspondences"] for _, row in usable)),
        rendered.folder,
    )


def _manifest_rows(rendered: RenderedSet, usable: list[tuple[Shape, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for shape, row in usable:
        for view, stored in enumerate(row["views"]):
            stem = rendered.stem(shape, view)
            yield {
                **stored,
                "image_id": rendered.image_id(shape, view),
                "artist": shape.class_name,
                "artist_id": slug(shape.class_name),
                "work": shape.source if shape.source != "generated" else shape.shape_id,
                "work_id": shape.shape_id,
                "source": "render",
                "image_url": f"images/{stem}.jpg",
                "file": f"{stem}.jpg",
                "status": "ok",
                "reason": "rendered",
                "mime": "image/jpeg",
                "exif_orientation": 1,
                "split": shape.split,
                "group_id": shape.shape_id,
            }


def _truth_rows(rendered: RenderedSet, usable: list[tuple[Shape, dict[str, Any]]]) -> Iterator[dict[str, str]]:
    for shape, row in usable:
        for view in range(len(row["views"])):
            stem = rendered.stem(shape, view)
            about = {"artist_id": slug(shape.class_name), "work_id": shape.shape_id}
            yield {"image_url": f"images/{stem}.jpg", "truth": f"truth/{stem}.npz", **about}


# Views


def frames_of(name: str, shape: Shape, count: int, settings: SetSettings) -> tuple[dict[str, Any], Iterator[Frame]]:
    """Read or make a shape and render its views.

    Args:
        name: The set, whose protocol is followed.
        shape: The shape.
        count: Photographs to take, in the set scanned.
        settings: Of the sets.

    Returns:
        n_vertices, n_faces and watertight of the mesh, and the views, rendered as they are taken.

    Raises:
        BadMeshError: It cannot be used.
    """
    body = shape.make()
    if isinstance(body, Recording):
        return {}, ((image, truth) for _, image, truth in body.frames(count))
    mesh = body.mesh
    facts = {"n_vertices": len(mesh.vertices), "n_faces": len(mesh.faces), "watertight": body.watertight}
    material_name = _material_name(shape)
    if name == "scanned":
        return facts, _photographs(replace(mesh, colours=None), material_name, shape.seed, count, settings)
    if material_name != "paint":
        mesh = replace(mesh, colours=None)  # a sculpture is of one material
    mesh = fit_frame(mesh)
    plan = shapenet_views if name == "shapenet" else sketchfab_views
    views = plan(mesh, settings.views.size, settings.orthographic.backdrop == "varied", shape.seed)
    if settings.orthographic.renderer == "blender":
        return facts, _blender_views(mesh, views, material_name, settings)
    subject = make_subject(mesh, _material(material_name, shape.seed))
    return facts, (render_view(subject, view) for view in views)


def _material_name(shape: Shape) -> str:
    if shape.class_name != SCULPTURE:
        return "paint"
    if shape.material:
        return shape.material
    names = sorted(MATERIALS)
    return names[int(np.random.default_rng(stable_seed(shape.seed, "material")).integers(len(names)))]


def _material(name: str, seed: int) -> Material:
    make = paint if name == "paint" else MATERIALS[name]
    return make(np.random.default_rng(stable_seed(seed, "texture")))


def _blender_views(
    mesh: TriangleMesh, views: list[OrthographicView], material: str, settings: SetSettings
) -> Iterator[Frame]:
    from liftnet.render.blender import BlenderError, render_views

    try:
        return iter(render_views(mesh, views, material, settings.views.blender))
    except BlenderError as error:
        raise BadMeshError("Blender", "blender_failed", str(error)) from error


def _photographs(mesh: TriangleMesh, material: str, seed: int, count: int, settings: SetSettings) -> Iterator[Frame]:
    """Photographs of a mesh of the nominal height with perspective cameras in a museum; depth in cm."""
    mesh = stand(mesh)
    scale = settings.scanned.object_height_cm / float(mesh.vertices[:, 2].max())
    views = plan_views(mesh.vertices, count, settings.views.size, SCAN_SPAN, seed, SCAN_FLAVOURS)
    texture = _material(material, seed)
    places = make_places(mesh, {view.place for view in views}, seed)
    for view in views:
        image, truth = photograph(places[view.place], texture, view)
        camera = truth.camera
        assert isinstance(camera, Camera)
        camera = replace(camera, translation=camera.translation * scale)
        yield image, TrueView(truth.depth * np.float32(scale), camera, SCAN_UNIT)


# Pairs of views and their exact correspondences


def correspondences(source: TrueView, target: TrueView) -> tuple[FloatArray, FloatArray]:
    """Every foreground pixel of `source` that `target` sees, and where.

    The surface point at the centre of each pixel is projected into the target (section 5 of the paper). It is
    visible there if the target's depth, interpolated between the four pixels around, is its own within a tolerance
    that follows the slant of the surface. Points beside an edge of the target are left out.

    Returns:
        (N, 2) pixels of the source, whole numbers in the order of rows, and (N, 2) pixels of the target; exact but for
        the precision of the stored depth.
    """
    rows, columns = np.nonzero(source.mask)
    pixels = np.column_stack([columns, rows]).astype(np.float64)
    points = source.camera.unproject(pixels, source.depth[rows, columns].astype(np.float64))
    found, depth = target.camera.project(points)
    seen = visible(target, found, depth)
    return pixels[seen], found[seen]


def visible(view: TrueView, pixels: FloatArray, depth: FloatArray) -> BoolArray:
    """Which surface points a view sees.

    Args:
        view: Depth and camera.
        pixels: (N, 2) projections of the points into it.
        depth: (N,) their depth in it.

    Returns:
        (N,) bool.
    """
    height, width = view.depth.shape
    if not len(pixels) or not view.mask.any():
        return np.zeros(len(pixels), bool)
    left, top = np.floor(pixels[:, 0]).astype(int), np.floor(pixels[:, 1]).astype(int)
    seen = (depth > 0) & (left >= 0) & (top >= 0) & (left < width - 1) & (top < height - 1)
    at = np.flatnonzero(seen)
    left, top, depth = left[at], top[at], depth[at]
    x, y = pixels[at, 0] - left, pixels[at, 1] - top
    corners = np.stack([view.depth[top + j, left + i] for j in (0, 1) for i in (0, 1)], 1).astype(np.float64)
    weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], 1)
    spread = np.ptp(corners, axis=1)  # NaN where one of them is off the object, and then nothing below is true
    pixel = 1 / view.camera.pixels_per_unit(float(np.nanmedian(view.depth)))
    error = np.abs(depth - (corners * weights).sum(1))
    seen[at] = (error <= SLACK * pixel + SLANT_SHARE * spread) & (spread <= STEP * pixel)
    return seen


def chosen(count: int, limit: int, seed: int) -> Int64Array:
    """At most `limit` of `count` numbers in a random order fixed by the seed: the first N of them are N at random."""
    return np.random.default_rng(seed).permutation(count)[:limit]


def pair_rows(image_ids: Sequence[str], truths: Sequence[TrueView], limit: int) -> Iterator[dict[str, Any]]:
    """Every pair of views; kept where they share `SHARED` points or more.

    The correspondences stand in a random order fixed by the pair, so that the first N of them are N at random.

    Args:
        image_ids: Of each view.
        truths: Its depth and camera.
        limit: Correspondences of a pair at most.
    """
    order = sorted(range(len(image_ids)), key=lambda number: image_ids[number])  # image_a < image_b
    for a, b in combinations(order, 2):
        points_a, points_b = correspondences(truths[a], truths[b])
        pair_id = f"{image_ids[a]}-{image_ids[b]}"
        kept = len(points_a) >= SHARED
        some = chosen(len(points_a), limit if kept else 0, stable_seed(0, "correspondences", pair_id))
        (height_a, width_a), (height_b, width_b) = truths[a].depth.shape, truths[b].depth.shape
        yield {
            "pair_id": pair_id,
            "image_a": image_ids[a],
            "image_b": image_ids[b],
            **{"width_a": width_a, "height_a": height_a, "width_b": width_b, "height_b": height_b},
            "kept": kept,
            "reason": "kept" if kept else NOT_KEPT,
            "n_putative": int(truths[a].mask.sum()),
            "n_inliers": len(points_a),
            **{"x1": points_a[some, 0], "y1": points_a[some, 1], "x2": points_b[some, 0], "y2": points_b[some, 1]},
            "score": np.ones(len(some), np.float32),
        }
