"""The state of a training on disk: a training that is killed resumes as if it had never stopped."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.opening import open_file
from liftnet.core.settings import Settings

CHECKPOINT = "checkpoint.pt"
VERSION = 2
REMEDY = "Delete it to train from scratch"
Row = dict[str, Any]
StateDict = dict[str, Tensor]


@dataclass
class Checkpoint:
    """All that a training needs to go on. Nothing random is in it: that follows from the seed and the step's number.

    Attributes:
        identity: Fingerprint of all that decides the weights (`identity`); a checkpoint of another run is not used.
        step: Steps done.
        finished: Whether training has ended.
        seconds: Time spent in the loop.
        cpu_seconds: Of the processor, spent on the steps alone.
        best_step: Step of the best validation.
        best_score: Its score; None before the first that counts.
        best_row: Its metrics.
        bad_validations: Validations since.
        skipped: Steps left out because their loss or gradient was not finite.
        skipped_in_row: Of these, the last ones without another step between or after them.
        metrics: One row for each validation.
        terms: Terms of the loss of the steps since the last validation, as lists.
        networks: Weights of each network now.
        optimiser: State of the optimiser.
        best: Weights at the best validation, of each network that is kept.
    """

    identity: str
    step: int = 0
    finished: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best_step: int = 0
    best_score: tuple[float, ...] | None = None
    best_row: Row = field(default_factory=dict)
    bad_validations: int = 0
    skipped: int = 0
    skipped_in_row: int = 0
    metrics: list[Row] = field(default_factory=list)
    terms: list[dict[str, list[float]]] = field(default_factory=list)
    networks: dict[str, StateDict] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    best: dict[str, StateDict] = field(default_factory=dict)


def identity(settings: Settings, seed: int, data: Iterable[str | bytes]) -> str:
    """A hash of all that decides the weights of a training.

    Args:
        settings: The groups that decide them, and no setting that does not.
        seed: The run's seed.
        data: What is learnt from: names, digests or contents, in order.
    """
    digest = hashlib.sha256(json.dumps([settings.model_dump(mode="json"), seed], sort_keys=True).encode())
    for part in data:
        plain = part.encode() if isinstance(part, str) else part
        digest.update(len(plain).to_bytes(8, "big") + plain)
    return digest.hexdigest()


def write_checkpoint(path: Path, state: Checkpoint) -> None:
    """Write the state atomically.

    Raises:
        LiftnetError: The disk is full or the folder cannot be written; the checkpoint before is still there.
    """
    buffer = BytesIO()  # writing the bytes ourselves makes a full disk an OSError; torch's writer hides it
    torch.save({"version": VERSION} | {each.name: getattr(state, each.name) for each in fields(state)}, buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a state; None where there is none.

    Raises:
        LiftnetError: The file is damaged, or of another version of liftnet.
    """
    if not path.exists():
        return None
    try:
        with open_file(path) as file:
            held = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LiftnetError(path, f"is not a readable checkpoint ({reason})", REMEDY) from error
    version = held.pop("version", None) if isinstance(held, dict) else None
    if version != VERSION or held.keys() != {each.name for each in fields(Checkpoint)}:
        raise LiftnetError(path, f"is not a checkpoint of version {VERSION}", REMEDY)
    return Checkpoint(**held)
