"""The stage `depth`: LiftNet, depth from one photograph, trained without depth.

For users of the library: `load_model(folder).predict_image(rgb, mask)`, and `correspondence_loss` to train other
networks with. Names are imported when they are first used,
so that the command line's help does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.depth.reprojection.loss import correspondence_loss
    from liftnet.models.liftnet import DepthModel, load_model, save_model

_HOMES = {
    "DepthModel": "liftnet.models.liftnet",
    "correspondence_loss": "liftnet.depth.reprojection.loss",
    "load_model": "liftnet.models.liftnet",
    "save_model": "liftnet.models.liftnet",
}
__all__ = ["DepthModel", "correspondence_loss", "load_model", "save_model"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
