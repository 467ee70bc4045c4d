"""A folder of results goes on with its run where no source is named, and refuses another source."""

import json
import os

import pytest
import yaml

from liftnet.core.errors import LiftnetError
from liftnet.workflow.configuration import with_defaults
from liftnet.workflow.remembered import PLANNED, changed, record, settings_of_call
from liftnet.workflow.results_folder import hold

TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
SCHEMA = {
    "additionalProperties": False,
    "properties": {
        "results": {"type": "string", "default": "out"},
        "take_over": {"type": "boolean", "default": False},
        "photos": TEXT,
        "sources": {"type": "array", "default": []},
        "seed": {"type": "integer", "default": 0},
        "match": {"default": {}, "properties": {"ratio": {"type": "number", "default": 0.8}, "weights": TEXT}},
    },
}
MET = {"name": "met", "kind": "met"}
MINE = {"name": "mine", "kind": "table", "file": "theirs.csv"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("statues", "busts", "listed"):
        (tmp_path / name).mkdir()
    (tmp_path / "listed" / "sources.csv").touch()
    return tmp_path


def call(explicit=None, is_first=True, **own):
    """The settings of a call: on the command line those of `explicit`, in config.yaml the others."""
    explicit = explicit or {}
    return settings_of_call(with_defaults({**own, **explicit}, SCHEMA), explicit, SCHEMA, is_first)


def ran(kind="directory", origin="statues", **settings):
    """Leave what a run of these settings does, as far as its plan of downloads."""
    hold("out").close()
    record(with_defaults(settings, SCHEMA), "out")
    os.makedirs("out/downloads", exist_ok=True)
    with open(f"out/{PLANNED}", "w") as file:
        json.dump({"kind": kind, "origin": os.fsencode(origin).hex()}, file)


def test_a_call_without_a_source_goes_on_with_all_that_the_run_was_told():
    ran(photos="statues", seed=3, match={"ratio": 0.7, "weights": "w"})
    settings, told = call()
    assert settings == with_defaults({"photos": "statues", "seed": 3, "match": {"ratio": 0.7, "weights": "w"}}, SCHEMA)
    assert "the photographs of statues" in told
    assert "(seed=3, match.ratio=0.7, match.weights=w)" in told
    settings, _ = call({"match": {"ratio": 0.8}, "photos": None}, seed=5)  # the default, as the command line says it
    assert settings == with_defaults({"photos": "statues", "seed": 5, "match": {"weights": "w"}}, SCHEMA)
    assert call(is_first=False)[0]["photos"] == "statues", "in the jobs of a call too"


def test_a_call_with_its_source_says_all_its_settings(here):
    ran(photos="statues", seed=3)
    for same in ("statues", "./statues/", str(here / "statues")):
        settings, told = call({"photos": same})
        assert (settings["photos"], settings["seed"], told) == ("statues", 0, "")  # the path as before: nothing is new


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ({"photos": "listed"}, {"photos": "listed/sources.csv"}),
        ({"photos": "statues"}, {"photos": "statues", "sources": [MET]}),
        ({"sources": [MET, MINE]}, {"sources": [MINE, {**MET, "departments": [1]}], "photos": "statues"}),
    ],
)
def test_a_source_may_be_extended(held, asked):
    ran(**held)
    settings, _ = call(asked)
    assert settings["sources"] == asked.get("sources", []), "taken, not refused"


@pytest.mark.parametrize(
    ("held", "asked", "words"),
    [
        ({}, {"photos": "statues"}, "a run of the built-in demo museum, and this call asks for the photographs of st"),
        (
            {"photos": "statues"},
            {"photos": "busts"},
            "a run of the photographs of statues, and .* photographs of busts",
        ),
        ({"photos": "statues"}, {"sources": [MET]}, "this call asks for the met list met"),
        ({"photos": "statues", "sources": [MET]}, {"photos": "statues"}, "of statues, without the met list met"),
        ({"sources": [MINE]}, {"sources": [{**MINE, "file": "others.csv"}]}, "a run of the table list mine"),
    ],
)
def test_another_source_is_refused_with_what_to_do(held, asked, words):
    ran("directory" if held else "museum", **held)
    with pytest.raises(LiftnetError, match=words) as refused:
        call(asked)
    told = str(refused.value)
    assert [word for word in ("out: ", "--config results=FOLDER", "take_over=true") if word not in told] == []
    assert call({**asked, "take_over": True})[0]["take_over"]
    call(asked, is_first=False)


def test_a_run_that_has_collected_nothing_yet_gives_way():
    hold("out").close()
    record(with_defaults({"photos": "statues"}, SCHEMA), "out")
    assert call()[0]["photos"] == "statues"
    assert call({"photos": "busts"})[0]["photos"] == "busts"


def test_a_run_of_the_museum_with_files_of_ones_own_goes_on():
    ran("museum", "", seed=3, match={"ratio": 0.7, "weights": "mine.pth"})
    settings, told = call(seed=5)
    assert settings == with_defaults({"seed": 5, "match": {"ratio": 0.7, "weights": "mine.pth"}}, SCHEMA)
    assert "match.weights=mine.pth" in told
    assert call({"match": {"weights": "other.pth"}})[0]["match"] == {"ratio": 0.7, "weights": "other.pth"}


def test_the_museum_is_what_the_configuration_says():
    ran("museum", seed=3)
    assert call() == (with_defaults({}, SCHEMA), "")


@pytest.mark.parametrize("text", ["photos: [", "x", "photos: 7\nsources: []", "photos: a\nsources: [met]", None])
def test_a_record_that_cannot_be_read_is_told_and_the_plan_knows_the_source(here, text):
    ran(photos="statues")
    (here / "out/run_config.yaml").unlink()
    if text is not None:
        (here / "out/run_config.yaml").write_text(text)
    with pytest.raises(LiftnetError, match=r"out/run_config.yaml: .*Name its source again.*--config photos=statues"):
        call()
    with pytest.raises(LiftnetError, match="a run of the photographs of statues"):
        call({"photos": "busts"})
    call({"photos": "statues"})


def test_of_lists_without_a_record_nothing_is_known(here):
    ran("lists", "out/lists/met.parquet", sources=[MET])
    (here / "out/run_config.yaml").write_text("{")
    for asked in ({}, {"photos": "statues"}):
        with pytest.raises(LiftnetError, match=r"out/run_config.yaml: is not valid YAML"):
            call(asked)
    call({"photos": "statues", "take_over": True})


def test_a_record_of_another_version_is_told(here):
    ran(photos="statues")
    text = (here / "out/run_config.yaml").read_text()
    (here / "out/run_config.yaml").write_text(text + "colour: red\n")
    with pytest.raises(LiftnetError, match=r"unknown key 'colour'.*\n.*Name the source again"):
        call()
    call({"photos": "statues"})


def test_a_run_is_gone_on_with_where_its_paths_begin(here, monkeypatch):
    ran(photos="statues")
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    with pytest.raises(LiftnetError, match=f"was called in {here}, where its paths begin"):
        call(results="../out")
    assert call({"photos": "../statues"}, results="../out")[0]["photos"] == "../statues"


def test_the_record_says_what_is_repeated_twice_and_never_that_it_takes_over(here):
    shared = [1, 2]
    record({"a": shared, "b": shared, "take_over": True}, "out")
    assert yaml.safe_load((here / "out/run_config.yaml").read_text()) == {"a": [1, 2], "b": [1, 2], "take_over": False}
    assert "&" not in (here / "out/run_config.yaml").read_text()


def test_settings_that_differ_are_found_in_their_groups():
    assert changed({"a": {"b": 1, "c": {}}, "d": {"e": 1}}, {"a": {"b": 1, "c": {}}, "d": {}}) == {"d": {"e": 1}}


@pytest.mark.workflow
def test_under_snakemake_a_run_is_gone_on_with_and_a_dry_run_writes_nothing(workflow):
    for name in ("statues", "busts"):
        (workflow.folder / name / "A" / "one").mkdir(parents=True)
        (workflow.folder / name / "A" / "one" / "x.jpg").write_text("no picture, and nothing looks at it here")
    target = "results/downloads/jobs.tsv"
    planned = workflow.run("-n", "--config", "photos=statues", "--", target)
    assert "liftnet: statues: taken as artist/work/*: 1 photographs of 1 works by 1 artists" in planned.stderr
    assert not (workflow.folder / "results").exists()
    run = workflow.run("--config", "photos=statues", "seed=3", "--", target)
    assert run.returncode == 0, run.stdout + run.stderr
    again = workflow.run("-n", target)
    assert "going on with the photographs of statues, by results/run_config.yaml (" in again.stderr
    assert "Nothing to be done" in again.stdout + again.stderr
    refused = workflow.run("-n", "--config", "photos=busts")
    assert refused.returncode != 0
    assert "this call asks for the photographs of busts" in refused.stdout + refused.stderr
