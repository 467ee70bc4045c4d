"""The stage `depth`: depth from one image, learnt from correspondences.

`liftnet.depth.correspondence_loss` is the paper's loss, to be used in other networks' training too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.depth.loss import correspondence_loss

__all__ = ["correspondence_loss"]


def __getattr__(name: str) -> Any:
    """Load torch only when the loss is asked for: the command line reads this package for its settings."""
    if name == "correspondence_loss":
        from liftnet.depth.loss import correspondence_loss

        return correspondence_loss
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
