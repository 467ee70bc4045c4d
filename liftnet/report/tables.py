"""The tables of a run, as the page shows them, and the funnel, which the page counts itself.

The funnel says how many URLs, image pairs and matches are left after each step, and why the others went. It has three
chains, since the unit changes on the way: images, image pairs, correspondences. In each, what a step leaves and what
it loses add up to what the step before left.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.opening import read_bytes, read_text
from liftnet.core.tables import read_csv_table, write_tables
from liftnet.data.codes import PairReason, words_of
from liftnet.data.funnel import NOT_AGAIN, SECOND_SEARCH, Chain, funnel_table
from liftnet.report.results import RunResults

DATASET = {
    "statistics": ("Size", "shard statistics writes it from the shards"),
    "split_sizes": ("Splits", "shard statistics writes it"),
    "leakage": ("Leakage between splits", "shard leakage writes it"),
    "sources": ("Sources", "shard statistics writes it where the dataset lists what was asked for"),
    "licences": ("Licences", "shard statistics writes it where the dataset lists what was asked for"),
    "resolution": ("Resolution", "shard statistics writes it where the dataset lists what was asked for"),
    "images_per_work": ("Images per artist and work", "shard statistics writes it"),
    "matches_per_pair": ("Matches and correspondences per pair", "no pair was kept"),
    "baseline_angles": ("Angles between the cameras", "no pair has two known focal lengths"),
    "tracks": ("Tracks", "shard tracks joins the correspondences over images"),
}  # of the section about the dataset
KNOWN = {
    "depth_demo": ("Depth against the truth", "only the built-in museum has a true depth to compare with"),
    "depth_pairs": ("Depth judged by held-out correspondences", "depth evaluate writes it"),
    "segmentation": ("Masks of held-out works", "segment train writes it where the sources give masks"),
    "segmentation_truth": ("Masks against the truth", "only the built-in museum has true masks"),
    "correspondences_truth": ("Correspondences against the truth", "only the built-in museum has true cameras"),
    "pairs_by_reason": ("Pairs by reason", "verify writes it"),
}
FUNNEL = "funnel_by_source"
OWN = {"funnel", FUNNEL}  # shown in a section of its own
HIDDEN = {"q05", "q95", "iqr"}  # columns that the CSV has and the page does not
SHORT = 6  # rows of a table that is shown at once; longer ones are folded
FUNNEL_CAPTION = (
    "What each step left and lost, and why. Within a unit, the rows of a step (remaining and lost) add up to what "
    "the step before left."
)


@dataclass(frozen=True)
class TableView:
    """A table ready to show.

    Attributes:
        name: Of its files.
        title: Its heading.
        caption: What is counted.
        columns: Their names.
        numeric: Which of them are set flush right.
        rows: Cells as text.
        figure: Its picture as a data URI, if there is one.
        folded: Whether the rows are shown only when asked for.
    """

    name: str
    title: str
    caption: str
    columns: list[str]
    numeric: list[bool]
    rows: list[list[str]]
    figure: str | None = None
    folded: bool = False


def table_views(
    folder: Path, known: Mapping[str, tuple[str, str]], others: bool = False
) -> tuple[list[TableView], list[tuple[str, str]]]:
    """The known tables of the folder, in order, and then, if asked for, those that nobody knows.

    Returns:
        The tables, and (title, why) of each known one that is not there.

    Raises:
        LiftnetError: A table is not a CSV file.
    """
    there = {path.stem: path for path in sorted(folder.glob("*.csv")) if path.stem not in OWN}
    names = [name for name in known if name in there]
    if others:
        names += [name for name in there if name not in {*KNOWN, *DATASET}]
    missing = [words for name, words in known.items() if name not in there]
    return [_view(there[name]) for name in names], missing


def funnel_view(folder: Path) -> TableView | None:
    """The funnel of the dataset by source; None where it was not counted."""
    path = folder / f"{FUNNEL}.csv"
    if not path.exists():
        return None
    view = _view(path)
    rows = [
        [words_of(cell) if name == "reason" else cell for name, cell in zip(view.columns, row, strict=True)]
        for row in view.rows
    ]
    return replace(view, rows=rows)


def _view(path: Path) -> TableView:
    try:
        frame = read_csv_table(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise LiftnetError(path, f"is not a readable table ({error})", "Delete it and run its stage again") from error
    frame = frame.drop(columns=[name for name in frame.columns if name in HIDDEN])
    title = (DATASET | KNOWN).get(path.stem, (path.stem.replace("_", " ").capitalize(),))[0]
    cells = frame.to_numpy().tolist()
    numeric = [all(_is_number(row[k]) or row[k] == "" for row in cells) for k in range(len(frame.columns))]
    rows = [_shown_row(row) for row in cells]
    columns = [str(name).replace("_", " ") for name in frame.columns]
    caption, picture = _caption(path.with_suffix(".md")), _picture(path.parent / "figures" / f"{path.stem}.svg")
    folded = picture is not None and len(rows) > SHORT
    return TableView(path.stem, title, caption, columns, numeric, rows, picture, folded)


def _picture(path: Path) -> str | None:
    """An SVG as a data URI: in an <img> it can neither run a script nor load anything."""
    return f"data:image/svg+xml;base64,{base64.b64encode(read_bytes(path)).decode()}" if path.exists() else None


def _caption(markdown: Path) -> str:
    if not markdown.exists():
        return ""
    first = read_text(markdown).split("\n\n", 1)[0].strip()
    return "" if first.startswith("|") else first


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown_row(cells: list[str]) -> list[str]:
    """Cells as `_shown`; where all numbers of a row are whole, as counts in a column of means are, without decimals.

    >>> _shown_row(["works", "50.0", "5.0"]), _shown_row(["a pair", "50.0", "5.25"])
    (['works', '50', '5'], ['a pair', '50.0', '5.250'])
    """
    whole = all(float(cell).is_integer() for cell in cells if _is_number(cell))
    return [_shown(f"{float(cell):.0f}" if whole and _is_number(cell) else cell) for cell in cells]


def _shown(cell: str) -> str:
    """Numbers as people read them: thousands apart, three decimals below ten, one above."""
    if not _is_number(cell):
        return cell
    value = float(cell)
    if value != value or value in (float("inf"), float("-inf")):
        return cell
    if cell.lstrip("-").isdigit():
        return f"{int(cell):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"


def funnel(run: RunResults) -> pd.DataFrame:
    """Count what is left and lost at each step, as far as the run went.

    Returns:
        A tidy frame with the columns unit (images, image pairs, correspondences), step, outcome (remaining, lost),
        reason (of a loss) and count.
    """
    chains = [_images(run), *([_pairs(run), _correspondences(run)] if run.pairs is not None else [])]
    return funnel_table(chains, ["unit"])


def write_funnel(frame: pd.DataFrame, tables: Path) -> None:
    """Write the funnel to `tables/funnel.{csv,md,tex}`."""
    write_tables(frame, tables / "funnel", FUNNEL_CAPTION)


def _images(run: RunResults) -> Chain:
    manifest, images = run.manifest, run.images
    chain = Chain(unit="images")
    chain.step("URLs and files asked for", len(manifest))
    failed = manifest[manifest["status"] != "ok"]
    chain.step("images stored", len(images), Counter(words_of(status) for status in failed["status"]))
    left = set(images.index)
    if run.masks is not None:
        left = _masked(run, left, chain)
    if run.pairs is not None:
        paired = set(run.pairs["image_a"]) | set(run.pairs["image_b"])
        alone = images.groupby("work_id")["image_id"].transform("size").eq(1)
        why = {True: "the only image of its work", False: "its work was not matched"}
        lost = Counter(why[bool(alone[image])] for image in left - paired)
        left &= paired
        chain.step("images in a pair that was tried", len(left), lost)
        kept = run.pairs[run.pairs["kept"]]
        useful = left & (set(kept["image_a"]) | set(kept["image_b"]))
        chain.step("images in a kept pair", len(useful), {"none of its pairs was kept": len(left - useful)})
    return chain


def _masked(run: RunResults, left: set[str], chain: Chain) -> set[str]:
    assert run.masks is not None
    status = dict(zip(run.masks["image_id"], run.masks["status"], strict=True))
    good = {image for image in left if status.get(image) == "ok"}
    lost = Counter(words_of(status.get(image) or "not segmented") for image in left - good)
    chain.step("images with a mask", len(good), lost)
    return good


def _pairs(run: RunResults) -> Chain:
    assert run.pairs is not None
    sizes = run.images.groupby("work_id").size()
    possible = int((sizes * (sizes - 1) // 2).sum())
    chain = Chain(unit="image pairs")
    chain.step("pairs of stored images of one work", possible)
    chain.step("pairs tried", len(run.pairs), {"not tried": max(possible - len(run.pairs), 0)})
    rejected = run.pairs[~run.pairs["kept"]]
    chain.step("pairs kept", int(run.pairs["kept"].sum()), Counter(words_of(reason) for reason in rejected["reason"]))
    left_out = _left_out(run)
    if left_out is not None:
        lost = Counter(words_of(reason) for reason in left_out["reason"])
        chain.step("pairs in the dataset", int(run.pairs["kept"].sum()) - len(left_out), lost)
    return chain


def _left_out(run: RunResults) -> pd.DataFrame | None:
    """Kept pairs that the dataset leaves out: reason and n_kept; None where the dataset does not say."""
    if run.tried is None or run.pairs is None:
        return None
    kept = run.pairs.loc[run.pairs["kept"], ["pair_id", "n_kept"]]
    refused = run.tried.loc[~run.tried["kept"], ["pair_id", "reason"]]
    return kept.merge(refused.drop_duplicates("pair_id"), on="pair_id")


def _correspondences(run: RunResults) -> Chain:
    assert run.pairs is not None
    pairs = run.pairs.fillna({"n_putative": 0, "n_masked": 0, "n_inliers": 0, "n_guided": 0})
    chain = Chain(unit="correspondences")
    chain.step("putative matches", int(pairs["n_putative"].sum()))
    # without a foreground match the masks were either not reached or left nothing; the reason tells
    reached = (pairs["n_masked"] > 0) | (pairs["reason"] == PairReason.FEW_MASKED)
    lost = {"on the background": int((pairs["n_putative"] - pairs["n_masked"])[reached].sum())}
    lost |= _by_reason(pairs[~reached], "n_putative", "masks not reached: ")
    chain.step("on the foreground of both images", int(pairs["n_masked"].sum()), lost)
    fitted = pairs["n_inliers"] > 0
    lost = {"no inlier of the fundamental matrix": int((pairs["n_masked"] - pairs["n_inliers"])[fitted].sum())}
    lost |= _by_reason(pairs[~fitted], "n_masked", "no matrix was fitted: ")
    chain.step("inliers of the fundamental matrix", int(pairs["n_inliers"].sum()), lost)
    kept = pairs["kept"]
    lost = _by_reason(pairs[~kept], "n_inliers", "pair rejected: ")
    again = pairs["n_kept"] - pairs["n_guided"]
    lost[NOT_AGAIN] = int((pairs["n_inliers"] - again)[kept].sum())
    gained = {SECOND_SEARCH: int(pairs["n_guided"][kept].sum())}
    chain.step("correspondences of kept pairs", int(pairs["n_kept"][kept].sum()), lost, gained)
    if run.dataset_correspondences is not None:
        left_out = _left_out(run)
        lost = {} if left_out is None else _by_reason(left_out, "n_kept", "pair left out: ")
        chain.step("correspondences in the dataset", run.dataset_correspondences, lost)
    return chain


def _by_reason(pairs: pd.DataFrame, column: str, opening: str) -> dict[str, int]:
    sums = pairs.groupby("reason")[column].sum()
    return {opening + words_of(str(reason)): int(count) for reason, count in sums.items()}


def remaining(frame: pd.DataFrame, unit: str) -> list[tuple[str, int]]:
    """The steps of a unit and what each left, in order."""
    rows = frame[(frame["unit"] == unit) & (frame["outcome"] == "remaining")]
    return list(zip(rows["step"], rows["count"].astype(int), strict=True))
