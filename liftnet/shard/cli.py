"""Commands `shard write`, `shard verify`, `shard checksums`, `shard leakage` and `shard statistics`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_run_folder, add_stage
from liftnet.core.settings import settings_from
from liftnet.core.text import one_line
from liftnet.shard.settings import ShardSettings


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(stages, "shard", "Write the dataset of correspondences as Parquet shards, and its statistics")
    write = add_command(
        commands, "write", _write, "Write kept pairs, and the images, as shards of train, val and test", ShardSettings
    )
    write.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and pairs/")
    add_run_folder(write, "--out", "dataset", "folder of the dataset; an older dataset is replaced")
    verify = add_command(
        commands, "verify", _verify, "Check a copy of a dataset: files, images, pairs, splits, licences"
    )
    verify.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    verify.add_argument("--quick", action="store_true", help="do not decode the images; they are hashed all the same")
    checksums = add_command(
        commands, "checksums", _checksums, "Write checksums.sha256 of a dataset anew, after its card was edited"
    )
    checksums.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    leakage = add_command(
        commands, "leakage", _leakage, "Count what stands in two splits of a dataset; fails if anything does"
    )
    add_run_folder(leakage, "--dataset", "dataset", "folder of the dataset")
    leakage.add_argument("--root", type=Path, required=True, help="folder of the run, with across/pairs.parquet")
    add_run_folder(leakage, "--tables", "tables", "folder for leakage.csv, .md and .tex")
    leakage.add_argument(
        "--near-bits", type=int, default=6, help="distance of perceptual hashes that counts (default: 6)"
    )
    statistics = add_command(
        commands, "statistics", _statistics, "Write the tables and figures of a dataset, from its files alone"
    )
    statistics.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    statistics.add_argument("--tables", type=Path, required=True, help="folder for the tables, and figures/ in it")
    statistics.add_argument(
        "--museum", type=Path, help="museum with the true cameras, for the true angles of its pairs"
    )


def _write(arguments: argparse.Namespace) -> None:
    from liftnet.shard.write import write_dataset

    write_dataset(arguments.root, arguments.out, settings_from(arguments, ShardSettings))


def _verify(arguments: argparse.Namespace) -> int:
    from liftnet.shard.check import verify_dataset

    report = verify_dataset(arguments.dataset, arguments.threads, arguments.quick)
    for line in report.lines():
        print(one_line(line))
    verdict = f"has {report.count:,} faults" if report.count else "is whole and as it describes itself"
    print(f"{arguments.dataset} {verdict}")
    return 1 if report.count else 0


def _checksums(arguments: argparse.Namespace) -> None:
    from liftnet.shard.checksums import sign_dataset

    sign_dataset(arguments.dataset)


def _leakage(arguments: argparse.Namespace) -> int:
    from liftnet.shard.leakage import log_leaks, write_leakage

    counts = write_leakage(arguments.dataset, arguments.root, arguments.tables, arguments.near_bits, arguments.threads)
    return 1 if log_leaks(counts) else 0


def _statistics(arguments: argparse.Namespace) -> None:
    from liftnet.shard.statistics import write_statistics

    write_statistics(arguments.dataset, arguments.tables, arguments.museum)
