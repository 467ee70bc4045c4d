"""Where the files of the workflow are: beside the package in a checkout, inside it where a wheel was installed."""

from __future__ import annotations

from pathlib import Path

from liftnet.core.errors import LiftnetError

CODE = Path(__file__).resolve().parents[2]
"""The folder that `import liftnet` needs on its path."""


def workflow_home(code: Path = CODE) -> Path:
    """The folder of the Snakefile, with `rules/`, `envs/`, `profiles/`, `workflow/` and `config.yaml`.

    Args:
        code: The folder that holds the package.

    Raises:
        LiftnetError: The package was installed without them.
    """
    for folder in (code / "liftnet" / "workflow" / "shipped", code):
        if (folder / "Snakefile").is_file() and (folder / "rules").is_dir():
            return folder
    raise LiftnetError(code / "liftnet", "was installed without its workflow", "Install it anew: pip install liftnet")
