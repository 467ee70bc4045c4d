"""What the Snakefile decides of the experiments: files, options and settings of each job, without Snakemake."""

import json
import shlex

import pytest
import yaml
from workflow_tools import ROOT

from liftnet.core.errors import LiftnetError
from liftnet.workflow.experiments import Configured, DepthExperiments, drkfs_outputs, merged, read_plan

PLAN = {
    "settings": {"camera": "affine", "network": {"levels": 4}},
    "sets": {
        "sculptures": {"title": "Sculptures", "folder": ".", "truth": "museum"},
        "sketchfab": {"title": "SketchFab", "folder": "renders/sketchfab"},
        "scanned": {"title": "Scanned", "folder": "renders/scanned", "unit": "cm", "split": "val"},
        "scans": {"title": "scans", "folder": "renders/scans"},
    },
    "runs": {
        "ours": {"train": "sculptures", "settings": {"network": {"width": 8}}},
        "theirs": {"train": "sketchfab", "method": "regression", "targets": "renders/sketchfab"},
        "ordinal": {"train": "sculptures", "method": "ordinal", "targets": "museum"},
        "flat": {"prior": "constant"},
    },
    "tables": {
        "4": {
            "sets": ["sketchfab", "scans", "sculptures"],
            "rows": [
                {"run": "ours", "method": "LiftNet"},
                {"run": "ordinal", "method": "Chen et al."},
                {"run": "flat", "method": "constant"},
            ],
        },
        "museum": {"sets": ["sculptures"], "rows": [{"run": "ours", "method": "LiftNet"}]},
    },
    "figures": {"5": {"models": ["ours", "ordinal"], "sets": ["sculptures", "scans"], "images": 2}},
}
TRAINING = {"method": "correspondences", "camera": "orthographic", "rate": 0.1, "network": {"width": 16, "levels": 6}}


def experiments(**changes):
    configured = {
        "results": "out",
        "has_museum": True,
        "seeds": range(7, 9),
        "scans": None,
        "training": TRAINING,
        "prior": {"image_size": 32},
        "overrides": {},
    }
    return DepthExperiments(PLAN, Configured(**configured | changes))


def test_a_configuration_says_how_often_and_with_what_settings():
    config = {
        "results": "out/",
        "seed": 7,
        "depth": {"train": {**TRAINING, "input": {"image_size": 32}}},
        "experiments": {"depth": {"seeds": 2, "scans": None, "overrides": {"ours": {"rate": 1}}}},
    }
    found = Configured.of(config, has_museum=False)
    assert (found.results, list(found.seeds), found.has_museum, found.scans) == ("out", [7, 8], False, None)
    assert (found.training["rate"], found.prior, found.overrides["ours"]) == (0.1, {"image_size": 32}, {"rate": 1})


def test_later_settings_win_and_what_they_do_not_name_stays():
    overrides = {"sculptures": {"rate": 0.5, "network": {"levels": 5}}, "ours": {"rate": 0.25}}
    found = json.loads(experiments(overrides=overrides).training_settings("ours"))
    assert found == {
        "method": "correspondences",
        "camera": "affine",  # the plan's
        "rate": 0.25,  # the run's override after that of its set
        "network": {"width": 8, "levels": 5},
    }
    assert json.loads(experiments().training_settings("theirs"))["method"] == "regression"
    assert TRAINING["network"] == {"width": 16, "levels": 6}, "the configuration was changed"


def test_a_group_is_merged_and_a_value_replaced():
    assert merged({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}, "d": 4}) == {"a": {"b": 1, "c": [3]}, "d": 4}
    assert merged({"a": None}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_what_a_run_is_trained_from():
    found = experiments()
    assert found.training_inputs("ours") == ["out/manifest.parquet", "out/dataset"]
    assert found.training_options("ours") == "--root out"
    rendered = "out/renders/sketchfab"
    assert found.training_inputs("theirs") == [f"{rendered}/manifest.parquet", f"{rendered}/truth.parquet"]
    assert found.training_options("theirs") == f"--root {rendered} --targets {rendered}"
    assert found.training_inputs("ordinal")[-1] == "out/museum/truth.parquet"


def test_what_a_run_is_measured_with():
    found = experiments(scans="my scans/")
    assert found.score_inputs("ours", "7", "sculptures") == [
        "out/manifest.parquet",
        "out/dataset",
        "out/museum/truth.parquet",
        "out/models/ours-s7/model.safetensors",
    ]
    assert found.score_inputs("flat", "7", "scans") == ["my scans/manifest.parquet", "my scans/truth.parquet"]
    words = shlex.split(found.score_options("flat", "7", "scans"))
    assert words[:8] == ["--prior", "constant", "--run", "flat", "--set", "scans", "--root", "my scans"]
    assert json.loads(words[words.index("--settings") + 1]) == {"image_size": 32}
    words = found.score_options("ours", "8", "scanned")
    assert "--model out/models/ours-s8 --run ours --set scanned" in words
    assert "--split val --unit cm" in words
    assert "--settings" not in words


def test_a_table_needs_each_run_with_each_seed_on_each_set_at_hand():
    assert experiments().table_scores("4") == [
        f"out/scores/{name}.parquet"
        for set_name in ("sketchfab", "sculptures")
        for name in (
            f"ours-s7/{set_name}",
            f"ours-s8/{set_name}",
            f"ordinal-s7/{set_name}",
            f"ordinal-s8/{set_name}",
            f"flat-s7/{set_name}",
        )
    ]
    assert any("/scans.parquet" in path for path in experiments(scans="mine").table_scores("4"))


def test_photographs_leave_out_what_needs_the_museums_truth():
    found = experiments(has_museum=False)
    assert found.table_scores("4") == [
        f"out/scores/{name}/sketchfab.parquet" for name in ("ours-s7", "ours-s8", "flat-s7")
    ]
    assert found.figure_models("5") == ["out/models/ours-s7/model.safetensors"]
    assert found.figure_options("5") == "--models out/models/ours-s7 --methods LiftNet --roots out --images 2"
    assert found.figure_manifests("5") == ["out/manifest.parquet", "out/dataset"]
    assert found.outputs() == ["out/tables/depth_table4.csv", "out/figures/depth_figure5.html"]
    assert experiments().outputs()[1] == "out/tables/depth_tablemuseum.csv"


SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "method": {"type": "string"},
        "camera": {"enum": ["affine", "orthographic"]},
        "rate": {"type": "number", "exclusiveMinimum": 0},
        "network": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"width": {"type": "integer"}, "levels": {"type": "integer"}},
        },
    },
}


CONFIG_SCHEMA = {"properties": {"depth": {"properties": {"train": SCHEMA}}}}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"sketchfob": {}}, "'sketchfob' is neither a run nor a training set"),
        ({"sketchfab": {"rates": 1}}, "unknown key 'rates'"),
        ({"ours": {"rate": -1}}, "rate: -1 is less than or equal to the minimum of 0"),
        ({"ours": {"network": {"depth": 1}}}, "network: unknown key 'depth'"),
    ],
)
def test_wrong_overrides_are_refused(overrides, words):
    with pytest.raises(LiftnetError, match=words):
        experiments(overrides=overrides).check_overrides(CONFIG_SCHEMA)


def test_overrides_that_the_schema_allows_pass():
    experiments(overrides={"ours": {"rate": 1, "network": {"width": 4}}, "sketchfab": {}}).check_overrides(
        CONFIG_SCHEMA
    )


def test_the_experiments_of_dr_kfs_are_those_of_its_plan():
    plan = read_plan(ROOT / "workflow" / "experiments" / "drkfs.yaml")
    names = ("legs", "bars", "shading", "sphere")
    assert drkfs_outputs("out", plan) == [f"out/tables/drkfs_{name}.csv" for name in names]


def test_a_missing_plan_is_named(tmp_path):
    with pytest.raises(LiftnetError, match=r"nowhere.yaml.*does not exist"):
        read_plan(tmp_path / "nowhere.yaml")
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    assert read_plan(tmp_path / "plan.yaml") == PLAN
