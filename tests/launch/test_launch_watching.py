"""Where a run is, from Snakemake's events to the line that a person reads."""

import json
import logging
import os
import sys

import pytest

from liftnet.launch.watching import LiveLine, Progress, open_pipe, read_events, tell_plainly
from liftnet.workflow import events


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


def begin(progress, job, rule):
    progress.take({"event": "job_info", "jobid": job, "rule_name": rule})


def end(progress, job, done, total):
    progress.take({"event": "job_finished", "job_id": job})
    progress.take({"event": "progress", "done": done, "total": total})


def test_a_line_says_what_is_at_work_and_how_far_it_is(clock):
    progress = Progress(clock)
    assert progress.line() == "planning, 0 s"
    progress.take({"event": "run_info", "stats": {"match_work": 3, "total": 4}})
    for job in (1, 2):
        begin(progress, job, "match_work")
    clock.now = 5
    assert progress.line() == "0 of 4 jobs, 5 s: match work 0 done, 2 at work for 5 s"
    end(progress, 1, 1, 9)
    clock.now = 70
    begin(progress, 3, "train_segmenter")
    clock.now = 80
    assert progress.line() == (
        "1 of 9 jobs, 1 min 20 s: match work 1 done, 1 at work, 5 s each; train segmenter for 10 s"
    )


def test_failed_jobs_are_kept_with_their_logs(clock):
    progress = Progress(clock)
    begin(progress, 7, "match_work")
    progress.take({"event": "job_error", "jobid": 7, "rule_name": "match_work", "log": ["logs/a.log"]})
    assert progress.failed == [("match_work", ("logs/a.log",))]
    assert progress.running() == []


def test_lines_that_are_no_events_are_passed_over():
    assert list(read_events(iter(['{"event": "progress"}\n', "no json\n", "3\n"]))) == [{"event": "progress"}]


def test_elsewhere_than_on_a_terminal_each_rule_is_told_once_and_then_a_line_a_minute(clock, caplog):
    progress = Progress(clock)

    def happening():
        for second, event in enumerate(
            [
                {"event": "job_info", "jobid": 1, "rule_name": "match_work"},
                {"event": "job_info", "jobid": 2, "rule_name": "match_work"},
                {"event": "job_info", "jobid": 3, "rule_name": "verify_work"},
                {"event": "progress", "done": 1, "total": 9},
            ]
        ):
            clock.now = second if second < 3 else 70
            yield json.dumps(event)

    with caplog.at_level("INFO"):
        tell_plainly(happening(), progress, clock)
    assert [line.partition(", ")[0] for line in caplog.messages] == ["planning", "planning", "1 of 9 jobs"]


def test_events_of_a_log_come_through_a_pipe_and_are_printed_no_more(monkeypatch, capsys):
    reading, writing = open_pipe()
    logger = logging.Logger("snakemake")
    shown = logging.StreamHandler(sys.stderr)
    logger.addHandler(shown)
    monkeypatch.setenv(events.DESCRIPTOR, str(writing))
    assert events.is_started_by_us()
    events.attach(logger)
    assert not events.is_started_by_us()  # jobs do not inherit it
    logger.info("1 of 2", extra={"event": "progress", "done": 1, "total": 2})
    logger.info("Select jobs to execute...")
    logger.info("a line", extra={"event": "job_info", "jobid": 4, "rule_name": "all", "shellcmd": "x"})
    logger.info("Building")
    os.close(writing)
    with reading:
        assert list(read_events(reading)) == [
            {"event": "progress", "done": 1, "total": 2},
            {"event": "job_info", "jobid": 4, "rule_name": "all"},
        ]
    assert capsys.readouterr().err == "a line\nBuilding\n"
    logger.info("x", extra={"event": "progress", "done": 2, "total": 2})  # the reader is gone


def test_without_anybody_who_asks_nothing_is_attached(monkeypatch):
    logger = logging.Logger("snakemake")
    for value in ("", "none"):
        monkeypatch.setenv(events.DESCRIPTOR, value)
        events.attach(logger)
    assert logger.handlers == []


def test_what_is_printed_goes_above_the_live_line(monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")
    with LiveLine(Progress()) as line:
        line.print("a [bold] line\x1b[2J")
    assert "a [bold] line\\x1b[2J\n" in capsys.readouterr().err
