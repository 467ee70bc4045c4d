"""The files of OpenMVG, read and written. No length or index in a file is trusted before it is checked.

The formats are those of OpenMVG 2.x: `sfm_data.json` (version 0.3), `.feat` (text), `.desc` (a 64-bit count and the
bytes), matches as a portable binary archive of cereal, pairs as text. Written are features of any
extractor, a list of their images and a list of pairs.
"""

from __future__ import annotations

import errno
import io
import json
import struct
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, writing_error
from liftnet.core.opening import read_bytes
from liftnet.core.types import UInt8Array
from liftnet.data.features import Features

Pair = tuple[int, int]
Matches = dict[Pair, npt.NDArray[np.uint32]]

_REMEDY = "Run OpenMVG again, into an empty folder"
_UNDEFINED = 2**32 - 1  # a view without a camera
_NOT_POLYMORPHIC, _NEW_POINTER = 1 << 30, 1 << 31  # marks of the library cereal
_MAX_SIDE = 1 << 24  # an unreadable header shows up as a side of 2^32 - 1


@dataclass(frozen=True)
class View:
    """One image of a scene: `id_view` is its index in the match files, `filename` is relative to the root path."""

    id_view: int
    filename: str
    width: int
    height: int

    @property
    def stem(self) -> str:
        """The name its `.feat` and `.desc` go by."""
        return Path(self.filename).stem


@dataclass(frozen=True)
class Describer:
    """How SIFT features were found: the lowest octave, the least contrast, whether descriptors stand upright."""

    first_octave: int
    peak_threshold: float
    upright: bool
    root_sift: bool


def read_sfm_data(path: Path | str) -> list[View]:
    """Read the views of a scene, by ascending `id_view` (the file lists them in no order).

    Raises:
        LiftnetError: The file is missing or malformed, an id is used twice, or two views have the same stem: OpenMVG
            would give the second image the features of the first.
    """
    scene = read_json(path)
    try:
        version, entries = scene["sfm_data_version"], scene["views"]
        views = [_view(entry) for entry in entries]
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(path, f"is not a scene of OpenMVG (at {error})") from error
    if version != "0.3":
        raise LiftnetError(path, f"has the version {version!r}, not '0.3'", "Use OpenMVG 2.x")
    ids: dict[int, str] = {}
    stems: dict[str, str] = {}
    for view in views:
        if view.id_view in ids:
            raise _malformed(path, f"gives {view.filename} and {ids[view.id_view]} the same id {view.id_view}")
        if view.stem in stems:
            raise LiftnetError(
                path,
                f"lists {stems[view.stem]} and {view.filename}, which would share the features {view.stem}.feat",
                "Rename one of them",
            )
        ids[view.id_view] = stems[view.stem] = view.filename
    return sorted(views, key=lambda view: view.id_view)


def read_describer(path: Path | str) -> Describer:
    """Read `image_describer.json`: with what the features beside it were found.

    Raises:
        LiftnetError: The file is missing or malformed, or describes something other than SIFT.
    """
    content = read_json(path)
    try:
        kinds = content["image_describer"]["polymorphic_name"], content["regions_type"]["polymorphic_name"]
        if kinds != ("SIFT_Image_describer", "SIFT_Regions"):
            raise LiftnetError(path, f"names {kinds[0]} and {kinds[1]}, not SIFT", "Use OpenMVG 2.x")
        data = content["image_describer"]["ptr_wrapper"]["data"]
        params = data["params"]
        return Describer(
            int(params["first_octave"]), float(params["peak_threshold"]), not data["bOrientation"], params["root_sift"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(path, f"is not a describer of OpenMVG (at {error})") from error


def read_features(path: Path | str) -> npt.NDArray[np.float32]:
    """Read a `.feat` file.

    Returns:
        (N, 4) float32: x, y in pixels, (0, 0) the centre of the top-left pixel, scale, orientation in radians.

    Raises:
        LiftnetError: The file is missing, or a line is cut, has not four numbers or one that is not finite.
    """
    data = _read(path)
    if not data:
        return np.zeros((0, 4), np.float32)
    if not data.endswith(b"\n") or not data.strip():
        raise _malformed(path, "ends in the middle of a line")
    try:
        rows = np.loadtxt(io.StringIO(data.decode("ascii")), dtype=np.float64, ndmin=2, comments=None)
    except (ValueError, UnicodeDecodeError) as error:
        raise _malformed(path, f"is not a list of features ({error})") from error
    if rows.shape[1:] != (4,) or len(rows) != data.count(b"\n"):
        raise _malformed(path, "has a line that is not x, y, scale and orientation")
    if not np.isfinite(rows).all():
        raise _malformed(path, "has a number that is not finite")
    return rows.astype(np.float32)


def read_descriptors(path: Path | str) -> UInt8Array:
    """Read a `.desc` file of byte descriptors (SIFT).

    Returns:
        (N, 128) uint8.

    Raises:
        LiftnetError: The file is missing, or its size is not the one its count asks for.
    """
    data = _read(path)
    if len(data) < 8:
        raise _malformed(path, f"has {len(data)} bytes, too few for its count of descriptors")
    (count,) = struct.unpack_from("<Q", data)
    if len(data) != 8 + 128 * count:
        raise _malformed(path, f"has {len(data)} bytes, but {count} descriptors need {8 + 128 * count}")
    return np.frombuffer(data, np.uint8, offset=8).reshape(count, 128)


def read_matches(path: Path | str) -> Matches:
    """Read a file of matches: a portable binary archive of cereal.

    Returns:
        For each pair (I, J) of `id_view`, I < J, the (K, 2) uint32 indices of matching features in I and in J.

    Raises:
        LiftnetError: The file is missing, of another kind, cut, too long, or lists a pair twice or in the wrong order.
    """
    data = _read(path)
    if len(data) < 9 or data[0] > 1:
        raise _malformed(path, "is not a portable binary archive of matches")
    order = "<" if data[0] else ">"
    (pairs,) = struct.unpack_from(order + "Q", data, 1)
    at, matches = 9, Matches()
    if pairs * 16 > len(data) - at:
        raise _malformed(path, f"is too short for its {pairs} pairs")
    for _ in range(pairs):
        if len(data) - at < 16:
            raise _malformed(path, "ends in the middle of a pair")
        i, j, count = struct.unpack_from(order + "IIQ", data, at)
        at += 16
        if count * 8 > len(data) - at:
            raise _malformed(path, f"is too short for the {count} matches of pair {i} {j}")
        indices = np.frombuffer(data, order + "u4", 2 * count, at).reshape(count, 2)
        if i >= j:
            raise _malformed(path, f"has the pair {i} {j}, whose first view is not the smaller")
        if (i, j) in matches:
            raise _malformed(path, f"has the pair {i} {j} twice")
        matches[i, j] = indices.astype(np.uint32)
        at += 8 * count
    if at != len(data):
        raise _malformed(path, f"has {len(data) - at} bytes after its last pair")
    return matches


def read_pairs(path: Path | str) -> list[Pair]:
    """Read a list of pairs: text, whatever its suffix; one `I J` a line.

    Raises:
        LiftnetError: The file is missing or a line is not two different indices.
    """
    try:
        text = _read(path).decode("ascii")
    except UnicodeDecodeError as error:
        raise _malformed(path, "is not text") from error
    numbers = [_integers(line, path) for line in text.splitlines() if line.strip()]
    for line in numbers:
        if len(line) != 2 or line[0] == line[1]:
            raise _malformed(path, f"has a line that is not two different indices: {line}")
    return [(min(line), max(line)) for line in numbers]


def check_matches(
    path: Path | str, matches: Matches, counts: dict[int, int], names: dict[int, str] | None = None
) -> None:
    """Check that matches refer to existing views and features.

    Args:
        path: The file they come from, for the message.
        matches: As read by `read_matches`.
        counts: Number of features of each `id_view`.
        names: What to call each `id_view` in a message.

    Raises:
        LiftnetError: A view or a feature is out of range.
    """
    for pair, indices in matches.items():
        for column, view in enumerate(pair):
            if view not in counts:
                raise _malformed(path, f"matches the view {view}, which the scene does not have")
            largest = int(indices[:, column].max(initial=0))
            if len(indices) and largest >= counts[view]:
                name = (names or {}).get(view, f"view {view}")
                raise _malformed(path, f"matches the feature {largest} of {name}, which has {counts[view]}")


def _integers(line: str, path: Path | str) -> list[int]:
    """The whole numbers of a line, each fitting 32 bits."""
    words = line.split()
    if not all(word.isascii() and word.isdigit() and len(word) <= 10 for word in words):
        raise _malformed(path, f"has a line that is not whole numbers: {line[:60]!r}")
    numbers = [int(word) for word in words]
    if any(number > 0xFFFFFFFF for number in numbers):
        raise _malformed(path, f"has a number beyond 32 bits: {line[:60]!r}")
    return numbers


def _view(entry: Any) -> View:
    """A view from its entry in the scene; raises KeyError, TypeError or ValueError where it is malformed."""
    data = entry["value"]["ptr_wrapper"]["data"]
    folder, name = data["local_path"], data["filename"]
    numbers = [data["id_view"], data["width"], data["height"]]
    if not isinstance(folder, str) or not isinstance(name, str) or not name:
        raise ValueError("filename")
    if any(type(number) is not int for number in numbers):
        raise ValueError(f"numbers of {name}")
    if entry["key"] != numbers[0] or not 0 <= numbers[0] < 0xFFFFFFFF:
        raise ValueError(f"id_view of {name}")
    if not 0 < numbers[1] < _MAX_SIDE or not 0 < numbers[2] < _MAX_SIDE:
        raise ValueError(f"size of {name}")
    return View(numbers[0], f"{folder.rstrip('/')}/{name}" if folder else name, numbers[1], numbers[2])


def _read(path: Path | str) -> bytes:
    try:
        return read_bytes(Path(path))
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", "Run OpenMVG again") from error
    except OSError as error:
        raise LiftnetError(path, f"cannot be read ({error.strerror})", "Check the file's permissions") from error


def _malformed(path: Path | str, reason: str) -> LiftnetError:
    return LiftnetError(path, reason, _REMEDY)


def write_features(folder: Path, stem: str, features: Features) -> None:
    """Write `<stem>.feat` and `<stem>.desc`, as `read_features` and `read_descriptors` read them."""
    text = io.StringIO()
    rows = np.column_stack([features.keypoints, *features.frames])
    np.savetxt(text, rows, fmt="%.9g")
    write_file(folder / f"{stem}.feat", text.getvalue().encode("ascii"))
    write_file(folder / f"{stem}.desc", struct.pack("<Q", len(features)) + features.bytes.tobytes())


def write_describer(path: Path) -> None:
    """Write an `image_describer.json` that says the features beside it are SIFT; ComputeMatches goes by it."""
    params = {
        "first_octave": 0,
        "num_octaves": 6,
        "num_scales": 3,
        "edge_threshold": 10.0,
        "peak_threshold": 0.01,
        "root_sift": True,
    }
    describer = {
        "polymorphic_id": _NEW_POINTER + 1,
        "polymorphic_name": "SIFT_Image_describer",
        "ptr_wrapper": {"valid": 1, "data": {"params": params, "bOrientation": True}},
    }
    regions = {
        "polymorphic_id": _NEW_POINTER + 2,
        "polymorphic_name": "SIFT_Regions",
        "ptr_wrapper": {"valid": 1, "data": {"value0": [], "value1": []}},
    }
    write_file(path, json.dumps({"image_describer": describer, "regions_type": regions}).encode())


def write_sfm_data(path: Path, stems: Sequence[str], sizes: Sequence[tuple[int, int]]) -> None:
    """Write a scene of images without cameras, whose `id_view` is their place in the list.

    Args:
        path: `sfm_data.json`.
        stems: The name of each image's features.
        sizes: (width, height) of each image in pixels: the geometric filter scales its threshold by them.
    """
    views = [
        {
            "key": number,
            "value": {
                "polymorphic_id": _NOT_POLYMORPHIC,
                "ptr_wrapper": {
                    "id": _NEW_POINTER + number + 1,
                    "data": {
                        "local_path": "",
                        "filename": f"{stem}.ppm",
                        "width": width,
                        "height": height,
                        "id_view": number,
                        "id_intrinsic": _UNDEFINED,
                        "id_pose": number,
                    },
                },
            },
        }
        for number, (stem, (width, height)) in enumerate(zip(stems, sizes, strict=True))
    ]
    scene = {"sfm_data_version": "0.3", "root_path": "images", "views": views}
    scene |= {name: [] for name in ("intrinsics", "extrinsics", "structure", "control_points")}
    write_file(path, json.dumps(scene).encode())


def write_pairs(path: Path, pairs: Iterable[tuple[int, int]]) -> None:
    """Write a list of pairs of `id_view`, one a line."""
    write_file(path, "".join(f"{i} {j}\n" for i, j in pairs).encode())


def write_file(path: Path, data: bytes) -> None:
    """Write a file that a program will read.

    Raises:
        LiftnetError: The disk is full or the folder cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full_disk() from error
        raise writing_error(path, error) from error


def full_disk() -> LiftnetError:
    """The error of a full disk under the temporary folders, where all files for OpenMVG lie."""
    return LiftnetError(
        tempfile.gettempdir(), "is on a full disk", "Free some space, or set TMPDIR to a folder with more"
    )
