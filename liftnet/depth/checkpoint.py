"""The state of a training run on disk, and its metrics."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, write_text
from liftnet.core.log import get_logger
from liftnet.depth.settings import DepthSettings

UNRELATED = ("evaluation_pairs", "n_examples", "cache_mb", "tensorboard")  # settings that change no weight


@dataclass
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    Attributes:
        identity: Fingerprint of settings, seed and pairs; a checkpoint of another run is not used.
        iteration: Steps done.
        finished: Whether training has ended.
        seconds: Time spent in the loop.
        best_loss: Best validation loss.
        best_iteration: Its step.
        bad_validations: Validations since.
        metrics: One row for each validation.
        terms: Loss terms of the steps since the last validation.
        networks: Weights of each network now.
        optimiser: State of the optimiser.
        best: Weights of the depth network at the best validation.
    """

    identity: str
    iteration: int = 0
    finished: bool = False
    seconds: float = 0.0
    best_loss: float = math.inf
    best_iteration: int = 0
    bad_validations: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)
    terms: list[dict[str, list[float]]] = field(default_factory=list)
    networks: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)


def fingerprint(settings: DepthSettings, seed: int, items: Sequence[str]) -> str:
    """A hash of all that decides the weights of a run: settings, seed, items."""
    relevant = {name: value for name, value in settings.model_dump().items() if name not in UNRELATED}
    text = json.dumps([relevant, seed, list(items)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_checkpoint(path: Path, state: Checkpoint) -> None:
    """Write the state atomically."""
    with atomic_path(path) as temporary:
        torch.save({name: getattr(state, name) for name in state.__dataclass_fields__}, temporary)


def read_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """Read the state of the same run.

    Returns:
        None where there is none, or where it belongs to other settings or data and training starts anew.

    Raises:
        LiftnetError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        state = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LiftnetError(path, f"is not a readable checkpoint ({reason})", "Delete it to train anew") from error
    if state.identity != identity:
        get_logger("depth").info("settings or pairs have changed since %s was written; training starts anew", path)
        return None
    return state


def write_metrics(folder: Path, metrics: list[dict[str, float]], tensorboard: bool) -> None:
    """Write metrics.csv and, if asked for, a TensorBoard log of the last row.

    Raises:
        LiftnetError: TensorBoard is asked for and not installed.
    """
    write_text(folder / "metrics.csv", pd.DataFrame(metrics).to_csv(index=False, lineterminator="\n"))
    if not tensorboard or not metrics:
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LiftnetError(
            "--tensorboard", "TensorBoard is not installed", "Run `pip install tensorboard`, or leave it off"
        ) from error
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        for name, value in metrics[-1].items():
            if name != "iteration":
                writer.add_scalar(name, value, int(metrics[-1]["iteration"]))
