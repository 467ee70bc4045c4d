"""The option of a command that names a split."""

from __future__ import annotations

import argparse

from liftnet.core.command import option_read_by
from liftnet.data.codes import SPLIT_CHOICES, split_named


def add_split(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --split, which of the `what` (images, shapes) a command takes: those of the split test if not given."""
    parser.add_argument(
        "--split",
        type=option_read_by(split_named),
        default="test",
        metavar=SPLIT_CHOICES,
        help=f"{what} of this split (default: test)",
    )
