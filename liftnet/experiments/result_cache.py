"""Results of single cases on disk, so that a stopped experiment resumes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from liftnet.core.files import atomic_path, write_json
from liftnet.core.settings import Settings, fingerprint

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ResultCache:
    """A folder with a file for each case that is done.

    Attributes:
        folder: Where the files lie.
        key: Digest of all that results depend on beside the name of their case, see `digest_of`. A file that was
            written under another key counts as missing.
    """

    folder: Path
    key: str

    def of(self, *contents: Any) -> ResultCache:
        """The same folder for results that depend on more."""
        return dataclasses.replace(self, key=digest_of(self.key, *contents))

    def row(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of a case, computed if it is not there. Values are what JSON has: texts and numbers."""
        path = self.folder / f"{name}.json"
        found = _read(path)
        if found is not None and found.get("key") == self.key:
            return dict(found["row"])
        row = compute()
        write_json(path, {"key": self.key, "row": row})
        return row

    def arrays(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of a case, computed if they are not there."""
        from safetensors import SafetensorError, safe_open
        from safetensors.numpy import load_file, save_file

        path = self.folder / f"{name}.safetensors"
        try:
            with safe_open(path, "numpy") as file:
                is_same = (file.metadata() or {}).get("key") == self.key
        except (FileNotFoundError, SafetensorError):
            is_same = False
        if is_same:
            return dict(load_file(path))
        arrays = {key: np.ascontiguousarray(value) for key, value in compute().items()}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, {"key": self.key})
        return arrays


def digest_of(*contents: Any) -> str:
    """The first 16 hex digits of the SHA-256 of some contents: other values, another digest.

    Args:
        contents: Texts, numbers, None, arrays and tensors, settings, dataclasses, networks (all their parameters and
            buffers); sequences and mappings of them.

    >>> digest_of("legs", 0, (0.1, 0.2)) == digest_of("legs", 0, [0.1, 0.2]) != digest_of("legs", 1, [0.1, 0.2])
    True
    """
    return hashlib.sha256(json.dumps([_plain(value) for value in contents], sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """As JSON can hold it; arrays and networks by a digest of their bytes."""
    if isinstance(value, Settings):
        return fingerprint(value)
    if isinstance(value, nn.Module):
        return _plain(value.state_dict())
    if isinstance(value, Tensor):
        return _plain(value.detach().cpu().float().numpy())
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value)
        return [str(data.dtype), list(data.shape), hashlib.sha256(data.tobytes()).hexdigest()]
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _read(path: Path) -> dict[str, Any] | None:
    """What a file says, None where there is none or a broken one, which is then written again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None
