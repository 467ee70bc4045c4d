"""What a rendered view costs, and what the paper's 425 sculptures cost. Writes benchmarks/rendering.md.

    python benchmarks/rendering.py [--shapes 8] [--sculptures 425]

CPU seconds on one thread, medians over shapes, of the ray caster's steps: making or reading a shape, rendering a view,
finding the correspondences of a pair of views. Beside them the depth alone as trimesh's own interface to Embree gives
it. Then the whole set `sketchfab` is rendered as `render set` does it, files included, into a folder that is removed.
Blender: see benchmarks/rendering_blender.py.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import trimesh
from measuring import machine, measured, one_thread, shown, write_report

from liftnet.data.schemas import SHAPES, read_table
from liftnet.render.materials import MATERIALS
from liftnet.render.ray_caster import make_subject, render_view
from liftnet.render.sets import correspondences, frames_of, render_set, visible
from liftnet.render.settings import SetSettings, ShapenetSettings, SketchfabSettings
from liftnet.render.shapes import Shape, read_solid, shapes_of
from liftnet.render.viewpoints import OrthographicView, fit_frame, sketchfab_views

MESHES = Path(__file__).resolve().parents[2] / "shared" / "data" / "meshes" / "sculptures"
SIZES = (128, 256)
Row = dict[str, object]


def row(step: str, seconds: list[float]) -> Row:
    """A row of the table: the median cost of a step."""
    middle = statistics.median(seconds)
    return {"step": step, "n": len(seconds), "CPU ms": 1000 * middle, "a second": 1 / middle}


def sculpture_rows(shapes: list[Shape]) -> Iterator[Row]:
    """Making sculptures, and their views and pairs at each size."""
    solids = [measured(shape.make, 1) for shape in shapes]
    yield row("make a sculpture (96 cells)", [seconds for _, seconds, _ in solids])
    meshes = [fit_frame(solid.mesh) for solid, _, _ in solids]
    for size in SIZES:
        views, depths, pairs = [], [], []
        for mesh, shape in zip(meshes, shapes, strict=True):
            subject = make_subject(mesh, MATERIALS[str(shape.material)](np.random.default_rng(0)))
            plan = sketchfab_views(mesh, size, True, shape.seed)
            found = [measured(lambda view=view, of=subject: render_view(of, view), 1) for view in plan]
            views += [seconds for _, seconds, _ in found]
            truths = [truth for (_, truth), _, _ in found]
            depths += [peer_seconds(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False), view) for view in plan]
            both = itertools.combinations(truths, 2)
            pairs += [measured(lambda a=a, b=b: correspondences(a, b), 1)[1] for a, b in both]
        yield row(f"render a view of it, {size} px: image, depth, mask", views)
        yield row(f"its depth alone by trimesh, {size} px", depths)
        yield row(f"correspondences of a pair of views, {size} px", pairs)


def peer_seconds(mesh: trimesh.Trimesh, view: OrthographicView) -> float:
    """CPU seconds of the first hits of a view's rays through trimesh; the acceleration structure is there already."""
    grid = np.stack(np.meshgrid(np.arange(view.width), np.arange(view.height)), -1).reshape(-1, 2).astype(np.float64)
    origins = view.camera.unproject(grid, np.zeros(len(grid)))
    ways = np.tile(view.camera.rotation[2], (len(grid), 1))
    mesh.ray.intersects_any(origins[:1], ways[:1])
    return measured(lambda: mesh.ray.intersects_location(origins, ways, multiple_hits=False), 1)[1]


def scan_rows(shapes: int) -> Iterator[Row]:
    """Reading real scans; nothing where they are absent."""
    paths = sorted(MESHES.glob("*.ply"))[:shapes]
    if paths:
        yield row("read a scan of about 20,000 faces", [measured(lambda p=p: read_solid(p, "z"), 1)[1] for p in paths])


def class_row(settings: SetSettings) -> Row:
    """A shape of each class with its ten views, making included, in seconds a view."""
    shapes = shapes_of("shapenet", settings, 0)

    def views(shape: Shape) -> float:
        return measured(lambda: list(frames_of("shapenet", shape, 0, settings)[1]), 1)[1] / 10

    return row("a view of a generated class, 128 px, making included", [views(shape) for shape in shapes])


def visibility(shapes: list[Shape]) -> str:
    """How well depth alone tells which points another view sees, against rays cast from the points to it."""
    right = wrong = missed = 0
    for shape in shapes:
        mesh = fit_frame(shape.make().mesh)
        subject = make_subject(mesh, MATERIALS[str(shape.material)](np.random.default_rng(0)))
        truths = [render_view(subject, view)[1] for view in sketchfab_views(mesh, SIZES[0], True, shape.seed)]
        for source, target in itertools.permutations(truths, 2):
            rows, columns = np.nonzero(source.mask)
            pixels = np.column_stack([columns, rows]).astype(np.float64)
            points = source.camera.unproject(pixels, source.depth[rows, columns].astype(np.float64))
            back = np.tile(-target.camera.rotation[2], (len(points), 1))
            free = ~subject.bodies.blocked(points + 0.01 * back, back)
            seen = visible(target, *target.camera.project(points))
            right, wrong = right + (seen & free).sum(), wrong + (seen & ~free).sum()
            missed += (~seen & free).sum()
    return (
        f"Visibility told from depth, against rays cast from the points, {len(shapes)} sculptures at {SIZES[0]} px: "
        f"{right / (right + wrong):.2%} of the points kept are visible, {right / (right + missed):.0%} of the visible "
        "points are kept."
    )


def whole_set(sculptures: int) -> str:
    """Render the set `sketchfab` and say what it took."""
    settings = SetSettings(sketchfab=SketchfabSettings(sculptures=sculptures))
    with TemporaryDirectory() as folder:
        _, seconds, _ = measured(lambda: render_set(Path(folder) / "set", "sketchfab", settings, 0, 1), 1)
        shapes = read_table(Path(folder) / "set" / "shapes.parquet", SHAPES).to_pandas()
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    views = int(shapes["n_views"].sum())
    return (
        f"The whole set `sketchfab` at 128 px, {len(shapes)} sculptures x 5 views = {views:,} views with "
        f"{int(shapes['n_pairs'].sum()):,} pairs and {int(shapes['n_correspondences'].sum()):,} correspondences, "
        f"files included: {seconds:.0f} CPU s, {views / seconds:.1f} views a CPU second, {size / 1e6:.0f} MB."
    )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=8, help="sculptures whose views are measured")
    parser.add_argument("--sculptures", type=int, default=425, help="of the whole set")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    with one_thread():
        shapes = shapes_of("sketchfab", SetSettings(sketchfab=SketchfabSettings(sculptures=arguments.shapes)), 0)
        shapes[0].make()  # imports and first calls
        next(frames_of("sketchfab", shapes[0], 0, SetSettings())[1])
        rows = [
            *sculpture_rows(shapes),
            *scan_rows(arguments.shapes),
            class_row(SetSettings(shapenet=ShapenetSettings(shapes_per_class=1))),
        ]
        table = shown(pd.DataFrame(rows), {"CPU ms": ".1f", "a second": ".1f", "n": "d"})
        seen = visibility(shapes)
        plan = whole_set(arguments.sculptures)
    about = (
        f"`python benchmarks/rendering.py --shapes {arguments.shapes} --sculptures {arguments.sculptures}`; "
        f"{machine('numpy', 'embreex', 'trimesh')}. CPU seconds on one thread, medians over n."
    )
    write_report(arguments.out, ["# Rendering by the built-in ray caster", about, table, seen, plan])


if __name__ == "__main__":
    main()
