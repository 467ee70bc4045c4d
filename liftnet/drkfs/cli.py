"""Commands of the stage `drkfs`."""

from __future__ import annotations

from liftnet.core.command import Subparsers, add_stage
from liftnet.drkfs.descriptor_cli import add_descriptor_commands
from liftnet.drkfs.learning.cli import add_learning_commands
from liftnet.drkfs.scoring.cli import add_score_command
from liftnet.experiments.drkfs.cli import add_experiment_commands


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(stages, "drkfs", "Compare shapes by what people see of them")
    add_score_command(commands)
    add_experiment_commands(commands)
    trainings = add_stage(commands, "train", "train what measures: detector, descriptors")
    add_learning_commands(trainings)
    add_descriptor_commands(trainings)
