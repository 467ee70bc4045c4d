"""MVCNN: shapes as what a network sees in views from around (Su et al., ICCV 2015)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.shape.mvcnn.model import Mvcnn as Mvcnn
    from liftnet.shape.mvcnn.model import classify as classify
    from liftnet.shape.mvcnn.model import describe as describe
    from liftnet.shape.mvcnn.model import distance as distance
    from liftnet.shape.mvcnn.model import load_mvcnn as load_mvcnn
    from liftnet.shape.mvcnn.train import train_mvcnn as train_mvcnn

_MODULES = {
    "Mvcnn": "model",
    "classify": "model",
    "describe": "model",
    "distance": "model",
    "load_mvcnn": "model",
    "train_mvcnn": "train",
}
__all__ = ["Mvcnn", "classify", "describe", "distance", "load_mvcnn", "train_mvcnn"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
