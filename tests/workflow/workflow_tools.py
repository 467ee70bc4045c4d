"""Running Snakemake itself in a folder of its own."""

import os
import re
import shutil
import subprocess
import sys
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
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, env=self.environment(environment), check=False
        )

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **(more or {})}

    def configure(self, **changes: object) -> None:
        """Write config.yaml: the tiny settings with `changes` to whole keys or, for dicts, to their entries."""
        config = {key: dict(value) if isinstance(value, dict) else value for key, value in TINY.items()}
        for key, value in changes.items():
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))


def copy_workflow(folder: Path) -> Workflow:
    for name in ("rules", "envs", "workflow", "profiles", "liftnet"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    workflow = Workflow(folder)
    workflow.configure()
    return workflow


def scheduled(run: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Jobs per rule, from the table that a dry run prints."""
    rows = re.findall(r"^(\w+)\s+(\d+)$", run.stdout + run.stderr, re.MULTILINE)
    return {name: int(count) for name, count in rows}
