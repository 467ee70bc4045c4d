"""The predictions that `depth evaluate` leaves beside its tables: an .npz each, listed in predictions/index.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.files import own_path, read_json
from liftnet.core.stored_arrays import read_arrays

_AGAIN = "Run `depth evaluate` again"


def listed_predictions(root: Path) -> list[dict[str, Any]]:
    """The rows of predictions/index.json: image_id, npz, work_id, split, truth, metrics.

    Raises:
        LiftnetError: It is missing or no list of predictions.
    """
    index = root / "predictions" / "index.json"
    rows = read_json(index)
    if not isinstance(rows, list) or not all(isinstance(r, dict) and {"image_id", "npz"} <= set(r) for r in rows):
        raise LiftnetError(index, "is not a list of predictions", _AGAIN)
    return rows


def read_prediction(root: Path, name: object) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a prediction: rgb, depth and mask at least.

    Args:
        root: The folder of the run.
        name: Of the file below predictions/, as its row has it.

    Raises:
        LiftnetError: It is missing or damaged, lacks an array, or lies elsewhere.
    """
    path = own_path(root / "predictions", str(name))
    if path is None:
        raise LiftnetError(root / "predictions" / "index.json", f"names {str(name)!r}, a file elsewhere", _AGAIN)
    try:
        arrays = read_arrays(path)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise LiftnetError(path, f"is not a readable prediction ({error})", _AGAIN) from error
    if not {"rgb", "depth", "mask"} <= set(arrays):
        raise LiftnetError(path, "lacks rgb, depth or mask", _AGAIN)
    return arrays
