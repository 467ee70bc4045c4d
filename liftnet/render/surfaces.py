"""Meshes of the generated classes as files, for whoever compares or learns shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, write_text
from liftnet.core.log import get_logger, progress
from liftnet.render.classes import CLASSES, make_surface
from liftnet.render.classes.parts import Part
from liftnet.render.shapes import class_shapes

TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)  # the front, at -y, comes to face +z


def write_shapes(out: Path, classes: Sequence[str], count: int, seed: int) -> pd.DataFrame:
    """Write `count` meshes of each class as `<class>/<name>.ply`, y up and facing +z, and the table shapes.csv.

    They are the shapes that `render set --set shapenet` renders with the same seed. Each is made of closed parts that
    may overlap, in the unit sphere about the origin.

    Args:
        out: Folder; its files of the same names are replaced.
        classes: Names of `CLASSES`; all where empty.
        count: Meshes of a class.
        seed: Which shapes.

    Returns:
        The table: class, name, split (train, val, test), faces.

    Raises:
        LiftnetError: An unknown class, no shapes asked for, or the folder cannot be written.
    """
    unknown = sorted(set(classes) - set(CLASSES))
    if unknown:
        raise LiftnetError(
            f"--classes {unknown[0]}", "is not a class of generated shapes", f"Choose among {', '.join(CLASSES)}"
        )
    if count < 1:
        raise LiftnetError(f"--count {count}", "asks for no shapes", "Give a whole number from 1 up")
    shapes = list(class_shapes(list(dict.fromkeys(classes)) or CLASSES, count, seed))
    rows = []
    for shape in progress(shapes, "render", "writing meshes"):
        surface = make_surface(shape.class_name, shape.seed)
        write_ply(out / shape.class_name / f"{shape.shape_id}.ply", surface)
        rows.append((shape.class_name, shape.shape_id, shape.split, len(surface.faces)))
    table = pd.DataFrame(rows, columns=["class", "name", "split", "faces"])
    write_text(out / "shapes.csv", table.to_csv(index=False, lineterminator="\n"))
    get_logger("render").info("%d meshes of %d classes: %s", len(table), table["class"].nunique(), out)
    return table


def write_ply(path: Path, surface: Part) -> None:
    """Write a surface (z up) as a binary PLY with +y up, atomically."""
    import trimesh

    mesh = trimesh.Trimesh(surface.vertices @ TO_Y_UP.T, surface.faces, process=False)
    with atomic_path(path) as temporary:
        mesh.export(temporary, file_type="ply", vertex_normal=False)
