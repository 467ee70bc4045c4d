"""Starting a program in Snakemake's place: its status, its words, its end on Ctrl-C, and what is told of it."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from liftnet.__main__ import main
from liftnet.launch.snakemake_call import SnakemakeCall
from liftnet.launch.starting import run, run_alone, tell_end

EVENTS = """
import json, os, sys
def tell(**event):
    os.write(int(os.environ["LIFTNET_EVENTS"]), json.dumps(event).encode() + b"\\n")
"""


@pytest.fixture
def calling(tmp_path):
    """A call of a program that does what some lines of Python say."""

    def make(body):
        program = tmp_path / "program"
        program.write_text(f"#!{sys.executable}\n{EVENTS}\n{body}\n")
        program.chmod(0o700)
        return SnakemakeCall(str(program), tmp_path, tmp_path, tmp_path)

    return make


FAILING = """
tell(event="run_info", stats={"match_work": 1, "total": 1})
tell(event="job_info", jobid=1, rule_name="match_work")
print("a line of the job", file=sys.stderr, flush=True)
tell(event="job_error", jobid=1, rule_name="match_work", log=["logs/m.log"])
sys.exit(3)
"""


@pytest.mark.parametrize("how", ["plain", "quiet", "live"])
def test_the_status_is_that_of_the_program_and_failures_are_told(calling, how, capfd, caplog, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with caplog.at_level("INFO"):
        ended = run(calling(FAILING), how)
        tell_end(ended, Path("my results"))
    assert ended.status == 3
    assert ("a line of the job" in capfd.readouterr().err) == (how != "quiet")
    assert ("0 of 1 jobs, 0 s: match work for 0 s" in caplog.text) == (how == "plain")
    assert "match_work failed; it says why in logs/m.log" in caplog.text
    assert "liftnet resume 'my results'" in caplog.text


def test_what_ended_before_its_first_job_is_told_though_it_was_quiet(calling, capfd, caplog):
    ended = run(calling("print('MissingInput'); sys.exit(1)"), "quiet")
    tell_end(ended, Path("out"))
    assert "MissingInput" in capfd.readouterr().err
    assert "resume" not in caplog.text


def test_the_page_is_named_at_the_end(calling, tmp_path, caplog):
    (tmp_path / "report.html").touch()
    with caplog.at_level("INFO"):
        tell_end(run(calling("pass"), "plain"), tmp_path)
    assert f"done: {tmp_path}/report.html" in caplog.text


def test_a_dry_run_is_left_to_the_program(calling):
    assert run_alone(calling("assert os.environ['LIFTNET_EVENTS'] == ''; sys.exit(5)")) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_ends_as_it_likes_when_we_are_asked_to(calling, tmp_path, number):
    waits = f"""
import signal, time
def leave(*_):
    print("cleaned up", flush=True)
    sys.exit(9)
signal.signal({int(number)}, leave)
open({str(tmp_path / "ready")!r}, "w").close()
for _ in range(600):  # a signal just before a long sleep would be seen after it
    time.sleep(0.1)
"""

    def ask():
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=ask)
    thread.start()
    before = signal.getsignal(number)
    ended = run(calling(waits), "quiet")
    thread.join()
    assert (ended.status, ended.last) == (9, ("cleaned up",))
    assert signal.getsignal(number) is before


def test_a_program_that_was_killed_has_the_status_of_a_shell(calling):
    ended = run(calling("os.kill(os.getpid(), 9)"), "plain")
    assert ended.status == 128 + 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "did you mean 'run'"),
        (["run", "--dme"], "did you mean '--demo'"),
        (["run", "--demo", "--config", "depth.trian.iterations=5"], "did you mean 'train'"),
        (["run", "--demo", "--profile", "slrum"], "did you mean 'slurm'"),
    ],
)
def test_what_is_misspelt_is_named_before_anything_starts(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(words)
    except SystemExit as ended:
        status = ended.code
    assert (status in (1, 2), said in capsys.readouterr().err) == (True, True)
    assert list(tmp_path.iterdir()) == []
