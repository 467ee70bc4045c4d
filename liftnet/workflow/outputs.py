"""Files that a run has or lacks by what its configuration and its collection hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from liftnet.core.errors import LiftnetError
from liftnet.workflow.jobs import Work


def truth_tables(results: str, is_museum: bool, names: Sequence[str]) -> list[str]:
    """Tables that only the synthetic museum has, since only there the truth is known."""
    return [f"{results}/tables/{name}.csv" for name in names] if is_museum else []


def report_tables(results: str, is_museum: bool) -> list[str]:
    """The tables that the report page shows."""
    names = ("segmentation", "pairs_by_reason", "statistics", "depth_pairs")
    truths = truth_tables(results, is_museum, ("segmentation_truth", "correspondences_truth", "depth_demo"))
    return [*(f"{results}/tables/{name}.csv" for name in names), *truths]


def statistics_tables(results: str) -> list[str]:
    """The tables that are counted beside the main one of the statistics."""
    return [f"{results}/tables/{name}.csv" for name in ("split_sizes", "sources", "funnel_by_source")]


def mask_tables(results: str, works: Mapping[str, Work]) -> list[str]:
    """The mask tables of all artists."""
    return [f"{results}/masks/{artist}.parquet" for artist in sorted({work.artist for work in works.values()})]


def check_shapes(shapes: str | None, targets: str | None) -> None:
    """Refuse shapes to score without targets, and targets without shapes.

    Raises:
        LiftnetError: One of them is given alone.
    """
    if bool(shapes) != bool(targets):
        raise LiftnetError(
            "shapes of the section drkfs", "shapes and shape_targets go together", "Give both or neither"
        )


def drkfs_outputs(results: str, shapes: str | None) -> list[str]:
    """The trained detector and descriptor and, where shapes are given, their scores."""
    cards = [f"{results}/models/{model}/README.md" for model in ("points", "hardnet")]
    return cards + ([f"{results}/tables/drkfs_scores.csv"] if shapes else [])
