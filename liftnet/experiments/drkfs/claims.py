"""What of the DR-KFS paper holds, from the tables of its experiments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from liftnet.core.tables import markdown_table
from liftnet.experiments.drkfs.legs import REMOVED, equal_strength

Found = tuple[str, str]  # our figure, whether it holds
NOT_RUN = ("not run", "")


@dataclass(frozen=True)
class Tables:
    """The tables of a run, None where an experiment was not run."""

    folder: Path

    def read(self, name: str) -> pd.DataFrame | None:
        """`tables/drkfs_<name>.csv`."""
        path = self.folder / "tables" / f"drkfs_{name}.csv"
        return pd.read_csv(path) if path.exists() else None


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, its figure, how to find ours, and what there is to say."""

    text: str
    paper: str
    ours: Callable[[Tables], Found]
    why: str = ""


def tells_structure(spatial: str, visual: str, *edits: str) -> Callable[[Tables], Found]:
    """A claim that some strength of an edit is more than a lost leg to one metric, and less to another."""

    def ours(tables: Tables) -> Found:
        frame = tables.read("legs_chairs")
        if frame is None or spatial not in frame or visual not in frame:
            return NOT_RUN
        shares, strengths = [], []
        for edit in edits:
            first, second = (equal_strengths(frame, metric, edit) for metric in (spatial, visual))
            shares.append(float((first < second).mean()))
            strengths.append(f"{edit}: {_percent(first)} beside {_percent(second)}, {shares[-1]:.0%} of chairs")
        return "; ".join(strengths), _verdict(min(shares), max(shares))

    return ours


def equal_strengths(frame: pd.DataFrame, metric: str, edit: str) -> np.ndarray:
    """(chairs,) the strength at which an edit is as far as a lost leg; inf if none that was measured is."""
    removed = frame[frame["edit"] == REMOVED].set_index("chair")[metric]
    mine = frame[frame["edit"] == edit].pivot(index="chair", columns="strength", values=metric)
    ratios = mine.div(removed, axis=0)
    return np.array([equal_strength(ratios.columns.to_numpy(), row) for row in ratios.to_numpy()])


def deletion_against_shift(loss: str, more: bool) -> Callable[[Tables], Found]:
    """A claim that deleting bars costs more, or less, than moving them."""

    def ours(tables: Tables) -> Found:
        frame = tables.read("bars")
        if frame is None or loss not in set(frame["loss"]):
            return NOT_RUN
        row = frame.set_index("loss").loc[loss].to_dict()
        share = float(row["deletion costs more"] if more else 1 - row["deletion costs more"])
        spread = f"{row['ratio']:.2f} [{row['ratio low']:.2f}, {row['ratio high']:.2f}]"
        text = f"{spread}; in {share:.0%} of {row['n']:.0f} cases"
        right = (row["ratio"] > 1) == more
        return text, _verdict(share, share) if right else "does not hold"

    return ours


def better_loss(better: str, worse: str, *metrics: str) -> Callable[[Tables], Found]:
    """A claim that a mesh fitted by one loss is nearer to its target than by another, in the mean over targets."""

    def ours(tables: Tables) -> Found:
        frame = tables.read("shading")
        if frame is None:
            return NOT_RUN
        means = frame.set_index("loss")
        known = [metric for metric in metrics if metric in means and means.loc[[better, worse], metric].notna().all()]
        if not known:
            return NOT_RUN
        left, right = (means.loc[loss, known].to_numpy(np.float64).tolist() for loss in (better, worse))
        pairs = list(zip(left, right, strict=True))
        text = "; ".join(f"{name} {_short(a)} beside {_short(b)}" for name, (a, b) in zip(known, pairs, strict=True))
        won = [a < b for a, b in pairs]
        return text, "holds" if all(won) else "in part" if any(won) else "does not hold"

    return ours


def score_falls(tables: Tables) -> Found:
    """How far the score of the fit falls."""
    frame = tables.read("sphere")
    if frame is None:
        return NOT_RUN
    texts, falls = [], []
    for loss, mine in frame.groupby("loss", sort=False):
        first, last = mine.iloc[0], mine.iloc[-1]
        text = f"{loss}: {first['drkfs']:.3g} to {last['drkfs']:.3g} in {last['step']:.0f} steps"
        texts.append(text + (f", IoU {1 - first['iou']:.2f} to {1 - last['iou']:.2f}" if "iou" in frame else ""))
        falls.append(bool(last["drkfs"] < first["drkfs"]))
    return "; ".join(texts), "holds" if all(falls) else "in part" if any(falls) else "does not hold"


SILHOUETTES, SHADED, PIXELS = "DR-KFS, silhouettes", "DR-KFS, shaded", "MSE, shaded"
LEGS, BENDS = ("legs thicker and longer", "legs shorter"), ("legs bent", "back bent")
CLAIMS = (
    Claim(
        "Thicker and longer or shorter legs can be further in Chamfer distance than a lost leg, but nearer in LFD",
        "one chair (Figure 2, top)",
        tells_structure("chamfer_l1", "lfd", *LEGS),
        "Strength at which an edit equals a lost leg in Chamfer (L1), beside that in LFD.",
    ),
    Claim(
        "... with squared distances",
        "not said which",
        tells_structure("chamfer_l2", "lfd", *LEGS),
        "Squares weigh what is missing altogether most.",
    ),
    Claim(
        "Bent legs or a bent back can be further in IoU than a lost leg, but nearer in LFD",
        "one chair (Figure 2, bottom)",
        tells_structure("iou", "lfd", *BENDS),
        "The same for IoU.",
    ),
    Claim(
        "DR-KFS sees structure as LFD does: further than Chamfer or IoU from taking an edit for a lost leg",
        "said, not shown",
        tells_structure("chamfer_l1", "drkfs", *LEGS),
        "A part that moves by half a stride of 16 px, or turns, has other descriptors; four legs are more than one.",
    ),
    Claim("... against IoU, for bends", "said, not shown", tells_structure("iou", "drkfs", *BENDS), "As above."),
    Claim(
        "(not in the paper) ... with patches 4 px apart",
        "not measured",
        tells_structure("chamfer_l1", "drkfs_dense", *LEGS),
        "Forgives shifts, not turns.",
    ),
    Claim(
        "(not in the paper) ... with patches 4 px apart, for bends",
        "not measured",
        tells_structure("iou", "drkfs_dense", *BENDS),
        "As above.",
    ),
    Claim(
        "Errors of pixels are larger for moved bars than for deleted ones",
        "0.60 (Table 5: deletion over the mean of both shifts)",
        deletion_against_shift("MSE of pixels", more=False),
        "A bar thinner than the shift is counted where it was and where it is.",
    ),
    Claim(
        "... errors of PoI maps are not smaller for moved bars",
        "0.97",
        deletion_against_shift("MSE of PoI maps", more=False),
    ),
    Claim(
        "Local features bear a shift and see a deletion",
        "1.25 (LIFT)",
        deletion_against_shift("SIFT features", more=True),
        "SIFT at its own points.",
    ),
    Claim(
        "... also HardNet at the maxima of the PoI map",
        "not measured",
        deletion_against_shift("HardNet at maxima", more=True),
    ),
    Claim(
        "DR-KFS bears a shift and sees a deletion",
        "1.69",
        deletion_against_shift("DR-KFS", more=True),
        "Five pixels are a third of the stride of the patches: no patch matches where the bar has gone.",
    ),
    Claim(
        "(not in the paper) ... with patches 4 px apart",
        "not measured",
        deletion_against_shift("DR-KFS, patches 4 px apart", more=True),
        "The same weights; the match may lie where the bar has gone.",
    ),
    Claim(
        "DR-KFS on shaded images is a better loss than errors of pixels on them",
        "LFD 4125 beside 5156, Shape Google 5.48 beside 7.33 (Table 4, a network)",
        better_loss(SHADED, PIXELS, "LFD", "Shape Google"),
        "Here a mesh is fitted, without a network that has seen other shapes.",
    ),
    Claim(
        "... and than DR-KFS on silhouettes",
        "LFD 4125 beside 6989, Shape Google 5.48 beside 8.98",
        better_loss(SHADED, SILHOUETTES, "LFD", "Shape Google"),
        "As above.",
    ),
    Claim(
        "Errors of pixels on shaded images are a better loss than DR-KFS on silhouettes",
        "LFD 5156 beside 6989, Shape Google 7.33 beside 8.98",
        better_loss(PIXELS, SILHOUETTES, "LFD", "Shape Google"),
        "As above.",
    ),
    Claim("A mesh can be optimised by DR-KFS", "said, not shown without a network", score_falls),
)


def claims_table(folder: Path) -> str:
    """The claims as Markdown, from the tables below a folder of results."""
    tables = Tables(folder)
    rows = []
    for claim in CLAIMS:
        ours, verdict = claim.ours(tables)
        rows.append({"claim": claim.text, "paper": claim.paper, "ours": ours, "holds?": verdict, "why": claim.why})
    return markdown_table(pd.DataFrame(rows))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _percent(strengths: np.ndarray) -> str:
    middle = float(np.median(strengths))
    return f"{middle:.0%}" if np.isfinite(middle) else "more than measured"


def _verdict(least: float, most: float) -> str:
    if least > 0.5:
        return "holds"
    return "in part" if most > 0 else "does not hold"
