"""The folder of results: what cannot be one is refused before the first job, and who works in it is known."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_tools import ROOT

from liftnet.core.errors import LiftnetError
from liftnet.workflow import results_folder
from liftnet.workflow.results_folder import LOCK, Runner, check_results, hold, results_path, told_of_locks
from liftnet.workflow.sources import Sources


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_named_as_rules_can_name_files_in_it(here):
    given = {"out": "out", "out//": "out", "./a/out/": "a/out", "~/x": f"{here}/home/x", "/": "/", ".": str(here)}
    assert {name: results_path(name) for name in given} == given
    assert (results_path("-x"), results_path("//tmp//x")) == (f"{here}/-x", "/tmp/x")
    assert results_path("link/../out/") == "link/../out"  # which may lead elsewhere than out


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ("/", "is the root of the file system"),
        ("home", "is the home folder"),
        (f"{ROOT}/rules/x", "is rules/ of the workflow"),
        ("file", "is a file, not a folder.*--config results=FOLDER"),
        ("file/below", "lies below .*file, which is a file"),
        ("broken", ".*broken is a link to nowhere, which does not exist"),
        ("statues", "is the photographs' folder statues, so results would be .*results=.*statues-results"),
        ("statues/a/out", "lies in the photographs' folder statues"),
        ("link/out", "lies in the photographs' folder statues"),
        ("above", "holds the photographs' folder above/statues"),
    ],
)
def test_what_cannot_hold_results_is_refused_in_plain_words(here, results, words):
    (here / "file").touch()
    (here / "broken").symlink_to("nowhere")
    for folder in ("statues", "above/statues"):
        (here / folder).mkdir(parents=True)
    (here / "link").symlink_to("statues")
    with pytest.raises(LiftnetError, match=f"results: {results}: {words}"):
        check_results(results, ["above/statues" if results == "above" else "statues"], ROOT)
    assert sorted(os.listdir(here)) == ["above", "broken", "file", "home", "link", "statues"]


def test_a_folder_that_may_not_be_written_is_refused_and_others_are_not(here, monkeypatch):
    (here / "statues").mkdir()
    for fine in ("out", "statues-results", "new/deep/out"):
        check_results(fine, ["statues"], ROOT)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != here)
    with pytest.raises(LiftnetError, match=f"results: new/out: you may not write in {here}"):
        check_results("new/out", [], ROOT)


HOLD = "import sys; from liftnet.workflow.results_folder import hold; hold(sys.argv[1])"


def held_elsewhere(folder, results):
    """What a call in another process says that would hold the results."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD, str(results)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stderr


def test_results_are_held_against_runs_of_other_working_folders_until_the_end_of_a_run(here):
    (here / "elsewhere").mkdir()
    file = hold("out")
    about = Runner.of("out")
    assert (about.folder, about.process, about.place("out")) == ("..", os.getpid(), here)
    told = held_elsewhere(here / "elsewhere", "../out")
    assert f"../out: another run is at work in it, from {here} (process {os.getpid()} on " in told
    assert held_elsewhere(here, "out") == "", "Snakemake's own locks divide what runs of one folder make"
    assert Runner.of("out") == about
    file.close()
    assert held_elsewhere(here / "elsewhere", "../out") == ""
    assert Runner.of("out").folder == "../elsewhere"


def test_a_lock_of_snakemake_is_told_with_whoever_holds_the_results(here):
    assert told_of_locks("out") == ""
    results_folder.SNAKEMAKE_LOCKS.mkdir(parents=True)
    assert told_of_locks("out") == ""
    (results_folder.SNAKEMAKE_LOCKS / "0.output.lock").touch()
    assert "`snakemake --unlock` removes it" in told_of_locks("out")
    with hold("out"):
        assert f"another run is at work in out (process {os.getpid()} on" in told_of_locks("out")
    assert "One that was killed leaves it behind" in told_of_locks("out")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"folder": ".."}', json.dumps({"folder": 1, "host": 2})])
def test_what_is_not_known_of_the_last_run_is_no_fault(here, content):
    (here / "out").mkdir()
    (here / "out" / LOCK).write_text(content)
    assert Runner.of("out") is None
    hold("out").close()
    assert Runner.of("out").folder == ".."


def test_photographs_whose_folder_begins_with_a_dash_are_no_option(here):
    (here / "-x").mkdir()
    assert Sources("out", "-x", ()).options() == f"--directory {here}/-x"
