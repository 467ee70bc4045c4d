"""What the Snakefile decides of the experiments with reconstruction networks, without Snakemake."""

import json
import shlex

import pytest
from workflow_tools import ROOT

from liftnet.core.errors import LiftnetError
from liftnet.workflow.experiments import read_plan
from liftnet.workflow.reconstruction import DEMO, ReconstructionConfigured, ReconstructionExperiments

PLAN = {
    "settings": {"network": {"size": "small"}, "iterations": 800},
    "further": {"iterations": 1200, "optimiser": {"rate": 0.1}},
    "runs": {
        "net-start": {"network": "net"},
        "net-original": {"network": "net", "start": "net-start"},
        "net-drkfs": {"network": "net", "start": "net-start", "losses": {"drkfs": 1}, "settings": {"batch_size": 4}},
        "net-time": {
            "network": "net",
            "start": "net-start",
            "pace": {"as_long_as": "net-drkfs", "by": "net-original"},
        },
        "large": {"network": "large"},
        "nearest": {"reference": "retrieval"},
    },
    "tables": {
        "three": {"rows": [{"run": "net-original"}, {"run": "net-drkfs", "than": "net-time"}, {"run": "nearest"}]},
        "large": {"rows": [{"run": "large"}]},
    },
    "figures": {
        "7": {"runs": {"Net": ["net-original", "net-drkfs"], "Large": ["large"]}},
        "8": {"runs": {"Large": ["large"]}},
    },
    "demo": {
        "networks": ["net"],
        "rendering": {"classes": ["chair"]},
        "training": {"iterations": 5},
        "evaluation": {"metrics": ["iou"], "comparison": {"points": 100}},
    },
}
TRAINING = {
    "network": {"architecture": "other", "size": "published"},
    "iterations": 1,
    "batch_size": 16,
    "losses": {"chamfer": 1},
    "optimiser": {"rate": 1.0, "name": "adam"},
}
EVALUATION = {"metrics": ["iou", "mvcnn"], "comparison": {"points": 5000, "mvcnn": None}}


def experiments(place="", **changes):
    configured = {
        "results": "out",
        "seeds": range(7, 9),
        "rendering": {"classes": ["car", "chair"], "views": 8},
        "training": TRAINING,
        "evaluation": EVALUATION,
        "overrides": {},
    }
    return ReconstructionExperiments(PLAN, ReconstructionConfigured(**configured | changes), place)


def test_a_configuration_says_how_often_and_with_what_settings():
    config = {
        "results": "out/",
        "seed": 3,
        "render": {"reconstruction": {"views": 2}},
        "reconstruct": {"train": TRAINING, "evaluate": EVALUATION},
        "experiments": {"reconstruction": {"seeds": 2, "overrides": {"net": {"batch_size": 1}}}},
    }
    found = ReconstructionConfigured.of(config)
    assert (found.results, list(found.seeds), found.rendering) == ("out", [3, 4], {"views": 2})
    assert (found.training, found.evaluation) == (TRAINING, EVALUATION)


def test_a_run_goes_on_from_the_model_of_its_own_seed():
    found = experiments()
    shapes = "out/renders/reconstruction/shapes.parquet"
    assert found.training_inputs("net-start", "7") == [shapes]
    assert found.training_inputs("net-drkfs", "8") == [shapes, "out/reconstruct/models/net-start-s8/model.safetensors"]
    assert json.loads(found.training_settings("net-drkfs", "8"))["init_from"] == "out/reconstruct/models/net-start-s8"
    assert json.loads(found.training_settings("net-start", "8"))["init_from"] is None


def test_both_runs_from_one_start_have_the_same_steps():
    found = experiments()
    start, original, drkfs = (
        json.loads(found.training_settings(run, "7")) for run in ("net-start", "net-original", "net-drkfs")
    )
    assert (start["iterations"], start["optimiser"]["rate"]) == (800, 1.0)
    assert original["iterations"] == drkfs["iterations"] == 1200
    assert original["optimiser"] == drkfs["optimiser"] == {"rate": 0.1, "name": "adam"}
    assert (original["losses"], drkfs["losses"]) == ({}, {"drkfs": 1})  # whatever the configuration's are
    assert original["network"] == {"architecture": "net", "size": "small"}
    assert (original["batch_size"], drkfs["batch_size"]) == (16, 4)  # the run's own


def test_a_run_of_equal_time_waits_for_both_that_say_how_long():
    found = experiments()
    models = [f"out/reconstruct/models/{name}-s7" for name in ("net-start", "net-drkfs", "net-original")]
    assert found.training_inputs("net-time", "7")[1:] == [f"{model}/model.safetensors" for model in models]
    words = shlex.split(found.training_options("net-time", "7"))
    assert words[:2] == ["--root", "out/renders/reconstruction"]
    assert words[2:] == ["--as-long-as", models[1], "--paced-by", models[2]]
    assert "--as-long-as" not in found.training_options("net-drkfs", "7")


def test_overrides_win_by_network_then_by_run():
    overrides = {"net": {"batch_size": 2, "iterations": 9}, "net-drkfs": {"batch_size": 3}}
    found = json.loads(experiments(overrides=overrides).training_settings("net-drkfs", "7"))
    assert (found["batch_size"], found["iterations"]) == (3, 9)


def test_what_a_run_is_measured_with():
    found = experiments()
    described = "out/renders/reconstruction/descriptors.done"
    inputs = found.score_inputs("net-drkfs", "7")
    assert inputs[0] == described
    assert inputs[-2:] == [
        "out/models/mvcnn/model.safetensors",
        "out/reconstruct/models/net-drkfs-s7/model.safetensors",
    ]
    assert found.score_inputs("nearest", "7")[-1] == "out/models/mvcnn/model.safetensors"
    assert (
        found.score_options("nearest", "7") == "--reference retrieval --run nearest --root out/renders/reconstruction"
    )
    assert "--model out/reconstruct/models/net-drkfs-s8" in found.score_options("net-drkfs", "8")
    assert json.loads(found.evaluation_settings())["comparison"] == {"points": 5000, "mvcnn": "out/models/mvcnn"}
    own = {"metrics": ["mvcnn"], "comparison": {"mvcnn": "my/net"}}
    assert experiments(evaluation=own).truth_inputs()[-1] == "my/net/model.safetensors"


def test_a_table_needs_its_runs_with_all_seeds_and_references_once():
    assert experiments().table_scores("three") == [
        f"out/reconstruct/scores/{name}.parquet"
        for name in (
            *("net-original-s7", "net-original-s8", "net-drkfs-s7", "net-drkfs-s8"),
            *("net-time-s7", "net-time-s8", "nearest-s7"),
        )
    ]
    assert experiments().figure_scores("7") == [
        f"out/reconstruct/scores/{name}-s7.parquet" for name in ("net-original", "net-drkfs", "large")
    ]


def test_the_demo_is_smaller_and_lies_apart():
    demo = experiments(DEMO)
    assert list(demo.seeds()) == [7]
    assert demo.shapes == "out/demo/renders/reconstruction"
    assert json.loads(demo.rendering_settings()) == {"reconstruction": {"classes": ["chair"], "views": 8}}
    assert json.loads(demo.training_settings("net-drkfs", "7"))["iterations"] == 5
    assert json.loads(demo.evaluation_settings()) == {"metrics": ["iou"], "comparison": {"points": 100, "mvcnn": None}}
    assert demo.score_inputs("nearest", "7")[1:] == ["out/demo/renders/reconstruction/shapes.parquet"]
    assert demo.outputs() == ["out/demo/tables/three.csv", "out/demo/figures/reconstruction_figure7.html"]
    assert experiments().outputs() == [
        "out/tables/three.csv",
        "out/tables/large.csv",
        "out/figures/reconstruction_figure7.html",
        "out/figures/reconstruction_figure8.html",
    ]


SCHEMA = {"properties": {"reconstruct": {"properties": {"train": {
    "type": "object", "additionalProperties": False, "properties": {"batch_size": {"type": "integer", "minimum": 1}},
}}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"nett": {}}, "'nett' is neither a run nor a network"),
        ({"net": {"batch": 1}}, "unknown key 'batch'"),
        ({"net-drkfs": {"batch_size": 0}}, "less than the minimum"),
    ],
)
def test_wrong_overrides_are_refused(overrides, words):
    with pytest.raises(LiftnetError, match=words):
        experiments(overrides=overrides).check_overrides(SCHEMA)
    experiments(overrides={"net": {"batch_size": 2}}).check_overrides(SCHEMA)


def test_the_plan_starts_every_drkfs_run_where_its_control_starts():
    plan = read_plan(ROOT / "workflow" / "experiments" / "reconstruction.yaml")
    compared = [
        (row["run"], row["than"]) for table in plan["tables"].values() for row in table["rows"] if row.get("than")
    ]
    assert len(compared) == 6 + 5 + 2 + 6  # by DR-KFS, by both losses, Table 4, as much time
    for run, than in compared:
        assert plan["runs"][run]["start"] == plan["runs"][than]["start"], run
