"""The house keeps its plan: rules, environments, schema and config.yaml tell the same story."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from liftnet import config as configuration
from liftnet.__main__ import STAGES, build_parser

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
RULES = sorted((ROOT / "rules").glob("*.smk"))


def rule_blocks():
    for path in RULES:
        for block in re.split(r"\n(?=(?:rule|checkpoint) )", path.read_text())[1:]:
            yield pytest.param(block, id=re.match(r"\w+ (\w+)", block)[1])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_five_places(stage):
    places = [ROOT / "rules" / f"{stage}.smk", ROOT / "liftnet" / stage, ROOT / "tests" / stage]
    assert [place for place in places if not place.exists()] == []
    assert stage in yaml.safe_load((ROOT / "config.yaml").read_text())
    assert stage in build_parser().format_help()


@pytest.mark.parametrize("block", list(rule_blocks()))
def test_every_rule_has_its_directives(block):
    for directive in ("log:", "benchmark:", "conda:", "resources:", "--log {log:q}", "shell:"):
        assert directive in block, f"{directive} is missing"
    assert not re.search(r"^\s+(run|shadow|retries):", block, re.MULTILINE)
    assert "python -m liftnet" in block


def bounds(lines):
    found = (re.match(r"([\w-]+)(?:\[[\w,]+\])?\s*>=\s*([\d.]+)", line) for line in lines)
    return {match[1].lower(): match[2] for match in found if match}


def test_environments_carry_the_bounds_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + [
        line for extra in project["optional-dependencies"].values() for line in extra
    ]
    expected = bounds(declared)
    for path in sorted((ROOT / "envs").glob("*.yaml")):
        entries = yaml.safe_load(path.read_text())["dependencies"]
        packages = [entry for entry in entries if isinstance(entry, str)]
        packages += [line for entry in entries if isinstance(entry, dict) for line in entry["pip"]]
        found = {name: bound for name, bound in bounds(packages).items() if name not in ("python", "pip")}
        assert len(found) == len([p for p in packages if not re.match(r"(python|pip) ", p)]), "a package without bound"
        assert found == {name: expected.get(name) for name in found}, path.name


def test_every_dependency_gives_the_reason_of_its_bound():
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.optional-dependencies]")]
    lines = [line for line in block.splitlines() if line.strip().startswith('"')]
    assert [line for line in lines if ">=" not in line or "#" not in line] == []


def test_every_environment_of_the_rules_exists_with_its_post_deploy_script():
    used = set(re.findall(r"envs/(\w+)\.yaml", "".join(path.read_text() for path in RULES))) | {"vision", "colmap"}
    for name in used:
        assert (ROOT / "envs" / f"{name}.yaml").exists()
        assert (ROOT / "envs" / f"{name}.post-deploy.sh").exists()


def test_the_committed_schema_is_the_settings():
    assert SCHEMA.read_text() == configuration.schema_text(), (
        "run `python -m liftnet.config schema > workflow/schemas/config.schema.yaml`"
    )


def test_config_yaml_states_every_setting_with_its_default():
    assert (ROOT / "config.yaml").read_text() == configuration.config_text(), (
        "run `python -m liftnet.config defaults > config.yaml`"
    )
    stated = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert configuration.Config(**stated) == configuration.Config()
    assert stated == configuration.Config().model_dump(mode="json")


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/configs").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configurations_are_valid(path):
    changed = configuration.Config(**yaml.safe_load(path.read_text()))
    of_no_photographs = {"refresh.yaml": changed.collect.politeness.refresh, "release_segmenter.yaml": changed.seed}
    assert changed.photos == "photos" or of_no_photographs[path.name]


@pytest.fixture(scope="module")
def schema_of_configuration():
    return yaml.safe_load(SCHEMA.read_text())


def names_paths(schema):
    kinds = (schema, *schema.get("anyOf", ()), schema.get("items", {}))
    return any(kind.get("format") == "path" for kind in kinds) or any(
        names_paths(inner) for inner in schema.get("properties", {}).values()
    )


@pytest.mark.parametrize("block", list(rule_blocks()))
def test_a_rule_whose_settings_name_files_of_the_user_follows_them(block, schema_of_configuration):
    for call in re.findall(r"(?<!_)(?:options|section)\(([^)*]+)\)", block.partition("params:")[2]):
        path, *groups = (word.strip(" \"'") for word in call.split(","))
        schema = schema_of_configuration
        for name in path.split("."):
            schema = schema["properties"][name]
        if any(names_paths(schema["properties"][group]) for group in groups) or (not groups and names_paths(schema)):
            assert "state=" in block, f"state=lambda wildcards: state_of({call}) is missing"


@pytest.mark.parametrize("block", list(rule_blocks()))
def test_a_rule_is_read_in_one_glance(block):
    first, *others = [line for line in block.splitlines() if line.strip()]
    own = [first]
    for line in others:
        if not line.startswith(" "):
            break
        own.append(line)
    assert len(own) <= 25


def test_on_a_cluster_every_rule_that_asks_for_a_graphics_card_is_sent_where_there_are_some():
    blocks = [parameter.values[0] for parameter in rule_blocks()]
    asking = {re.match(r"\w+ (\w+)", block)[1] for block in blocks if re.search(r"^\s+gpu=", block, re.MULTILINE)}
    sent = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())["set-resources"]
    assert len(asking) > 5
    assert sent == {rule: {"slurm_partition": "gpu"} for rule in asking}
