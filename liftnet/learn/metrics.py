"""The record of a training: metrics.csv and, if asked for, TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text
from liftnet.learn.checkpoint import Row

LossTerms = dict[str, Tensor]


def mean_terms(terms: Sequence[LossTerms]) -> dict[str, float]:
    """The mean of each term over all items of the steps; a "loss" of NaN where there is no step."""
    if not terms:
        return {"loss": math.nan}
    return {name: float(torch.cat([step[name].reshape(-1) for step in terms]).mean()) for name in terms[0]}


def write_metrics(folder: Path, metrics: Sequence[Row]) -> None:
    """Write metrics.csv, one row per validation."""
    write_text(folder / "metrics.csv", pd.DataFrame(metrics).to_csv(index=False, lineterminator="\n"))


def write_tensorboard(folder: Path, row: Row, step: int) -> None:
    """Add the numbers of one validation to the TensorBoard log below `folder`.

    Raises:
        LiftnetError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LiftnetError(
            "tensorboard", "is not installed", "Run `pip install tensorboard`, or leave the setting off"
        ) from error
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        for name, value in row.items():
            if name != "iteration" and isinstance(value, int | float):
                writer.add_scalar(name, value, step)
