"""The configuration as the Snakefile reads it: what is refused in which words, and the defaults of the rest."""

import copy

import pytest
import yaml
from snakemake.utils import validate
from workflow_tools import ROOT, TINY

from liftnet.core.errors import LiftnetError
from liftnet.workflow.configuration import load_configuration, problems, with_defaults

SCHEMA_FILE = ROOT / "workflow/schemas/config.schema.yaml"
SMALL = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "depth": {
            "type": "object",
            "additionalProperties": False,
            "default": {},
            "properties": {
                "image_size": {"type": "integer", "default": 64},
                "optimiser": {
                    "type": "object",
                    "additionalProperties": False,
                    "default": {},
                    "properties": {
                        "name": {"enum": ["sgd", "adam"], "default": "adam"},
                        "learning_rate": {"type": "number", "exclusiveMinimum": 0, "default": 0.1},
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sed": 1}, ["config: unknown key 'sed'; did you mean 'seed'?", "known keys are depth, seed"]),
        ({"depth": {"imagesize": 1}}, ["depth: unknown key 'imagesize'; did you mean 'image_size'?"]),
        ({"depth": {"optimiser": {"nam": 1}}}, ["depth.optimiser: unknown key 'nam'; did you mean 'name'?"]),
        (
            {"depth": {"learning_rate": 0.1}},
            ["depth: unknown key 'learning_rate'; did you mean 'depth.optimiser.learning_rate'?"],
        ),
        ({"learningrate": 0.1}, ["did you mean 'depth.optimiser.learning_rate'?"]),
        ({"zzz": 0.1}, ["config: unknown key 'zzz'; known keys"]),
        ({"depth": {"optimiser": {"name": "adagrad"}}}, ["depth.optimiser.name: ", "enum ['sgd', 'adam']"]),
        ({"seed": -1}, ["seed: -1 is less than the minimum of 0; allowed: type integer, minimum 0"]),
        ({"seed": "x"}, ["seed: 'x' is not of type 'integer'"]),
    ],
)
def test_each_fault_is_named_with_what_is_allowed(given, words):
    (line,) = problems(given, SMALL)
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize(
    ("section", "change", "words"),
    [
        ("match", {"ratio": 0.8}, ["match: unknown key 'ratio'; did you mean 'match.search.ratio'?"]),
        ("search", {"ratoi": 0.8}, ["match.search: unknown key 'ratoi'", "did you mean 'ratio'?", "known keys are"]),
        ("search", {"ratio": "high"}, ["match.search.ratio", "'high' is not of type 'number'"]),
        ("search", {"ratio": 7}, ["match.search.ratio", "7", "maximum"]),
        ("search", {"matcher": "superglue"}, ["match.search.matcher", "exact", "colmap", "openmvg"]),
    ],
)
def test_faults_of_the_workflows_own_schema(section, change, words):
    given = {"match": change if section == "match" else {section: change}}
    (line,) = problems(given, yaml.safe_load(SCHEMA_FILE.read_text()))
    assert [word for word in words if word not in line] == []


def test_all_faults_are_told_at_once():
    assert len(problems({"seed": -1, "depth": {"image_size": "x"}}, SMALL)) == 2


def test_defaults_fill_what_is_not_said_and_leave_the_given_as_it_is():
    given = {"depth": {"optimiser": {"name": "sgd"}}}
    before = copy.deepcopy(given)
    assert with_defaults(given, SMALL) == {
        "depth": {"optimiser": {"name": "sgd", "learning_rate": 0.1}, "image_size": 64},
        "seed": 0,
    }
    assert given == before


@pytest.mark.parametrize("given", [{}, TINY], ids=["empty", "tiny"])
def test_defaults_are_those_that_snakemake_fills_in(given):
    filled = copy.deepcopy(given)
    validate(filled, str(SCHEMA_FILE))
    assert load_configuration(given, SCHEMA_FILE) == filled


def test_of_an_empty_configuration_comes_the_shipped_one():
    assert load_configuration({}, SCHEMA_FILE) == yaml.safe_load((ROOT / "config.yaml").read_text())


def test_a_faulty_configuration_is_refused():
    with pytest.raises(LiftnetError, match="cannot be used") as told:
        load_configuration({"colect": {}, "seed": -1}, SCHEMA_FILE)
    assert "did you mean 'collect'?" in str(told.value)
    assert "seed: -1" in str(told.value)
