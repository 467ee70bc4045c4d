"""Intrinsics of RGB-D recordings, as the programs that make them write them down."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json
from liftnet.core.limits import JSON_BYTES
from liftnet.core.log import get_logger
from liftnet.core.opening import read_bytes, read_text
from liftnet.mesh.mesh import BadMeshError

LOG = get_logger("render")
PRIMESENSE = {"fx": 525.0, "fy": 525.0, "cx": 319.5, "cy": 239.5}  # nominal, as stated with the recordings
NAMES = ("intrinsics.json", "intrinsic.json", "camera_intrinsic.json", "metadata.json", "metadata", "transforms.json")
TEXTS = ("intrinsics.txt", "intrinsic.txt", "camera-intrinsics.txt", "camera_intrinsics.txt", "K.txt")
COLMAP_FOLDERS = ("", "sparse", "sparse/0")
MODELS = (  # of COLMAP by their numbers, and how many parameters each has
    *(
        ("SIMPLE_PINHOLE", 3),
        ("PINHOLE", 4),
        ("SIMPLE_RADIAL", 4),
        ("RADIAL", 5),
        ("OPENCV", 8),
        ("OPENCV_FISHEYE", 8),
    ),
    *(
        ("FULL_OPENCV", 12),
        ("FOV", 5),
        ("SIMPLE_RADIAL_FISHEYE", 4),
        ("RADIAL_FISHEYE", 5),
        ("THIN_PRISM_FISHEYE", 12),
    ),
)
ALIASES = {
    "fx": ("fl_x", "f_x", "focal_x"),
    "fy": ("fl_y", "f_y", "focal_y"),
    "cx": ("ppx", "c_x"),
    "cy": ("ppy", "c_y"),
}
DISTORTION = re.compile(r"k[1-6]|p[12]|coeffs|dist(ortion)?(_coeff(s|icients)?)?|D")
UNREAD = re.compile(
    r"(?i).*(intrinsic|calib|transforms|cameras?\b|cameras?[-_.]).*\.(txt|bin|json|ya?ml|xml|np[yz]|info)"
)
MATRICES = ("intrinsic_matrix", "intrinsics", "intrinsic", "K", "camera_matrix")
WITHIN = ("camera", "intrinsics", "intrinsic", "color", "rgb")  # where a group of its own holds the numbers
SIZES = (("width", "height"), ("w", "h"), ("image_width", "image_height"))
VIEW = (1.0, 175.0)  # degrees that a camera may see
OUTSIDE = 0.5  # of the picture's side that the principal point may lie outside
Size = tuple[int, int]
Found = tuple[dict[str, float], Size | None]
REMEDY = "Give fx, fy, cx and cy in px, or the file that Open3D, COLMAP, ARKit or Record3D wrote"


def read_intrinsics(folder: Path, size: Size) -> np.ndarray:
    """The intrinsics of a recording.

    Read are fx, fy, cx, cy by name; a matrix of 9 or 3x3 numbers, by row or by column (Open3D: intrinsic_matrix;
    Record3D: K; ARKit: intrinsics), also as text of 3x3 or 4x4 numbers; transforms.json of Nerfstudio and COLMAP's
    cameras.txt or cameras.bin of one camera, whose pixels have their centres at halves. None may distort the pictures.
    Without any such file they are the nominal ones of a PrimeSense sensor.

    Args:
        folder: The recording.
        size: Width and height of its pictures, px.

    Returns:
        (3, 3), px, the centre of the first pixel at (0, 0).

    Raises:
        BadMeshError: There is a file, but not of these, or no camera can be so.
    """
    for name, read in _readers():
        path = folder / name
        if path.is_file():
            try:
                found, of = read(path)
            except LiftnetError as error:
                raise _bad(path, f"cannot be used (it {error.reason})") from error
            except TypeError as error:  # null, or a list where a number must be
                raise _bad(path, "cannot be used (there is something else where a number must be)") from error
            except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
                raise _bad(path, f"cannot be used ({error})") from error
            return _checked(path, found, of, size)
    others = [path for place in COLMAP_FOLDERS for path in sorted((folder / place).glob("*")) if path.is_file()]
    if unread := next((path for path in others if UNREAD.fullmatch(path.name)), None):
        raise _bad(unread, "may hold the intrinsics, in a form that is not read")
    if size != (640, 480):
        LOG.warning("%s: no intrinsics; those of a PrimeSense (640x480) may not fit pictures of %dx%d", folder, *size)
    return _matrix(PRIMESENSE)


def _readers() -> Iterator[tuple[str, Callable[[Path], Found]]]:
    """The files that intrinsics may stand in, the first that is there counts, and what reads each."""
    yield from ((name, lambda path: _from_json(read_json(path))) for name in NAMES)
    yield from ((name, lambda path: (_from_matrix(np.array(_text(path).split(), np.float64)), None)) for name in TEXTS)
    for place in COLMAP_FOLDERS:
        yield str(Path(place, "cameras.txt")), lambda path: _from_colmap(_text(path))
        yield str(Path(place, "cameras.bin")), lambda path: _from_colmap_bin(read_bytes(path, JSON_BYTES))


def _text(path: Path) -> str:
    return read_text(path, JSON_BYTES, errors="replace")


def _bad(path: Path, reason: str) -> BadMeshError:
    return BadMeshError(path, "bad_intrinsics", reason, REMEDY)


def _from_json(about: Any) -> Found:
    """fx, fy, cx, cy and the size of the pictures that they are of, if it says so."""
    if not isinstance(about, Mapping):
        raise ValueError("it is no JSON object")
    size = next((tuple(int(about[name]) for name in names) for names in SIZES if all(n in about for n in names)), None)
    bent = [
        name for name, value in about.items() if DISTORTION.fullmatch(name) and np.any(np.array(value, np.float64))
    ]
    if bent:
        raise ValueError(f"its {', '.join(bent)} say that the pictures are distorted; undistort them first")
    half = 0.5 if "fl_x" in about else 0.0  # Nerfstudio's pixels are COLMAP's
    named = {one: next((other for other in (one, *ALIASES[one]) if other in about), one) for one in PRIMESENSE}
    if all(other in about for other in named.values()):
        return {one: float(about[other]) - half * (one[0] == "c") for one, other in named.items()}, size  # type: ignore[return-value]
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
    if matrix.size == 16:  # of 4x4, as ScanNet writes it
        matrix = matrix.reshape(4, 4)[:3, :3]
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


def _from_colmap(text: str) -> Found:
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len({tuple(line[1:]) for line in lines}) != 1:
        raise ValueError(f"it has {len(lines)} cameras, not one")
    _, model, width, height, *numbers = lines[0]
    return _of_model(model, [float(number) for number in numbers]), (int(width), int(height))


def _from_colmap_bin(data: bytes) -> Found:
    """As `_from_colmap`, of the binary form: how many cameras, and of each its id, model, size and parameters."""
    (count,), at, lines = struct.unpack_from("<Q", data), 8, []
    for _ in range(min(count, len(data))):
        camera, model, width, height = struct.unpack_from("<IiQQ", data, at)
        name, parameters = MODELS[model] if 0 <= model < len(MODELS) else (f"number_{model}", 0)
        numbers = struct.unpack_from(f"<{parameters}d", data, at + 24)
        lines.append(" ".join(map(str, (camera, name, width, height, *numbers))))
        at += 24 + 8 * parameters
    return _from_colmap("\n".join(lines))


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
