"""Commands of the stage `drkfs`."""

from __future__ import annotations

from liftnet.io.command import Subparsers, add_stage


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    add_stage(stages, "drkfs", "Compare shapes by what people see of them")
