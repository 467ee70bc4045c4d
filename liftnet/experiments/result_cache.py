"""Results of single cases on disk, so that a stopped experiment goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from liftnet.core.files import atomic_path, write_json

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Memory:
    """A folder with a file for each case that is done.

    Attributes:
        folder: Where the files lie.
        about: All that every result depends on beside the case: settings, digests of networks. A file that was
            written under another `about` counts as missing.
    """

    folder: Path
    about: Mapping[str, Any]

    def row(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of a case, computed if it is not there. Values are what JSON has: texts and numbers."""
        path = self.folder / f"{name}.json"
        found = _read(path)
        if found is not None and found.get("about") == _plain(self.about):
            return dict(found["row"])
        row = compute()
        write_json(path, {"about": _plain(self.about), "row": row})
        return row

    def arrays(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of a case, computed if they are not there."""
        from safetensors import SafetensorError, safe_open
        from safetensors.numpy import load_file, save_file

        path = self.folder / f"{name}.safetensors"
        about = json.dumps(_plain(self.about), sort_keys=True)
        try:
            with safe_open(path, "numpy") as file:
                same = (file.metadata() or {}).get("about") == about
        except (FileNotFoundError, SafetensorError):
            same = False
        if same:
            return dict(load_file(path))
        arrays = {key: np.ascontiguousarray(value) for key, value in compute().items()}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, {"about": about})
        return arrays


def digest_of(module: nn.Module) -> str:
    """A short digest of all parameters and buffers of a network."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON would give it back: lists for tuples."""
    return dict(json.loads(json.dumps(value, sort_keys=True, default=str)))


def _read(path: Path) -> dict[str, Any] | None:
    """What a file says, None where there is none or a broken one, which is then written again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None
