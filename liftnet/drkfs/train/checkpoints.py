"""The state of a training run on disk: a run that is killed goes on as if it had never stopped."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, write_text
from liftnet.core.log import get_logger
from liftnet.core.settings import Settings, fingerprint

CHECKPOINT = "checkpoint.pt"
SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass
class State:
    """All that a run needs to go on.

    Attributes:
        identity: Fingerprint of what decides the weights; a checkpoint of another run is not used.
        iteration: Steps done.
        seconds: CPU seconds spent on them.
        metrics: One row for each validation.
        losses: Of the steps since the last validation.
        weights: Of the network now.
        optimiser: State of the optimiser.
    """

    identity: str
    iteration: int = 0
    seconds: float = 0.0
    metrics: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write checkpoint and metrics.csv atomically."""
        with atomic_path(folder / CHECKPOINT) as temporary:
            torch.save({name: getattr(self, name) for name in self.__dataclass_fields__}, temporary)
        write_text(folder / "metrics.csv", pd.DataFrame(self.metrics).to_csv(index=False, lineterminator="\n"))


def identity_of(settings: Settings, seed: int, *arrays: np.ndarray) -> str:
    """A hash of all that decides the weights of a run: settings, seed, examples."""
    digest = hashlib.sha256(f"{fingerprint(settings)} {seed}".encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def read_state(folder: Path, identity: str) -> State:
    """The state of the same run, or a new one where there is none or it belongs to other settings or examples.

    Raises:
        LiftnetError: The checkpoint is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return State(identity)
    try:
        state = State(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LiftnetError(path, f"is not a readable checkpoint ({reason})", "Delete it to train anew") from error
    if state.identity != identity:
        get_logger("drkfs").info("settings or points have changed since %s was written; training starts anew", path)
        return State(identity)
    if state.iteration:
        get_logger("drkfs").info("going on from step %d", state.iteration)
    return state
