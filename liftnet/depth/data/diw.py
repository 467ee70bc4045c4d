"""Ordinal annotations in the layout of Depth in the Wild (Chen, Fu, Yang and Deng, NIPS 2016)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.models.depth_input import CropBox

RELATIONS = {">": 1, "<": -1}
_FORMAT = "two lines an image: its name, then y_A,x_A,y_B,x_B,relation,width,height with relation > or <"


class PointPair(NamedTuple):
    """Two points of an image, and which lies farther away.

    Attributes:
        image: Name of the image as the file has it.
        points: ((x_A, y_A), (x_B, y_B)) px of the annotated image, (0, 0) the centre of the top-left pixel.
        relation: 1 where A is farther than B, -1 where it is nearer.
        size: (width, height) of the annotated image.
    """

    image: str
    points: tuple[tuple[float, float], tuple[float, float]]
    relation: int
    size: tuple[float, float]


def read_diw(path: Path) -> list[PointPair]:
    """Read DIW_train.csv, DIW_val.csv or DIW_test.csv.

    Lines come in twos: the name of an image, and `y_A,x_A,y_B,x_B,relation,width,height`, where pixels count from 1
    and `>` says that A has the greater depth.

    Raises:
        LiftnetError: The file is missing or a line is not in this form; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LiftnetError(path, f"cannot be read as text ({error})", f"It holds {_FORMAT}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or len(lines) % 2:
        raise LiftnetError(path, f"has {len(lines)} lines", f"It holds {_FORMAT}")
    return [_point_pair(path, number, lines[number], lines[number + 1]) for number in range(0, len(lines), 2)]


def _point_pair(path: Path, number: int, name: str, line: str) -> PointPair:
    parts = [part.strip().strip('"') for part in line.split(",")]
    try:
        y_a, x_a, y_b, x_b = (float(part) - 1 for part in parts[:4])
        relation, width, height = RELATIONS[parts[4]], float(parts[5]), float(parts[6])
    except (ValueError, LookupError) as error:
        raise LiftnetError(path, f"has in line {number + 2} {line[:60]!r}", f"It holds {_FORMAT}") from error
    image = name.split(",")[0].strip().strip('"')
    return PointPair(image, ((x_a, y_a), (x_b, y_b)), relation, (width, height))


def in_crop(
    pairs: list[PointPair], image_size: tuple[int, int], box: CropBox, size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Point pairs of one image in pixels of its crop; those that do not lie in the crop are dropped.

    Args:
        pairs: Annotations of the image.
        image_size: (width, height) of the stored image, which may be smaller than the annotated one.
        box: The crop.
        size: Side of the crop, px.

    Returns:
        (n, 2, 2) points A and B, and (n,) relations.
    """
    points = np.array([pair.points for pair in pairs]).reshape(-1, 2, 2)
    scale = np.array([np.divide(image_size, pair.size) for pair in pairs]).reshape(-1, 1, 2)
    points = box.to_crop((points + 0.5) * scale - 0.5, size)
    inside = ((points > -0.5) & (points < size - 0.5)).all((1, 2))
    relation = np.array([pair.relation for pair in pairs], np.float32)
    return points[inside].astype(np.float32), relation[inside]
