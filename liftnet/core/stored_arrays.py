"""Files of arrays: safetensors and .npz, bounded before memory is taken; nothing in them is executed."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liftnet.core.limits import ARRAY_BYTES
from liftnet.core.opening import check_file, open_file

if TYPE_CHECKING:
    from safetensors import safe_open


@contextmanager
def open_tensors(path: str | PathLike[str], framework: str = "numpy") -> Iterator[safe_open]:
    """A safetensors file, to read its tensors one by one: they lie in the file as in memory, so it bounds them.

    Args:
        path: The file.
        framework: Of the tensors: "numpy" or "pt".

    Raises:
        OSError: It is no regular file, or cannot be opened.
        safetensors.SafetensorError: It is damaged.
    """
    from safetensors import safe_open

    check_file(str(path))
    with safe_open(path, framework) as file:
        yield file


def read_arrays(path: str | PathLike[str], names: tuple[str, ...] = ()) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file.

    Args:
        path: The file.
        names: Those wanted, all without.

    Raises:
        OSError: It is no regular file, or cannot be opened.
        ValueError, KeyError, EOFError, zipfile.BadZipFile: It is damaged, would take more than `ARRAY_BYTES`, holds
            objects, or lacks an array that is wanted.
    """
    with open_file(path) as file, zipfile.ZipFile(file) as archive:
        members = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}
        wanted = names or tuple(members)
        if (size := sum(members[name].file_size for name in wanted)) > ARRAY_BYTES:
            raise ValueError(f"its arrays take {size:,} bytes, more than {ARRAY_BYTES:,}")
        found = {}
        for name in wanted:
            with archive.open(members[name]) as member:
                _check_head(member, members[name].file_size, name)
            with archive.open(members[name]) as member:
                found[name] = np.lib.format.read_array(member, allow_pickle=False)
        return found


def _check_head(member: Any, size: int, name: str) -> None:
    """Refuse an array that says of itself that it is larger than it is, before memory is taken for it."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(member)
    if kind.hasobject or math.prod(shape) * kind.itemsize > size:
        raise ValueError(f"{name} of shape {shape} and type {kind} is not what the file holds")
