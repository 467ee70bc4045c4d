"""Trainings of equal time: how many steps of one loss fit into the time that another one took."""

from __future__ import annotations

from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.settings import changed
from liftnet.models.folder import read_config
from liftnet.models.reconstruction import RECONSTRUCTION
from liftnet.reconstruct.settings import TrainSettings

LOG = get_logger("reconstruct")


def paced(settings: TrainSettings, as_long_as: Path | None, by: Path | None) -> TrainSettings:
    """The settings with as many steps as take the time of a processor that a model took to train.

    Args:
        settings: Of the training; its `iterations` are replaced.
        as_long_as: Folder of the model whose time is taken.
        by: Folder of a model that was trained by steps of the same kind: it says how long one takes.

    Raises:
        LiftnetError: Only one of both is named, or a model does not say how long its training took.
    """
    if as_long_as is None or by is None:
        raise LiftnetError("--as-long-as, --paced-by", "only one of both is given", "Give both, or neither")
    (_, whole), (steps, spent) = _spent(as_long_as), _spent(by)
    iterations = max(1, round(steps * whole / spent))
    LOG.info("%d steps, which take as long as %s: %.0f s of a processor", iterations, as_long_as, whole)
    return changed(settings, iterations=iterations)


def _spent(folder: Path) -> tuple[int, float]:
    """The steps of a model's training, and the seconds of a processor that they took."""
    again = f"Train it again with `{RECONSTRUCTION.command}`"
    training = read_config(folder, RECONSTRUCTION.name, again).get("training", {})
    steps, seconds = int(training.get("steps", 0)), float(training.get("cpu_seconds", 0))
    if steps < 1 or seconds <= 0:
        raise LiftnetError(folder, "does not say how long its training took", again)
    return steps, seconds
