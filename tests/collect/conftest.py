"""A threaded faulty server, and settings that do not wait."""

import pytest
from collect_settings import collect_settings
from pytest_httpserver import HTTPServer


@pytest.fixture(scope="session")
def make_httpserver():
    with HTTPServer(threaded=True) as server:
        yield server


@pytest.fixture
def quick():
    """Settings that reach the test server and hardly wait."""

    def make(**changes):
        return collect_settings(
            **{
                "allow_host": ["localhost", "127.0.0.1"],
                "backoff_s": 0.01,
                "delay_s": 0.0,
                "timeout_s": 2.0,
                "total_s": 5.0,
                "retries": 1,
                "robots": False,
            }
            | changes
        )

    return make


@pytest.fixture
def write_csv(tmp_path):
    """A sources.csv of dicts (artist and work have defaults)."""
    import csv

    def make(rows, name="sources.csv"):
        rows = [{"artist": "A", "work": "W"} | row for row in rows]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        path = tmp_path / name
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        return path

    return make
