"""What to say of a split that has nothing, before hours go into a training that cannot be judged."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from liftnet.data.codes import SPLITS

_WITHOUT = {
    "train": "nothing can learn from it",
    "val": "a training chooses its weights by works that it would have learnt from, of artists that it has seen",
    "test": "nothing measures a model on artists that it has not seen",
}
_REMEDY = "Collect three artists at least, or name some in `collect.splits.val_artists` and `test_artists`"


def warn_of_empty_splits(log: logging.Logger, where: Path, counts: Mapping[str, int], what: str) -> None:
    """Warn of each split that has none of what is counted; of nothing at all, others speak.

    Args:
        log: Of the stage.
        where: The file or folder that is divided.
        counts: By split; a split that is not named has none.
        what: What is counted, as in "pairs".
    """
    empty = [split for split in SPLITS if not counts.get(split)]
    for split in empty if len(empty) < len(SPLITS) else ():
        log.warning("%s has no %s in the split %s: %s. %s", where, what, split, _WITHOUT[split], _REMEDY)
