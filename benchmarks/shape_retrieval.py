"""Whether the metrics of shapes mean something: retrieval and classification of shapes that nothing was trained on.

Usage: python benchmarks/shape_retrieval.py --shapes SHAPES --mvcnn MODEL [--vocabulary FILE] [--only NAME]

SHAPES is what `liftnet render shapes` writes, MODEL what `liftnet drkfs train mvcnn` makes of its splits train and
val. The shapes of its split test query each other; the real CAD models, where they are there, query them. Writes
shape_retrieval.csv and .md; with --only, the other rows stay as an earlier run on the same shapes left them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import machine, one_thread, shown, write_report
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from liftnet.core.files import write_text
from liftnet.mesh.mesh import TriangleMesh, sample_surface
from liftnet.mesh.reading import read_mesh
from liftnet.shape import light_field, mvcnn
from liftnet.shape import shape_google as google
from liftnet.shape.collection import labelled_meshes, retrieval
from liftnet.shape.mvcnn import Mvcnn, shaded_views, untrained_mvcnn
from liftnet.shape.settings import MvcnnSettings, ViewSettings

CAD = Path(__file__).resolve().parents[2] / "shared" / "data" / "meshes" / "cad"  # z up
CHAMFER_POINTS = 1000
Distances = Callable[[Sequence[Any], Sequence[Any]], np.ndarray]


@dataclass(frozen=True)
class Method:
    """A descriptor of shapes and the distances (A, B) of lists of them."""

    name: str
    describe: Callable[[TriangleMesh], Any]
    distances: Distances


def main() -> None:
    """Measure and write shape_retrieval.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=Path, required=True)
    parser.add_argument("--mvcnn", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path)
    parser.add_argument("--only", default="", help="measure anew only metrics whose names begin so")
    arguments = parser.parse_args()
    shapes = [shape for shape in labelled_meshes(arguments.shapes) if shape.split == "test"]
    meshes = [read_mesh(shape.path).mesh for shape in shapes]
    labels = [shape.label for shape in shapes]
    real = sorted(CAD.glob("*/*.ply"))
    models = [read_mesh(path, "z").mesh for path in real]
    kinds = [path.parent.name for path in real]
    network = mvcnn.load_mvcnn(arguments.mvcnn)
    methods = _methods(network, arguments.vocabulary)
    with one_thread():
        rows = [
            _row(method, meshes, labels, models, kinds) for method in methods if method.name.startswith(arguments.only)
        ]
        accuracies = _accuracies(network, meshes, labels, models, kinds)
    chance = retrieval(np.random.default_rng(0).random((len(meshes), len(meshes))), labels)
    rows.append({"metric": "chance", "mAP": chance.mean_average_precision, "nearest": chance.nearest})
    table = Path(__file__).with_suffix(".csv")
    frame = pd.DataFrame(rows)
    if arguments.only:
        frame = pd.concat([pd.read_csv(table), frame]).drop_duplicates("metric", keep="last")
    order = [*(method.name for method in methods), "chance"]
    frame = frame.set_index("metric").loc[order].reset_index()
    write_text(table, frame.to_csv(index=False, lineterminator="\n"))
    _write(frame, accuracies, len(meshes), len(set(labels)), len(models), network)


def _methods(network: Mvcnn, vocabulary: Path | None) -> list[Method]:
    words = google.load_vocabulary(vocabulary)
    views = network.settings.model_dump(include=set(ViewSettings.model_fields))
    untrained, random = untrained_mvcnn(MvcnnSettings(**views)), untrained_mvcnn(MvcnnSettings(**views, init_from=[]))
    euclidean, city = (lambda a, b, kind=kind: cdist(a, b, kind) for kind in ("euclidean", "cityblock"))
    return [
        Method("Light field descriptor", light_field.describe, light_field.distances),
        Method("Shape Google", lambda mesh: google.describe(mesh, words), city),
        Method("Shape Google, pairs of words", lambda mesh: google.describe_pairs(mesh, words).ravel(), city),
        Method("MVCNN, trained", lambda mesh: mvcnn.describe(mesh, network), euclidean),
        Method("MVCNN, ImageNet alone", lambda mesh: mvcnn.describe(mesh, untrained), euclidean),
        Method("MVCNN, random weights", lambda mesh: mvcnn.describe(mesh, random), euclidean),
        Method(f"Chamfer, {CHAMFER_POINTS:,} points", _cloud, _chamfer),
    ]


def _cloud(mesh: TriangleMesh) -> cKDTree:
    """Points of a shape in the unit sphere about the middle of its box."""
    points = sample_surface(mesh, CHAMFER_POINTS, 0).points
    points = points - (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    return cKDTree(points / np.linalg.norm(points, axis=1).max())


def _chamfer(a: Sequence[cKDTree], b: Sequence[cKDTree]) -> np.ndarray:
    return np.array([[x.query(y.data)[0].mean() + y.query(x.data)[0].mean() for y in b] for x in a])


def _row(
    method: Method, meshes: list[TriangleMesh], labels: list[str], models: list[TriangleMesh], kinds: list[str]
) -> dict[str, Any]:
    method.describe(meshes[0])  # compiled and loaded
    start = time.process_time()
    described = [method.describe(mesh) for mesh in meshes]
    seconds = (time.process_time() - start) / len(meshes)
    start = time.process_time()
    found = retrieval(method.distances(described, described), labels)
    per_pair = (time.process_time() - start) / len(meshes) ** 2
    row = {
        "metric": method.name,
        "mAP": found.mean_average_precision,
        "nearest": found.nearest,
        "first tier": found.first_tier,
        "describe, CPU ms": 1e3 * seconds,
        "distance, CPU ms": 1e3 * per_pair,
    }
    if models:
        cad = retrieval(method.distances([method.describe(model) for model in models], described), labels, kinds)
        row |= {"CAD mAP": cad.mean_average_precision, "CAD nearest": cad.nearest}
    print(row, flush=True)
    return row


def _accuracies(
    network: Mvcnn, meshes: list[TriangleMesh], labels: list[str], models: list[TriangleMesh], kinds: list[str]
) -> list[str]:
    """How often the trained network names the class."""
    lines = []
    for what, shapes, right in (("held-out shapes", meshes, labels), ("CAD models", models, kinds)):
        if shapes:
            views = [shaded_views(mesh, network.settings) for mesh in shapes]
            said = [network.classes[int(np.argmax(network.describe_views(view)[1]))] for view in views]
            hits = sum(mine == truth for mine, truth in zip(said, right, strict=True))
            wrong = [f"{truth} as {mine}" for mine, truth in zip(said, right, strict=True) if mine != truth]
            lines.append(f"{hits} of {len(shapes)} {what}" + (f" (wrong: {', '.join(wrong)})" if wrong else ""))
    return lines


def _write(frame: pd.DataFrame, accuracies: list[str], shapes: int, classes: int, models: int, network: Mvcnn) -> None:
    formats = {name: ".3f" for name in ("mAP", "nearest", "first tier", "CAD mAP", "CAD nearest") if name in frame}
    formats |= {"describe, CPU ms": ".0f", "distance, CPU ms": ".3f"}
    write_report(
        Path(__file__).with_suffix(".md"),
        [
            "# Do the metrics of shapes find what is alike?",
            f"{shapes} generated shapes of {classes} classes that neither MVCNN nor the geometric words were trained "
            "on query each other: mean average precision, share of queries whose nearest shape is of their class, "
            f"share of the class among as many answers. Then {models} real CAD models (airplanes, cars, a chair, a "
            "stool, a lamp), modelled by others, query these shapes. All shapes stand upright; the light field "
            "descriptor and Shape Google do not use that. The real models are few: one more or less is 0.09 of the "
            "last column.",
            shown(frame, formats),
            f"MVCNN ({network.settings.backbone}, {network.settings.views} views of "
            f"{network.settings.image_size} px) names the class of {'; of '.join(accuracies)}.",
            "The held-out shapes come from the generator of the training shapes, so the trained MVCNN's first column "
            "says little; the CAD models say more. Shape Google measures along surfaces, inner ones too, which "
            "modellers make differently: it is the weakest on the CAD models.",
            "Written by `python benchmarks/shape_retrieval.py` on "
            + machine("torch", "numba", "scipy", "robust-laplacian", "timm")
            + ", one thread; CPU milliseconds are means over the shapes, other jobs ran beside it.",
        ],
    )


if __name__ == "__main__":
    main()
