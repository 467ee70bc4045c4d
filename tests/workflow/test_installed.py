"""The workflow that a wheel brings along: planned from a folder in which there is nothing, as from a checkout."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from workflow_tools import ROOT, scheduled

pytestmark = pytest.mark.workflow
BUILT = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "Snakefile", "config.yaml")
FOLDERS = ("liftnet", "rules", "envs", "profiles", "workflow")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder with what the wheel installs."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in BUILT:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("place", ["wheel", "checkout"])
def test_a_run_is_planned_from_an_empty_folder(place, tmp_path, request):
    code = ROOT if place == "checkout" else request.getfixturevalue("unpacked")
    home = ROOT if place == "checkout" else code / "liftnet" / "workflow" / "shipped"
    command = [sys.executable, "-m", "liftnet", "run", "--demo", "--dry-run", "--cores", "2"]
    run = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(code)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"--snakefile {home}/Snakefile --workflow-profile {home}/profiles/default --cores 2" in run.stderr
    assert scheduled(run)["write_report"] == 1
    assert not (tmp_path / "results").exists()


def test_a_wheel_holds_every_file_of_the_workflow(unpacked):
    shipped = unpacked / "liftnet" / "workflow" / "shipped"
    for name in ("Snakefile", "config.yaml"):
        assert (shipped / name).read_bytes() == (ROOT / name).read_bytes()
    for folder in FOLDERS[1:]:
        expected = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        expected = {path for path in expected if "__pycache__" not in path.parts}
        assert expected == {path.relative_to(shipped) for path in (shipped / folder).rglob("*") if path.is_file()}
        assert expected
