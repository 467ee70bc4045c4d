"""Trainings of equal time: how many steps they have."""

from pathlib import Path

import pytest

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_json
from liftnet.models.folder import CONFIG, FORMAT
from liftnet.reconstruct.pace import paced
from liftnet.reconstruct.settings import TrainSettings


def model(folder: Path, steps: int, seconds: float) -> Path:
    training = {"steps": steps, "cpu_seconds": seconds}
    write_json(folder / CONFIG, {"format": FORMAT, "model": "reconstruction network", "training": training})
    return folder


def test_as_many_steps_as_fit_into_the_time_of_another_model(tmp_path):
    """300 s, of which a step of this kind takes 100 / 200 s."""
    slow, fast = model(tmp_path / "slow", 120, 300.0), model(tmp_path / "fast", 200, 100.0)
    settings = paced(TrainSettings(batch_size=3), slow, fast)
    assert (settings.iterations, settings.batch_size) == (600, 3)
    assert paced(TrainSettings(), model(tmp_path / "short", 1, 1e-3), fast).iterations == 1


@pytest.mark.parametrize(("steps", "seconds"), [(0, 10.0), (10, 0.0)])
def test_a_model_that_does_not_say_how_long_it_took_is_refused(tmp_path, steps, seconds):
    with pytest.raises(LiftnetError, match="how long its training took"):
        paced(TrainSettings(), model(tmp_path / "a", 10, 10.0), model(tmp_path / "b", steps, seconds))


def test_both_models_are_needed(tmp_path):
    with pytest.raises(LiftnetError, match="only one of both"):
        paced(TrainSettings(), model(tmp_path / "a", 10, 10.0), None)
