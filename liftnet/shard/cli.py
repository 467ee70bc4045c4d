"""Commands `shard write` and `shard statistics`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.io.command import Subparsers, add_command, add_stage
from liftnet.io.settings import settings_from
from liftnet.shard.settings import ShardSettings


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(stages, "shard", "Write the dataset of correspondences as Parquet shards, and its statistics")
    write = add_command(
        commands, "write", _write, "Write kept pairs, and the images, as shards of train, val and test", ShardSettings
    )
    write.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and pairs/")
    write.add_argument("--out", type=Path, required=True, help="folder of the dataset; an older dataset is replaced")
    statistics = add_command(
        commands, "statistics", _statistics, "Count artists, works, pairs and correspondences, from the shards alone"
    )
    statistics.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    statistics.add_argument("--tables", type=Path, required=True, help="folder for statistics.csv, .md and .tex")


def _write(arguments: argparse.Namespace) -> None:
    from liftnet.shard.write import write_dataset

    write_dataset(arguments.root, arguments.out, settings_from(arguments, ShardSettings))


def _statistics(arguments: argparse.Namespace) -> None:
    from liftnet.shard.statistics import write_statistics

    write_statistics(arguments.dataset, arguments.tables)
