"""Shape Google: shapes as bags of geometric words, whatever their pose (Bronstein et al., TOG 2011)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.shape.shape_google.bag import describe as describe
    from liftnet.shape.shape_google.bag import describe_pairs as describe_pairs
    from liftnet.shape.shape_google.bag import distance as distance
    from liftnet.shape.shape_google.vocabulary import Vocabulary as Vocabulary
    from liftnet.shape.shape_google.vocabulary import learn_vocabulary as learn_vocabulary
    from liftnet.shape.shape_google.vocabulary import load_vocabulary as load_vocabulary

_MODULES = {
    "describe": "bag",
    "describe_pairs": "bag",
    "distance": "bag",
    "Vocabulary": "vocabulary",
    "learn_vocabulary": "vocabulary",
    "load_vocabulary": "vocabulary",
}
__all__ = ["Vocabulary", "describe", "describe_pairs", "distance", "learn_vocabulary", "load_vocabulary"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
