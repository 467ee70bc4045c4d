"""The workflow wherever it is run: in its own folder, from another one by --snakefile, as a module of a workflow."""

import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from workflow_tools import ROOT, scheduled, snakemake

from liftnet.collect.sources.lists import read_list
from liftnet.config import Config

pytestmark = pytest.mark.workflow
ENTRY = {"name": "mine", "kind": "table", "file": "theirs.csv", "columns": ["artist=maker", "work=no", "image=pic"]}
MODULE = f"""
module liftnet:
    snakefile: "{ROOT}/Snakefile"
    config: config

use rule * from liftnet
"""


@pytest.fixture
def elsewhere(tmp_path):
    """A working folder without a file of the workflow, with a list and a configuration."""
    folder = tmp_path / "another folder"
    folder.mkdir()
    (folder / "theirs.csv").write_text("maker,no,pic\nA,1,x.jpg\n")
    (folder / "mine.yaml").write_text(yaml.safe_dump({"results": "out", "sources": [ENTRY]}))
    return folder


def called(folder, *arguments):
    run = snakemake(folder, "--cores", "1", *arguments)
    return run.returncode, run.stdout + run.stderr


def images(folder):
    return [row.image.path.name for row in read_list(folder / "out/lists/mine.parquet").rows]


def test_from_another_folder_a_target_is_made(elsewhere):
    words = ["--snakefile", f"{ROOT}/Snakefile", "--configfile", "mine.yaml", "--", "out/lists/mine.parquet"]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *words]
    run = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert images(elsewhere) == ["x.jpg"]
    assert yaml.safe_load((elsewhere / "out/run_config.yaml").read_text())["sources"] == [ENTRY]


def test_from_another_folder_without_a_configuration_the_demo_is_planned(elsewhere):
    code, told = called(elsewhere, "--snakefile", f"{ROOT}/Snakefile", "--dry-run")
    assert code == 0, told
    assert "write_report" in told


def test_as_a_module_a_target_is_made(elsewhere):
    (elsewhere / "Snakefile").write_text('configfile: "mine.yaml"\n' + MODULE)
    code, told = called(elsewhere, "out/lists/mine.parquet")
    assert code == 0, told
    assert images(elsewhere) == ["x.jpg"]


def test_as_a_module_with_names_of_its_own_everything_is_planned(elsewhere):
    (elsewhere / "Snakefile").write_text(MODULE.replace("from liftnet", "from liftnet as sculptures_*"))
    code, told = called(elsewhere, "--dry-run", "--printshellcmds", "sculptures_all")
    assert code == 0, told
    assert "sculptures_write_report" in told
    assert "python -m liftnet report --root" in told
    assert "run_config.yaml" not in told  # which a module does not record


class _Silent(SimpleHTTPRequestHandler):
    """The checkout over HTTP, file by file, as a hosting site gives it."""

    def __init__(self, *given):
        super().__init__(*given, directory=str(ROOT))

    def log_message(self, *_):
        """Nothing."""


def test_a_module_that_is_fetched_file_by_file_uses_what_is_installed(elsewhere):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetched = MODULE.replace(str(ROOT), f"http://127.0.0.1:{server.server_port}/workflow")
        (elsewhere / "Snakefile").write_text(fetched)
        run = snakemake(elsewhere, "--cores", "1", "--dry-run", environment={**os.environ, "PYTHONPATH": str(ROOT)})
        server.shutdown()
    assert run.returncode == 0, run.stdout + run.stderr
    assert scheduled(run)["everything"] == 1  # the default target of a workflow that catalogues deploy


def test_the_repository_has_what_the_workflow_catalogue_asks_for():
    shown = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert shown["software-stack-deployment"]["conda"] is True
    assert (ROOT / "config" / "README.md").is_file()
    assert Config(**yaml.safe_load((ROOT / "config" / "config.yaml").read_text())).photos == "photos"
    text = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in text
    assert "workflow" in text


def test_a_fault_in_a_modules_configuration_is_named(elsewhere):
    (elsewhere / "Snakefile").write_text(MODULE)
    code, told = called(elsewhere, "--dry-run", "--config", "match={ratoi: 0.8}")
    assert code != 0
    assert "match: unknown key 'ratoi'; did you mean 'match.search.ratio'?" in told
