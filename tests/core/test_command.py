"""Declaring a command: its usage, its dotted settings, and what it says of words that it does not know."""

import json
from pathlib import Path

import pytest
from pydantic import Field

from liftnet.core.command import CommandParser, add_command, add_run_folder
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings, fingerprint, settings_from


class Network(Settings):
    """A group."""

    width: int = Field(16, ge=4, description="channels, 100 % of them")
    flip: bool = Field(True, description="mirror")


class Whole(Settings):
    """A tree."""

    network: Network = Field(Network(), description="the network")
    steps: int = Field(10, description="steps")
    names: list[str] = Field([], description="names")


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
    assert "channels, 100 % of them (default: 16)" in " ".join(rest.split())


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
