"""Weights of the detector and the descriptors from files, checked before they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.models.encoders import read_state_dict

SHIPPED = Path(__file__).parent / "shipped"


def read_weights(
    path: str | Path, expected: Mapping[str, Tensor], what: str, sha256: str | None = None
) -> dict[str, Tensor]:
    """The tensors of a file that a network needs.

    Args:
        path: `.safetensors`, or `.pth`/`.pt` that holds tensors only (nothing else in it is unpickled).
        expected: State dict of the network; what else the file holds is left out.
        what: The network's name, for the error.
        sha256: If given, the SHA-256 of the file in hexadecimal digits.

    Returns:
        The tensors by the names of `expected`, in the types of `expected`.

    Raises:
        LiftnetError: The file is missing, damaged, of another checksum or of another network, or not all is finite.
    """
    path = Path(path)
    if not path.is_file():
        raise LiftnetError(path, f"does not exist; weights of {what} were expected there", "Correct the path")
    if sha256 is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256.lower():
            raise LiftnetError(
                path, f"has the SHA-256 {found}, not {sha256}", "Fetch the file again, or correct the sum"
            )
    given = read_state_dict(path)
    wrong = [key for key, value in expected.items() if key not in given or given[key].shape != value.shape]
    if wrong:
        shape = tuple(expected[wrong[0]].shape)
        reason = f"does not hold {what}: it has no tensor {wrong[0]} of shape {shape}"
        raise LiftnetError(path, reason, f"Give the weights of {what}")
    chosen = {key: given[key].to(value.dtype) for key, value in expected.items()}
    unusable = [key for key, value in chosen.items() if not bool(value.isfinite().all())]
    if unusable:
        raise LiftnetError(path, f"holds numbers that are not finite, in {unusable[0]}", "Train or fetch it again")
    return chosen
