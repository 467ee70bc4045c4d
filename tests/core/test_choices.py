"""Choices that are known only when the program runs are as those of a `Literal`."""

import argparse
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import OneOf, Settings, add_settings_arguments, module_names, settings_from

NAMES = ("refinenet", "unet")


class Found(Settings):
    architecture: Annotated[str, OneOf(NAMES)] = Field("unet", description="which")
    several: list[Annotated[str, OneOf(NAMES)]] = Field(["unet"], description="which")


class Written(Settings):
    architecture: Literal["refinenet", "unet"] = Field("unet", description="which")
    several: list[Literal["refinenet", "unet"]] = Field(["unet"], description="which")


class Network(Settings):
    network: Found = Field(Found(), description="what it is")


def parsed(settings, *arguments):
    parser = argparse.ArgumentParser()
    add_settings_arguments(parser, settings)
    return settings_from(parser.parse_args(arguments), settings)


def test_the_schema_is_that_of_a_literal():
    properties = [kind.model_json_schema()["properties"] for kind in (Found, Written)]
    assert properties[0] == properties[1]


def test_a_single_name_is_an_enumeration_too():
    class Only(Settings):
        kind: Annotated[str, OneOf(("unet",))] = "unet"

    assert Only.model_json_schema()["properties"]["kind"]["enum"] == ["unet"]
    assert Only(kind="unet").kind == "unet"


def test_names_are_taken_and_others_refused_in_the_words_of_a_literal():
    assert Found(architecture="refinenet", several=["refinenet", "unet"]).architecture == "refinenet"
    for wrong in ({"architecture": "resnet"}, {"several": ["unet", "resnet"]}, {"architecture": 3}):
        errors = []
        for kind in (Found, Written):
            with pytest.raises(ValidationError) as refused:
                kind(**wrong)
            errors.append(refused.value.errors(include_url=False))
        assert errors[0] == errors[1]


def test_help_shows_the_choices():
    shown = []
    for kind in (Found, Written):
        parser = argparse.ArgumentParser(prog="train")
        add_settings_arguments(parser, kind)
        shown.append(parser.format_help())
    assert "--architecture {refinenet,unet}" in shown[0]
    assert shown[0] == shown[1]


def test_a_wrong_letter_is_answered_with_the_nearest_choice():
    assert parsed(Network, "--network.architecture", "refinenet").network.architecture == "refinenet"
    with pytest.raises(LiftnetError, match=r"'refinenet' or 'unet' \(given: 'refinent'\); did you mean 'refinenet'\?"):
        parsed(Network, "--network.architecture", "refinent")


def test_module_names_are_sorted_and_without_what_modules_share(tmp_path):
    for name in ("unet.py", "__init__.py", "_shared.py", "refinenet.py", "notes.md"):
        (tmp_path / name).write_text("raise RuntimeError")  # none is imported
    (tmp_path / "swin").mkdir()
    (tmp_path / "swin" / "__init__.py").write_text("")
    (tmp_path / "data").mkdir()
    assert module_names(tmp_path) == ("refinenet", "swin", "unet")
