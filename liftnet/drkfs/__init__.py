"""Stage `drkfs`: a differentiable visual similarity of shapes, after the paper DR-KFS (ECCV 2020).

For users of the library: `DRKFS(image_size=256, views=25)(vertices, faces, target_vertices, target_faces)` is a scalar
and differentiable in `vertices`. Names are imported when they are first used, so that the command line's help does not
load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.drkfs.comparison import Differences, Options, Target
    from liftnet.drkfs.metric import DRKFS, hemisphere
    from liftnet.models.patch_descriptors import PatchDescriptor, load_descriptor
    from liftnet.models.point_detector import PointDetector, load_detector

_HOMES = {
    "DRKFS": "liftnet.drkfs.metric",
    "Differences": "liftnet.drkfs.comparison",
    "Options": "liftnet.drkfs.comparison",
    "PatchDescriptor": "liftnet.models.patch_descriptors",
    "PointDetector": "liftnet.models.point_detector",
    "Target": "liftnet.drkfs.comparison",
    "load_descriptor": "liftnet.models.patch_descriptors",
    "load_detector": "liftnet.models.point_detector",
    "hemisphere": "liftnet.drkfs.metric",
}
__all__ = [
    "DRKFS",
    "Differences",
    "Options",
    "PatchDescriptor",
    "PointDetector",
    "Target",
    "hemisphere",
    "load_descriptor",
    "load_detector",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
