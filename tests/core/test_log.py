"""`--log FILE`: what a command prints, in a file too, whatever ends it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from liftnet.core.log import LineMeter, copied_to

PRINTING = """
import os, subprocess, sys, warnings
from pathlib import Path
from liftnet.core.log import copied_to, get_logger, set_up_logging
with copied_to(Path(sys.argv[1])):
    set_up_logging()
    print("from print")
    get_logger("stage").info("from the log")
    warnings.warn("from a warning")
    os.write(1, b"from a library\\n")
    subprocess.run(["echo", "from a program"])
    {last}
print("afterwards")
"""
SAID = ["from print", "stage: from the log", "from a warning", "from a library", "from a program"]


def run(tmp_path, last):
    file = tmp_path / "logs" / "a log.txt"
    done = subprocess.run(
        [sys.executable, "-c", PRINTING.format(last=last), str(file)], capture_output=True, text=True, check=False
    )
    return done, file.read_text()


def test_everything_printed_is_on_the_terminal_and_in_the_file(tmp_path):
    done, text = run(tmp_path, "pass")
    assert done.returncode == 0
    assert [words for words in SAID if words not in text or words not in done.stdout] == []
    assert done.stdout == text + "afterwards\n"


def test_faiss_says_nothing_when_it_is_loaded_and_searches():
    searching = """
import numpy as np
from liftnet.core.log import set_up_logging
set_up_logging()
from liftnet.match.retrieval import most_similar, vlad, vocabulary
samples = list(np.random.default_rng(0).integers(0, 255, (5, 40, 128), dtype=np.uint8))
centres = vocabulary(samples)
print(most_similar(np.stack([vlad(one, centres) for one in samples]), 2).shape)
"""
    done = subprocess.run([sys.executable, "-c", searching], capture_output=True, text=True, check=True)
    assert done.stdout == "(5, 3)\n"
    assert done.stderr == ""


def test_an_uncaught_exception_is_in_the_file(tmp_path):
    done, text = run(tmp_path, "{}['missing']")
    assert done.returncode == 1
    assert "Traceback" in text
    assert "KeyError: 'missing'" in text
    assert "afterwards" not in done.stdout


def test_the_exit_status_is_kept(tmp_path):
    done, _ = run(tmp_path, "sys.exit(7)")
    assert done.returncode == 7


def test_what_came_before_a_crash_is_in_the_file(tmp_path):
    done, text = run(tmp_path, "sys.stdout.flush(); os.kill(os.getpid(), 9)")
    assert done.returncode == -signal.SIGKILL
    assert [words for words in SAID if words not in text] == []


def test_an_interruption_does_not_end_the_copy_first(tmp_path):
    last = """
    import time
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted, told")
    """
    file = tmp_path / "log.txt"
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTING.format(last=last.strip()), str(file)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        # what a shell starts in the background ignores Ctrl-C, and so would all that these tests start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 30
    while "from a program" not in (file.read_text() if file.exists() else ""):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=30)
    assert b"interrupted, told" in told
    assert "interrupted, told" in file.read_text()


def test_without_a_file_nothing_changes(capfd):
    with copied_to(None):
        print("as ever")
    assert capfd.readouterr().out == "as ever\n"


def test_the_file_is_that_of_the_last_run(tmp_path, capfd):
    for words in ("first", "second"):
        with copied_to(tmp_path / "log.txt"):
            os.write(1, f"{words}\n".encode())
    assert (tmp_path / "log.txt").read_text() == "second\n"
    assert capfd.readouterr().out == "first\nsecond\n"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["report", "--root", "no/such", "--out", "page.html"], 1, "error: "),
        (["report", "--rot", "x", "--root", "x", "--out", "page.html"], 2, "did you mean '--root'?"),
    ],
)
def test_commands_write_their_errors_to_the_file_too(tmp_path, words, status, told):
    command = [sys.executable, "-m", "liftnet", *words, "--log", str(tmp_path / "log.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert told in done.stdout
    assert (tmp_path / "log.txt").read_text() == done.stdout


@pytest.mark.parametrize(
    ("seconds", "total", "told"),
    [
        (range(1, 60), 1000, ["working: 5 of 1000 after 5 s, about 16 min 35 s left"]),
        (range(1, 60), 40, []),  # no minute is left after five seconds
        (range(1, 60), None, []),
        ([4, 70, 90, 131], 10, ["working: 2 of 10 after 1 min 10 s, about 8 min 48 s left", "working: 4 of 10 after"]),
        (
            [40, 40.1, 40.2, 40.3, 45],
            100,
            ["working: 5 of 100 after 45 s, about 1 min 59 s left"],
        ),  # the first compiles
        ([40, 40.1, 40.2, 40.3, 40.4], 100, []),
    ],
)
def test_work_of_minutes_is_told_early_how_long_it_takes(seconds, total, told, caplog, monkeypatch):
    clock = iter([0, *seconds])
    monkeypatch.setattr("liftnet.core.log.time.monotonic", lambda: float(next(clock)))
    with caplog.at_level("INFO"):
        meter = LineMeter("core", "working", total)
        for _ in seconds:
            meter.advance()
    assert len(caplog.messages) == len(told)
    assert all(line.startswith(start) for line, start in zip(caplog.messages, told, strict=True))


def test_quiet_keeps_warnings_alone(capfd):
    command = "from liftnet.core.log import get_logger, set_up_logging; set_up_logging(quiet=True); "
    command += "get_logger('a').info('told'); get_logger('a').warning('warned')"
    subprocess.run([sys.executable, "-c", command], check=True)
    said = capfd.readouterr().err
    assert ("told" in said, "warned" in said) == (False, True)
