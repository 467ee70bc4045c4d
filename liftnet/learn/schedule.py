"""How the learning rate changes over a training: pure functions of the step, so that a resumed run agrees."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def rate_factor(schedule: Schedule, step: int, steps: int, warm_up_fraction: float = 0.0) -> float:
    """What the highest learning rate is multiplied by in the step that follows `step` steps.

    Args:
        schedule: constant; linear: falling in equal steps towards 0; cosine: half a cosine down to 0 (Loshchilov and
            Hutter, "SGDR", ICLR 2017). Cosine with a warm-up is the one-cycle schedule (Smith and Topin, 2018).
        step: Steps done.
        steps: Steps of the whole training.
        warm_up_fraction: Of the steps, in which the rate rises in equal steps to its highest; at least one step unless
            it is 0. The rest of the steps follows the schedule.

    Returns:
        In (0, 1]; 0 never, since after `steps` steps the training is over.
    """
    rise = max(1, round(warm_up_fraction * steps)) if warm_up_fraction else 0
    if step < rise:
        return (step + 1) / rise
    done, total = step - rise, max(1, steps - rise)
    if schedule == "linear":
        return 1 - done / total
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done / total))
    return 1.0
