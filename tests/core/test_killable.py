"""Work in processes that are killed: what hangs, spins, dies or answers nonsense costs its call alone."""

import os
import threading

import pytest

from liftnet.core.killable import DiedError, Killables, TookTooLongError

TARGET = "killable_work:work"


@pytest.fixture(scope="module")
def processes():
    with Killables(TARGET, 1, 0.2) as made:
        yield made


def echoed(processes, data=b""):
    about, back = processes.call({"do": "echo", "ä": [1]}, data)
    assert about["ä"] == [1]
    return about["process"], back


def test_calls_share_a_process_and_bring_their_bytes_back(processes):
    data = os.urandom(3_000_000)
    first, back = echoed(processes, data)
    assert back == data
    assert first == echoed(processes)[0] != os.getpid()


@pytest.mark.parametrize(
    ("do", "error", "words"),
    [
        ("sleep", TookTooLongError, "more than 2 s"),
        ("spin", TookTooLongError, "more than 0.2 s of CPU time|more than 2 s"),
        ("die", DiedError, "signal 6"),
        ("babble", DiedError, "ended"),
        ("promise", DiedError, "ended"),
    ],
)
def test_what_never_ends_or_ends_early_is_killed_and_the_next_call_is_served(processes, do, error, words):
    before, _ = echoed(processes)
    with pytest.raises(error, match=words):
        processes.call({"do": do})
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert echoed(processes)[0] != before


def test_a_process_writes_no_file(processes, tmp_path):
    with pytest.raises(DiedError):
        processes.call({"do": "write", "path": str(tmp_path / "a")})
    assert not (tmp_path / "a").exists() or (tmp_path / "a").stat().st_size == 0


def test_there_are_no_more_processes_than_asked_for_and_none_afterwards():
    with Killables(TARGET, 2, 60) as processes:
        seen = set()
        threads = [threading.Thread(target=lambda: seen.add(echoed(processes)[0])) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= len(seen) <= 2
    for process in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_function_that_is_not_there_is_an_error():
    with Killables("killable_work:nothing", 1, 1) as processes, pytest.raises(DiedError, match="cannot be started"):
        processes.call({})
