"""The stage `depth`: LiftNet, depth from one photograph, trained without depth.

For users of the library: `load_model(folder).predict_image(rgb, mask)`, and `correspondence_loss` to train other
networks with. Names are imported when they are first used,
so that the command line's help does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.depth.model import DepthModel, load_model, save_model
    from liftnet.depth.reprojection.loss import correspondence_loss

_HOMES = {
    "DepthModel": "liftnet.depth.model",
    "correspondence_loss": "liftnet.depth.reprojection.loss",
    "load_model": "liftnet.depth.model",
    "save_model": "liftnet.depth.model",
}
__all__ = ["DepthModel", "correspondence_loss", "load_model", "save_model"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
