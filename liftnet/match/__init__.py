"""The stage `match`: putative correspondences between the images of one work.

`match_descriptors` is the exact nearest-neighbour matcher on its own. It is loaded on first use, so that importing
the stage for its command line stays light.
"""

from __future__ import annotations

from typing import Any

__all__ = ["match_descriptors"]


def __getattr__(name: str) -> Any:
    if name == "match_descriptors":
        from liftnet.match.descriptors import match_descriptors

        return match_descriptors
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
