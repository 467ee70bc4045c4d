"""Running Snakemake itself in a folder of its own.

Snakemake takes a second to load and half of one to plan this workflow. `snakemake` calls its command line in a fork of
a process that has only loaded it; that it starts from a shell too is seen by the whole line (test_snakemake.py) and
from other folders (test_places.py), which call `python -m snakemake`.
"""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

# Three artists, so that train, val and test each have one; everything as small as still goes through every rule.
TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())


@dataclass
class Workflow:
    """A copy of the workflow's own files in `folder`, run by the interpreter of the tests."""

    folder: Path

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return snakemake(self.folder, "--cores", "2", *arguments, environment=self.environment(environment))

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **(more or {})}

    def configure(self, **changes: object) -> None:
        """Write config.yaml: the tiny settings with `changes` to whole keys or, for dicts, to their entries."""
        config = {key: dict(value) if isinstance(value, dict) else value for key, value in TINY.items()}
        for key, value in changes.items():
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))


_LOADED = multiprocessing.get_context("forkserver")
_LOADED.set_forkserver_preload(["snakemake.cli"])


def snakemake(
    folder: Path, *arguments: str, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """What `python -m snakemake` does with these words in a folder."""
    with tempfile.TemporaryDirectory() as said:
        files = [str(Path(said, name)) for name in ("stdout", "stderr")]
        process = _LOADED.Process(target=_call_snakemake, args=(str(folder), arguments, dict(environment), files))
        process.start()
        try:
            process.join()
        finally:  # a test that took too long leaves nobody behind
            process.kill()
        texts = [Path(file).read_text() for file in files]
        return subprocess.CompletedProcess(arguments, process.exitcode, *texts)


def _call_snakemake(folder: str, arguments: tuple[str, ...], environment: dict[str, str], said: list[str]) -> None:
    for descriptor, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)  # as -m does
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    main(list(arguments))


def copy_workflow(folder: Path) -> Workflow:
    for name in ("rules", "envs", "workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "liftnet").symlink_to(ROOT / "liftnet")  # and so with kernels that are compiled already
    shutil.copy(ROOT / "Snakefile", folder)
    workflow = Workflow(folder)
    workflow.configure()
    return workflow


def scheduled(run: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Jobs per rule, from the table that a dry run prints."""
    rows = re.findall(r"^(\w+)\s+(\d+)$", run.stdout + run.stderr, re.MULTILINE)
    return {name: int(count) for name, count in rows}
