"""All but one thing about the build stands in pyproject.toml: a wheel also brings the workflow, which lies beside it.

`liftnet/workflow/shipped/` of a wheel holds the files of `SHIPPED`. A checkout, installed as
editable or not at all, has no such folder: there `liftnet.workflow.home` finds the files where they are.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow")
PLACE = Path("liftnet", "workflow", "shipped")


def workflow_files() -> list[Path]:
    """The files of the workflow, relative to this folder."""
    found = (path for name in SHIPPED for path in (Path(name), *Path(name).rglob("*")))
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


class BuildWithWorkflow(build_py):
    """Build the package with the workflow in it."""

    def run(self) -> None:
        """Copy the package, then the workflow, but for an editable installation."""
        super().run()
        if not self.editable_mode:
            for file in workflow_files():
                target = Path(self.build_lib, PLACE, file)
                self.mkpath(str(target.parent))
                self.copy_file(str(file), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """The files that are built."""
        shipped = [] if self.editable_mode else [str(Path(self.build_lib, PLACE, file)) for file in workflow_files()]
        return [*super().get_outputs(include_bytecode), *shipped]

    def get_source_files(self) -> list[str]:
        """The files that are built from, all of which belong to a source distribution."""
        return [*super().get_source_files(), *map(str, workflow_files())]


setup(cmdclass={"build_py": BuildWithWorkflow})
