"""What is written into config.yaml can be read back, whatever groups there are."""

import yaml
from pydantic import Field

from liftnet.config import _group_lines
from liftnet.core.settings import Settings


class Nothing(Settings):
    """A group without settings."""


class Method(Settings):
    """A group of groups."""

    nothing: Nothing = Field(Nothing(), description="of nothing")
    width: int = Field(3, description="px")


class Everything(Settings):
    """The root."""

    method: Method = Field(Method(), description="a method")
    nothing: Nothing = Field(Nothing(), description="of nothing")


def test_a_group_without_settings_is_an_empty_group():
    read = yaml.safe_load("\n".join(_group_lines(Everything, "")))
    assert read == {"method": {"nothing": {}, "width": 3}, "nothing": {}}
    assert Everything.model_validate(read) == Everything()
