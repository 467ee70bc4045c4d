"""Writers of the files that OpenMVG reads: features of any extractor, a list of their images and a list of pairs."""

from __future__ import annotations

import errno
import json
import struct
import tempfile
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.files import writing_error
from liftnet.data.features import Features

_UNDEFINED = 2**32 - 1  # a view without a camera
_NOT_POLYMORPHIC, _NEW_POINTER = 1 << 30, 1 << 31  # marks of the library cereal


def write_features(folder: Path, stem: str, features: Features) -> None:
    """Write `<stem>.feat` and `<stem>.desc`, as `read_features` and `read_descriptors` read them."""
    text = StringIO()
    rows = np.column_stack([features.keypoints, features.scales, features.orientations])
    np.savetxt(text, rows, fmt="%.9g")
    write_file(folder / f"{stem}.feat", text.getvalue().encode("ascii"))
    write_file(folder / f"{stem}.desc", struct.pack("<Q", len(features)) + features.descriptors.tobytes())


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
