"""Commands `shard tracks`, `write`, `verify`, `checksums`, `export`, `leakage` and `statistics`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_run_folder, add_stage, option_read_by
from liftnet.core.settings import settings_from
from liftnet.core.text import one_line
from liftnet.data.codes import SPLIT_CHOICES, SPLITS, split_named
from liftnet.shard.settings import ShardSettings


def add_commands(stages: Subparsers) -> None:
    """Add the stage's commands to the command line."""
    commands = add_stage(stages, "shard", "Write the dataset of correspondences as Parquet shards, and its statistics")
    tracks = add_command(
        commands,
        "tracks",
        _tracks,
        "Join the correspondences of each work over its images",
        ShardSettings,
        example="liftnet shard tracks --root results",
    )
    tracks.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and pairs/")
    write = add_command(
        commands,
        "write",
        _write,
        "Write kept pairs, and the images, as shards of train, val and test",
        ShardSettings,
        example="liftnet shard write --root results --out results/dataset",
    )
    write.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and pairs/")
    add_run_folder(write, "--out", "dataset", "folder of the dataset; an older dataset is replaced")
    verify = add_command(
        commands,
        "verify",
        _verify,
        "Check a copy of a dataset: files, images, pairs, splits, licences",
        example="liftnet shard verify --dataset results/dataset",
    )
    verify.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    verify.add_argument("--quick", action="store_true", help="do not decode the images; they are hashed all the same")
    checksums = add_command(
        commands,
        "checksums",
        _checksums,
        "Write checksums.sha256 of a dataset anew, after its card was edited",
        example="liftnet shard checksums --dataset results/dataset",
    )
    checksums.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    export = add_command(
        commands,
        "export",
        _export,
        "Write works of a dataset as what COLMAP, hloc or kapture reads, a folder a work",
        example="liftnet shard export --dataset results/dataset --to colmap --out colmap",
    )
    export.add_argument("--dataset", type=Path, required=True, help="folder of the dataset, with tracks")
    export.add_argument("--to", choices=("colmap", "hloc", "kapture"), required=True, help="the program")
    export.add_argument("--out", type=Path, required=True, help="folder of the works")
    export.add_argument(
        "--split", type=option_read_by(split_named), metavar=SPLIT_CHOICES, help="works of this split (default: all)"
    )
    export.add_argument("--work", nargs="+", default=[], metavar="ID", help="only these works")
    export.add_argument(
        "--linked", action="store_true", help="also the pairs that only tracks link, of which none was verified"
    )
    leakage = add_command(
        commands,
        "leakage",
        _leakage,
        "Count what stands in two splits of a dataset; fails if anything does",
        example="liftnet shard leakage --root results",
    )
    add_run_folder(leakage, "--dataset", "dataset", "folder of the dataset")
    leakage.add_argument("--root", type=Path, required=True, help="folder of the run, with across/pairs.parquet")
    add_run_folder(leakage, "--tables", "tables", "folder for leakage.csv, .md and .tex")
    leakage.add_argument(
        "--near-bits", type=int, default=6, help="distance of perceptual hashes that counts (default: 6)"
    )
    statistics = add_command(
        commands,
        "statistics",
        _statistics,
        "Write the tables and figures of a dataset, from its files alone",
        example="liftnet shard statistics --dataset results/dataset --tables results/tables",
    )
    statistics.add_argument("--dataset", type=Path, required=True, help="folder of the dataset")
    statistics.add_argument("--tables", type=Path, required=True, help="folder for the tables, and figures/ in it")
    statistics.add_argument(
        "--museum",
        type=Path,
        help="museum with the true cameras, for the true angles of its pairs and the residuals of its tracks",
    )


def _tracks(arguments: argparse.Namespace) -> None:
    from liftnet.shard.tracks import join_tracks

    join_tracks(arguments.root, settings_from(arguments, ShardSettings), arguments.threads)


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


def _export(arguments: argparse.Namespace) -> None:
    from liftnet.shard.export import Wanted, export_dataset

    splits = [arguments.split] if arguments.split else SPLITS
    wanted = Wanted(arguments.to, splits, arguments.work, arguments.linked)
    export_dataset(arguments.dataset, arguments.out, wanted)


def _leakage(arguments: argparse.Namespace) -> int:
    from liftnet.shard.leakage import log_leaks, write_leakage

    counts = write_leakage(arguments.dataset, arguments.root, arguments.tables, arguments.near_bits, arguments.threads)
    return 1 if log_leaks(counts) else 0


def _statistics(arguments: argparse.Namespace) -> None:
    from liftnet.shard.statistics import write_statistics

    write_statistics(arguments.dataset, arguments.tables, arguments.museum)
