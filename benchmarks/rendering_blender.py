"""Blender beside the ray caster: CPU seconds a view, and how far their depth and silhouettes lie apart.

Blender renders with Cycles on one thread of the CPU. Its depth is of one ray through the centre of each pixel, so the
two should agree exactly. The shift between them is fitted to the slope of the depth, over each view.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import FIGURES, machine, measured, one_thread, shown, write_report
from PIL import Image

from liftnet.core.ids import stable_seed
from liftnet.data.truth import TrueView
from liftnet.mesh.isosurface import mesh_field
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.artists import plan_works
from liftnet.render.blender import SAMPLES, render_views
from liftnet.render.classes import make_shape
from liftnet.render.materials import MATERIALS, paint
from liftnet.render.ray_caster import make_subject, render_view
from liftnet.render.shapes import read_solid
from liftnet.render.viewpoints import OrthographicView, fit_frame, shapenet_views, sketchfab_views

MESHES = Path(__file__).resolve().parents[2] / "shared" / "data" / "meshes" / "sculptures"
SCANS = ("bunny", "nefertiti", "lucy")
NAMES = ("chair", "airplane", "motorbike", "lamp")
SHAPES, VIEWS = 425, 5  # of the paper's rendered sculptures
EDGE = 0.02  # half widths: pixels next to a larger step of depth do not measure a shift


def subjects() -> Iterator[tuple[str, str, TriangleMesh, str]]:
    """Kind, name, mesh and material: generated sculptures, shapes of the classes, and scans where there are any."""
    for work in plan_works(4, 1, 0):
        yield "sculpture", work.family, fit_frame(mesh_field(work.shape(), 96, up="z")), work.material
    for name in NAMES:
        yield "class", name, fit_frame(make_shape(name, 3)), "paint"
    for name in SCANS:
        path = MESHES / f"{name}.ply"
        if path.exists():
            yield "scan", name, replace(fit_frame(read_solid(path, "z").mesh), colours=None), "plaster"


def agreement(one: TrueView, other: TrueView) -> dict[str, float]:
    """How far the depth maps of a view lie apart: depth in half widths, shift in px."""
    both = one.mask & other.mask
    apart = np.abs(one.depth - other.depth)[both]
    steps = np.stack(np.gradient(other.depth)[::-1], -1)
    usable = np.isfinite(steps).all(-1) & both & (np.abs(steps).max(-1) < EDGE)
    shift = np.linalg.lstsq(steps[usable], (one.depth - other.depth)[usable], rcond=None)[0]
    return {
        "pixels": both.sum(),
        "silhouette": (one.mask ^ other.mask).sum(),
        "depth": float(np.quantile(apart, 0.99)),
        "shift": float(np.abs(shift).max()),
    }


def compare(size: int, runs: int, blender: str) -> tuple[list[dict[str, object]], list[np.ndarray]]:
    """Rows of every subject at one size, and its first view by both renderers."""
    rows: list[dict[str, object]] = []
    pictures = []
    for kind, name, mesh, material in subjects():
        plan = shapenet_views if kind == "class" else sketchfab_views
        views = plan(mesh, size, True, stable_seed(0, name))[:VIEWS]
        make = paint if material == "paint" else MATERIALS[material]

        def cast(
            mesh: TriangleMesh = mesh, views: list[OrthographicView] = views, make: object = make
        ) -> list[tuple[np.ndarray, TrueView]]:
            subject = make_subject(mesh, make(np.random.default_rng(1)))  # type: ignore[operator]
            return [render_view(subject, view) for view in views]

        def trace(
            mesh: TriangleMesh = mesh, views: list[OrthographicView] = views, material: str = material
        ) -> list[tuple[np.ndarray, TrueView]]:
            return render_views(mesh, views, material, blender)

        ours, ours_s, _ = measured(cast, runs)
        theirs, theirs_s, _ = measured(trace, runs)
        found = pd.DataFrame([agreement(b[1], a[1]) for a, b in zip(ours, theirs, strict=True)])
        rows.append(
            {
                **{"kind": kind, "shape": name, "faces": len(mesh.faces), "size": size},
                **{"ray caster": ours_s / len(views), "Blender": theirs_s / len(views)},
                "silhouette": found["silhouette"].sum() / found["pixels"].sum(),
                **{"depth": found["depth"].max(), "shift": found["shift"].max()},
            }
        )
        print(rows[-1], flush=True)
        pictures.append(np.concatenate([ours[1][0], theirs[1][0]]))
    return rows, pictures


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--blender", default="", help="the python that has bpy, or the blender program")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--figures", type=Path, default=FIGURES)
    arguments = parser.parse_args()
    with one_thread():
        results = [compare(size, arguments.runs, arguments.blender) for size in arguments.sizes]
    table = pd.DataFrame([row for rows, _ in results for row in rows])
    means = table.groupby(["kind", "size"], sort=False)[["ray caster", "Blender"]].mean().reset_index()
    for name in ("ray caster", "Blender"):
        means[f"{name}, views a CPU s"] = 1 / means[name]
        means[f"{name}, {SHAPES} x {VIEWS}, CPU h"] = means[name] * SHAPES * VIEWS / 3600
    formats = {"ray caster": ".3f", "Blender": ".2f"}
    rates = {name: ".1f" for name in means if name.endswith("CPU s")} | {"Blender, views a CPU s": ".2f"}
    plans = {name: ".2f" for name in means if name.endswith("CPU h")}
    details = {"faces": ",d", "silhouette": ".5f", "depth": ".1e", "shift": ".1e"}
    write_report(
        arguments.out,
        [
            "# Blender and the ray caster",
            f"`python benchmarks/rendering_blender.py`; {VIEWS} views a shape, {machine('numpy', 'embreex')}. Blender:"
            f" Cycles, CPU, one thread, {SAMPLES} samples a pixel and one more ray for depth, a process for each shape"
            " whose start counts. CPU seconds of one thread a view, with image, depth and mask.",
            shown(means, formats | rates | plans),
            "Shape by shape. Silhouette: share of the object's pixels that one of them has and the other has not."
            " Depth: 99th percentile of the difference, half widths of the image. Shift: largest shift between the two"
            " that fits the depth's slope, px. The worst of the views.",
            shown(table, formats | details),
        ],
    )
    pictures = results[-1][1]
    picture = Image.fromarray(np.concatenate(pictures, 1))
    picture.thumbnail((1600, 400))
    arguments.figures.mkdir(parents=True, exist_ok=True)
    picture.save(arguments.figures / "renderers.jpg", quality=88)


if __name__ == "__main__":
    main()
