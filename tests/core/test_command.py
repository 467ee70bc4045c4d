"""Declaring a command: its usage, its dotted settings, and what it says of words that it does not know."""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from liftnet.__main__ import build_parser
from liftnet.core.command import CommandParser, add_command, add_run_folder
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import ListOption, Settings, fingerprint, settings_from
from liftnet.drkfs.settings import ScoreCommandSettings
from liftnet.shape.metrics import METRICS
from liftnet.shape.settings import METRIC_NAMES


class Network(Settings):
    """A group."""

    width: int = Field(16, ge=4, description="channels, 100 % of them")
    flip: bool = Field(True, description="mirror")


class Whole(Settings):
    """A tree."""

    network: Network = Field(Network(), description="the network")
    steps: int = Field(10, description="steps")
    names: list[str] = Field([], description="names")
    kinds: list[str] = Field(["one", "two words"], description="kinds")
    start: str | None = Field(None, description="model; null: none")


@pytest.fixture
def parser():
    top = CommandParser(prog="liftnet")
    command = add_command(top.add_subparsers(), "train", lambda arguments: None, "Train.", Whole)
    command.add_argument("--root", type=Path, required=True)
    add_run_folder(command, "--tables", "tables", "folder of the tables")
    return top


def read(parser, *words):
    return settings_from(parser.parse_command(["train", "--root", "r", *words]), Whole)


def test_flags_overrule_the_json_and_the_rest_stays_at_its_default(parser):
    given = json.dumps({"network": {"width": 32, "flip": False}, "steps": 3})
    assert read(parser) == Whole()
    assert read(parser, "--settings", given) == Whole(network=Network(width=32, flip=False), steps=3)
    assert read(parser, "--settings", given, "--network.width", "64", "--network.flip") == Whole(
        network=Network(width=64), steps=3
    )
    assert read(parser, "--names", "a", "b").names == ["a", "b"]
    assert read(parser, "--no-network.flip").network == Network(flip=False)


class Lists(Settings):
    """Lists of which words can be told from others."""

    kinds: list[Literal["tall", "wide"]] = Field(["tall"], description="kinds")
    sizes: list[float] = Field([1.0], description="sizes")


@pytest.fixture
def comparing():
    top = CommandParser(prog="liftnet")
    command = add_command(top.add_subparsers(), "compare", lambda arguments: None, "Compare.", Lists)
    command.add_argument("shape", type=Path)
    command.add_argument("more", type=Path, nargs="+")
    command.add_argument("--lenient", action="store_true")
    return top


@pytest.mark.parametrize(
    "words",
    [
        "--kinds wide tall --sizes 1 -.5 2e3 s a b --lenient",
        "s a b --lenient --kinds wide tall --sizes 1 -.5 2e3",
        "--sizes 1 -.5 2e3 s --lenient a --kinds wide tall b",
        "--kinds wide tall s --sizes 1 -.5 2e3 --lenient -- a b",
    ],
)
def test_a_list_leaves_the_words_that_are_none_of_its_values(comparing, words):
    arguments = comparing.parse_command(["compare", *words.split()])
    assert (arguments.shape, arguments.more, arguments.lenient) == (Path("s"), [Path("a"), Path("b")], True)
    assert settings_from(arguments, Lists) == Lists(kinds=["wide", "tall"], sizes=[1, -0.5, 2000])


def test_a_misspelt_item_of_a_list_is_named_with_the_nearest(comparing):
    arguments = comparing.parse_command(["compare", "--kinds", "wied", "s", "a"])
    with pytest.raises(LiftnetError, match=r"--kinds\.0.*'wied'\); did you mean 'wide'\?"):
        settings_from(arguments, Lists)


def test_words_after_two_dashes_are_no_options(comparing):
    assert comparing.parse_command(["compare", "s", "--", "-a"]).more == [Path("-a")]


def every_command(parser, names=()):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from every_command(below, (*names, name))
    if parser._subparsers is None:
        yield " ".join(names), parser


def test_no_command_has_a_list_that_could_swallow_a_positional_argument():
    """Such a list has values that can be told from paths: choices or numbers."""
    found = {name: parser._actions for name, parser in every_command(build_parser())}
    assert len(found) > 40
    greedy = {
        f"{name} {action.option_strings[0]}"
        for name, actions in found.items()
        if any(not action.option_strings for action in actions)
        for action in actions
        if action.option_strings and action.nargs in ("+", "*")
        if not isinstance(action, ListOption) or action.is_item("a/path")
    }
    assert greedy == set()


def test_every_command_has_an_example_that_it_takes(capsys):
    without, refused, top = [], [], build_parser()
    for name, parser in every_command(top):
        head, _, line = (parser.epilog or "").partition("\n  ")
        if head != "example:" or not line.startswith(f"liftnet {name}"):
            without.append(name)
            continue
        try:
            top.parse_command(shlex.split(line.partition(" > ")[0])[1:])
        except SystemExit:
            refused.append(f"{line}: {capsys.readouterr().err}")
    assert (without, refused) == ([], [])


def test_an_example_stays_on_one_line_of_the_help(capsys):
    for words in (["segment", "propose"], ["verify", "run"]):
        with pytest.raises(SystemExit):
            build_parser().parse_command([*words, "--help"])
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  liftnet")]
        assert len(line) > 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["depht"], "unknown command 'depht'; did you mean 'depth'? (known: run, "),
        (["depth", "trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["drkfs", "score", "--up", "Y", "a", "b"], "argument --up: unknown value 'Y' (known: y, z)"),
    ],
)
def test_a_misspelt_command_or_choice_gets_the_nearest(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_command(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_metrics_stand_before_the_meshes_and_help_shows_them(capsys):
    arguments = build_parser().parse_command(
        ["drkfs", "score", "--metrics", "chamfer_l1", "iou", "a.obj", "b.obj", "--out", "f.csv"]
    )
    assert (arguments.shape, arguments.target, arguments.out) == (Path("a.obj"), Path("b.obj"), Path("f.csv"))
    assert settings_from(arguments, ScoreCommandSettings).score.metrics == ["chamfer_l1", "iou"]
    assert (*METRICS,) == METRIC_NAMES
    with pytest.raises(SystemExit):
        build_parser().parse_command(["drkfs", "score", "--help"])
    assert f"--metrics [{{drkfs,{','.join(METRICS)}}}" in capsys.readouterr().out


def test_a_folder_of_a_run_lies_below_its_root_unless_it_is_named(parser, capsys):
    def tables(*words):
        return parser.parse_command(["train", "--root", "r", *words]).tables

    assert tables() == Path("r/tables")
    assert tables("--tables", "t") == Path("t")
    with pytest.raises(SystemExit):
        parser.parse_command(["train", "--help"])
    assert "folder of the tables (default: ROOT/tables)" in capsys.readouterr().out


def test_the_usage_names_what_must_be_given_and_no_single_setting(parser, capsys):
    with pytest.raises(SystemExit) as ended:
        parser.parse_command(["train"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "--root ROOT" in said
    assert "--settings JSON" in said
    assert "--network.width" not in said


def test_the_help_explains_every_setting_below_a_short_usage(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_command(["train", "--help"])
    said = capsys.readouterr().out
    usage, _, rest = said.partition("Train.")
    assert "--network.width" not in usage
    assert "--network.width WIDTH" in rest
    said = " ".join(rest.split())
    assert "channels, 100 % of them (default: 16)" in said
    assert "names (default: none of them)" in said
    assert "kinds (default: one 'two words')" in said
    assert "model; null: none (default: null)" in said


def test_an_unknown_option_ends_with_the_one_most_like_it(parser, capsys):
    for words in (["--widht", "3"], ["--network.widht=3"]):
        with pytest.raises(SystemExit) as ended:
            read(parser, *words)
        assert ended.value.code == 2
        assert "did you mean '--network.width'?" in capsys.readouterr().err


def test_options_are_never_abbreviated(parser):
    with pytest.raises(SystemExit):
        read(parser, "--step", "3")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--settings", '{"netwrk": {"width": 8}}'], r"--netwrk.*did you mean 'network'"),
        (["--settings", '{"network": {"widht": 8}}'], r"--network.widht.*did you mean 'network.width'"),
        (["--settings", "{"], "is not JSON"),
        (["--settings", "[1]"], "is not a JSON object"),
        (["--network.width", "3"], r"--network.width: .*greater than or equal to 4 .*'3'"),
        (["--steps", "many"], r"--steps: .*integer.*'many'"),
    ],
)
def test_a_wrong_value_is_named_by_its_option(parser, words, said):
    with pytest.raises(LiftnetError, match=said):
        read(parser, *words)


def test_the_fingerprint_follows_the_values_alone():
    assert fingerprint(Network()) == fingerprint(Network(width=16, flip=True))
    assert len({fingerprint(Network()), fingerprint(Network(width=17)), fingerprint(Network(flip=False))}) == 3


@pytest.mark.parametrize("words", [["--help"], ["completion", "bash"]])
def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(words):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "liftnet", *words]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert ended.stderr == ""
    assert ended.returncode in (0, 141), "argparse passes over what it cannot print"
