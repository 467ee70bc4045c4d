"""hloc's files: features.h5, matches.h5 and pairs.txt (hloc/utils/io.py, parsers.py; read by hloc.triangulation).

A group an image with `keypoints`, whose (0, 0) is the centre of the top-left pixel as ours, and `image_size`; a group
a pair, `<name0>/<name1>`, with `matches0`: for each keypoint of the first image that of the second, or -1. Numbers
keep their precision: hloc's own halves would move keypoints by a pixel, and its short integers end at 32,767.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, write_text
from liftnet.shard.exports.exported import ExportedWork


def write_hloc(work: ExportedWork, folder: Path) -> None:
    """Write `features.h5`, `matches.h5` and `pairs.txt`.

    Raises:
        LiftnetError: h5py is not installed.
    """
    h5py = load_h5py()
    names = [image.name for image in work.images]
    with atomic_path(folder / "features.h5") as path, h5py.File(path, "w", libver="latest") as file:
        for image in work.images:
            group = file.create_group(image.name)
            group.create_dataset("keypoints", data=image.keypoints.astype(np.float32))
            group.create_dataset("image_size", data=np.array([image.width, image.height]))
    with atomic_path(folder / "matches.h5") as path, h5py.File(path, "w", libver="latest") as file:
        for pair in work.pairs:
            first, second = pair.images
            matches = np.full(len(work.images[first].keypoints), -1, np.int32)
            scores = np.zeros(len(matches), np.float32)
            matches[pair.matches[:, 0]], scores[pair.matches[:, 0]] = pair.matches[:, 1], pair.scores
            group = file.create_group(f"{names[first]}/{names[second]}")
            group.create_dataset("matches0", data=matches)
            group.create_dataset("matching_scores0", data=scores)
    lines = [f"{names[first]} {names[second]}\n" for first, second in (pair.images for pair in work.pairs)]
    write_text(folder / "pairs.txt", "".join(lines))


def load_h5py() -> ModuleType:
    """Import h5py.

    Raises:
        LiftnetError: It is missing; says how to install it.
    """
    try:
        import h5py
    except ImportError as error:
        remedy = "Install it with `pip install 'liftnet[hloc]'`, or choose another format"
        raise LiftnetError("h5py", f"cannot be imported ({error})", remedy) from error
    module: ModuleType = h5py
    return module
