"""Intrinsics of RGB-D recordings, as the programs that make them write them down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json
from liftnet.core.log import get_logger
from liftnet.mesh.mesh import BadMeshError

LOG = get_logger("render")
PRIMESENSE = {"fx": 525.0, "fy": 525.0, "cx": 319.5, "cy": 239.5}  # nominal, as stated with the recordings
NAMES = ("intrinsics.json", "intrinsic.json", "camera_intrinsic.json", "metadata.json", "metadata")
COLMAP = ("cameras.txt", "sparse/cameras.txt", "sparse/0/cameras.txt")
MATRICES = ("intrinsic_matrix", "intrinsics", "intrinsic", "K", "camera_matrix")
WITHIN = ("camera", "intrinsics", "intrinsic", "color", "rgb")  # where a group of its own holds the numbers
SIZES = (("width", "height"), ("w", "h"), ("image_width", "image_height"))
VIEW = (1.0, 175.0)  # degrees that a camera may see
OUTSIDE = 0.5  # of the picture's side that the principal point may lie outside
Size = tuple[int, int]
REMEDY = "Give fx, fy, cx and cy in px, or the file that Open3D, COLMAP, ARKit or Record3D wrote"


def read_intrinsics(folder: Path, size: Size) -> np.ndarray:
    """The intrinsics of a recording.

    Read are fx, fy, cx, cy by name; a matrix of 9 or 3x3 numbers, by row or by column (Open3D: intrinsic_matrix;
    Record3D: K; ARKit: intrinsics); and COLMAP's cameras.txt of one camera without distortion, whose pixels have their
    centres at halves. Without any such file they are the nominal ones of a PrimeSense sensor.

    Args:
        folder: The recording.
        size: Width and height of its pictures, px.

    Returns:
        (3, 3), px, the centre of the first pixel at (0, 0).

    Raises:
        BadMeshError: There is a file, but not of these, or no camera can be so.
    """
    for name in NAMES:
        path = folder / name
        if path.is_file():
            try:
                found, of = _from_json(read_json(path))
            except LiftnetError as error:
                raise _bad(path, f"cannot be used (it {error.reason})") from error
            except TypeError as error:  # null, or a list where a number must be
                raise _bad(path, "cannot be used (there is something else where a number must be)") from error
            except (ValueError, KeyError) as error:
                raise _bad(path, f"cannot be used ({error})") from error
            return _checked(path, found, of, size)
    for name in COLMAP:
        path = folder / name
        if path.is_file():
            try:
                found, of = _from_colmap(path.read_text(encoding="utf-8", errors="replace"))
            except (ValueError, IndexError) as error:
                raise _bad(path, f"cannot be used ({error})") from error
            return _checked(path, found, of, size)
    if size != (640, 480):
        LOG.warning("%s: no intrinsics; those of a PrimeSense (640x480) may not fit pictures of %dx%d", folder, *size)
    return _matrix(PRIMESENSE)


def _bad(path: Path, reason: str) -> BadMeshError:
    return BadMeshError(path, "bad_intrinsics", reason, REMEDY)


def _from_json(about: Any) -> tuple[dict[str, float], Size | None]:
    """fx, fy, cx, cy and the size of the pictures that they are of, if it says so."""
    if not isinstance(about, Mapping):
        raise ValueError("it is no JSON object")
    size = next((tuple(int(about[name]) for name in names) for names in SIZES if all(n in about for n in names)), None)
    if all(name in about for name in PRIMESENSE):
        return {name: float(about[name]) for name in PRIMESENSE}, size  # type: ignore[return-value]
    if isinstance(about.get("params"), list):
        return _of_model(str(about.get("model")), [float(number) for number in about["params"]]), size  # type: ignore[return-value]
    for name in MATRICES:
        value = about.get(name)
        value = value.get("data") if isinstance(value, Mapping) and "data" in value else value
        if isinstance(value, list):
            return _from_matrix(np.array(value, np.float64)), size  # type: ignore[return-value]
    for name in WITHIN:
        if isinstance(about.get(name), Mapping):
            found, own = _from_json(about[name])
            return found, own or size  # type: ignore[return-value]
    given = ", ".join(map(str, about)) or "nothing"
    missing = ", ".join(name for name in PRIMESENSE if name not in about)
    raise ValueError(f"it names {given[:100]}, not {missing}")


def _from_matrix(matrix: np.ndarray) -> dict[str, float]:
    if matrix.size != 9:
        raise ValueError(f"its matrix has {matrix.size} numbers, not 9")
    matrix = matrix.reshape(3, 3)
    if matrix[0, 2] == 0 == matrix[1, 2]:  # the principal point stands in the last row: it is written by columns
        matrix = matrix.T
    if not np.allclose(matrix[2], (0, 0, 1)) or matrix[1, 0] != 0:
        raise ValueError("its matrix is none of intrinsics")
    if abs(matrix[0, 1]) > 1e-3 * abs(matrix[0, 0]):
        raise ValueError("its pixels are skewed")
    return {"fx": matrix[0, 0], "fy": matrix[1, 1], "cx": matrix[0, 2], "cy": matrix[1, 2]}


def _from_colmap(text: str) -> tuple[dict[str, float], Size | None]:
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len({tuple(line[1:]) for line in lines}) != 1:
        raise ValueError(f"it has {len(lines)} cameras, not one")
    _, model, width, height, *numbers = lines[0]
    return _of_model(model, [float(number) for number in numbers]), (int(width), int(height))


def _of_model(model: str, numbers: list[float]) -> dict[str, float]:
    """Intrinsics of a camera of COLMAP."""
    single = {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"}
    double = {"PINHOLE", "OPENCV", "FULL_OPENCV"}
    if model not in single | double:
        raise ValueError(f"its camera is of the model {model}")
    if model in single:
        numbers = [numbers[0], *numbers]
    fx, fy, cx, cy, *distortion = numbers
    if any(distortion):
        raise ValueError(f"its camera {model} distorts the pictures; undistort them first")
    return {"fx": fx, "fy": fy, "cx": cx - 0.5, "cy": cy - 0.5}


def _checked(path: Path, found: dict[str, float], of: Size | None, size: Size) -> np.ndarray:
    """The matrix, if a camera can have it."""
    if of is not None and of != size:
        raise _bad(path, f"is of pictures of {of[0]}x{of[1]}, and these have {size[0]}x{size[1]}")
    for axis, side in zip("xy", size, strict=True):
        focal, centre = found[f"f{axis}"], found[f"c{axis}"]
        if not (math.isfinite(focal) and math.isfinite(centre)):
            raise _bad(path, f"has numbers that are none: f{axis} = {focal}, c{axis} = {centre}")
        view = 2 * math.degrees(math.atan2(side / 2, focal)) if focal > 0 else math.nan
        if not VIEW[0] <= view <= VIEW[1]:
            raise _bad(path, f"has f{axis} = {focal:g} px for pictures of {side} px, which no camera has")
        if not -OUTSIDE * side <= centre <= (1 + OUTSIDE) * side:
            raise _bad(path, f"has c{axis} = {centre:g} px, far outside of pictures of {side} px")
    return _matrix(found)


def _matrix(found: Mapping[str, float]) -> np.ndarray:
    return np.array([[found["fx"], 0, found["cx"]], [0, found["fy"], found["cy"]], [0, 0, 1]])
