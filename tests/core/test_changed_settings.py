"""Settings with other values, by name."""

import pytest
from pydantic import ValidationError

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings, changed


class Crop(Settings):
    side: int = 10
    margin: float = 0.1


class Network(Settings):
    side: int = 20
    width: int = 16


class All(Settings):
    crop: Crop = Crop()
    network: Network = Network()
    names: list[str] = ["a"]


def test_a_name_that_one_group_has_is_enough_and_all_else_stays():
    given = All(names=["b"])
    assert changed(given, width=32) == All(names=["b"], network=Network(width=32))
    assert changed(given, width=32, margin=0.5).crop == Crop(margin=0.5)
    assert given == All(names=["b"])


def test_a_name_of_several_groups_needs_the_dotted_one():
    assert changed(All(), **{"crop.side": 5}) == All(crop=Crop(side=5))
    with pytest.raises(LiftnetError, match=r"several settings: crop\.side, network\.side"):
        changed(All(), side=5)


def test_unknown_names_and_impossible_values_are_refused():
    with pytest.raises(LiftnetError, match=r"is no setting; did you mean 'network\.width'"):
        changed(All(), widht=1)
    with pytest.raises(ValidationError):
        changed(All(), width="wide")
