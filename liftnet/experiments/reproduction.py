"""The verdicts of docs/reproduction.md, from a run's own files.

Reads scores/, models/*/metrics.csv and tables/ below the results; a claim whose files are missing says so. What lies
between the markers of the page is replaced: of LiftNet if there are scores, of DR-KFS if there are its tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from liftnet.core.files import write_text
from liftnet.core.tables import markdown_table
from liftnet.experiments.depth.tables import read_scores
from liftnet.experiments.drkfs.claims import claims_table as drkfs_claims
from liftnet.experiments.estimates import Estimate, difference, estimate, mean_of_classes
from liftnet.experiments.plan import Experiments, read_plan

BEGIN, END = "<!-- claims: written by liftnet/experiments/reproduction.py -->", "<!-- end of claims -->"
BEGIN_ERRORS, END_ERRORS = "<!-- errors: written by liftnet/experiments/reproduction.py -->", "<!-- end of errors -->"
BEGIN_DRKFS, END_DRKFS = "<!-- drkfs: written by liftnet/experiments/reproduction.py -->", "<!-- end of drkfs -->"
SIMILAR = 0.03  # the paper calls .261 beside .255 similar
NOT_RUN = ("not run", "", "")
Found = tuple[str, str, str]  # our figure, on what data, whether it holds


@dataclass(frozen=True)
class Results:
    """What a run left."""

    folder: Path
    plan: Experiments
    scores: pd.DataFrame

    def of(self, run: str, name: str) -> pd.DataFrame:
        """The scores of a run on a set."""
        return self.scores[(self.scores["run"] == run) & (self.scores["set"] == name)]

    def table(self, name: str) -> pd.DataFrame | None:
        """A table, or None where it is missing."""
        path = self.folder / "tables" / f"{name}.csv"
        return pd.read_csv(path) if path.exists() else None

    def data(self, scores: pd.DataFrame, name: str) -> str:
        """On what data scores were measured, in words."""
        shapes, images = scores["work_id"].nunique(), scores["image_id"].nunique()
        return f"{images} views of {shapes} shapes, {self.plan.sets[name].title}"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, its figure, how to find ours, and what there is to say."""

    text: str
    paper: str
    ours: Callable[[Results], Found]
    why: str


def lower(run: str, other: str, name: str, decimals: int = 3, of_classes: bool = False) -> Callable[[Results], Found]:
    """A claim that one run has a lower RMSE than another one on a set, over images or in the mean of the classes."""

    def ours(results: Results) -> Found:
        a, b = results.of(run, name), results.of(other, name)
        if not len(a) or not len(b):
            return NOT_RUN
        found = difference(a, b, "rmse", of_classes=of_classes)
        beyond_seeds = pd.isna(found.spread) or abs(found.mean) > found.spread
        sure = beyond_seeds and (found.low > 0 or found.high < 0)
        if found.mean < 0:
            verdict = "holds" if sure else "same direction, within chance"
        else:
            verdict = "does not hold" if sure else "opposite direction, within chance"
        mean = mean_of_classes if of_classes else estimate
        return _figures(mean(a, "rmse"), mean(b, "rmse"), found, decimals), results.data(a, name), verdict

    return ours


def similar(run: str, other: str, name: str, decimals: int = 3) -> Callable[[Results], Found]:
    """A claim that two runs have about the same RMSE on a set."""

    def ours(results: Results) -> Found:
        a, b = results.of(run, name), results.of(other, name)
        if not len(a) or not len(b):
            return NOT_RUN
        found, left, right = difference(a, b, "rmse"), estimate(a, "rmse"), estimate(b, "rmse")
        share = found.mean / right.mean
        verdict = f"holds ({share:+.1%})" if abs(share) <= SIMILAR else f"does not hold ({share:+.1%})"
        if found.low <= 0 <= found.high and abs(share) > SIMILAR:
            verdict = f"undecided ({share:+.1%}, within chance)"
        return _figures(left, right, found, decimals), results.data(a, name), verdict

    return ours


def _figures(left: Estimate, right: Estimate, gap: Estimate, decimals: int) -> str:
    return (
        f"{left.mean:.{decimals}f} beside {right.mean:.{decimals}f}; difference {gap.mean:+.{decimals + 1}f}"
        f" [{gap.low:+.{decimals + 1}f}, {gap.high:+.{decimals + 1}f}], seeds ± {gap.spread:.{decimals + 1}f}"
    )


def classes_won(results: Results) -> Found:
    """How many classes LiftNet wins against pix2pix in Table 2."""
    ours, theirs = results.of("liftnet-shapenet-50", "shapenet"), results.of("pix2pix-shapenet", "shapenet")
    if not len(ours) or not len(theirs):
        return NOT_RUN
    gaps = {name: difference(rows, theirs[theirs["class"] == name], "rmse") for name, rows in ours.groupby("class")}
    won = sum(gap.mean < 0 for gap in gaps.values())
    sure = [gap.mean for gap in gaps.values() if gap.low > 0 or gap.high < 0]
    text = f"{won} of {len(gaps)}; beyond chance {sum(m < 0 for m in sure)} won, {sum(m > 0 for m in sure)} lost"
    verdict = "holds" if won > len(gaps) / 2 else "does not hold"
    return text, results.data(ours, "shapenet"), verdict


def works_failed(results: Results) -> Found:
    """How many works COLMAP fails to reconstruct."""
    table = results.table("sfm")
    if table is None:
        return NOT_RUN
    row = table.iloc[-1]
    text = f"{row['failed_share']:.0%}; with under half of the images registered {row['below_half_share']:.0%}"
    return text, f"{row['works']} works of the museum", "depends on the photographs"


def validation_loss(results: Results) -> Found:
    """How the validation loss falls."""
    path = results.folder / "models" / "liftnet-sculptures-s0" / "metrics.csv"
    if not path.exists():
        return NOT_RUN
    metrics = pd.read_csv(path)
    first, best = metrics["val_loss"].iloc[0], metrics["val_loss"].min()
    step = int(metrics["iteration"].iloc[int(metrics["val_loss"].argmin())])
    last = int(metrics["iteration"].iloc[-1])
    text = f"{first:.3f} at step {int(metrics['iteration'].iloc[0])}, {best:.3f} at step {step} of {last} (px²)"
    return text, "the museum's pairs, 64 px input", "holds" if best < 0.95 * first else "does not hold"


def segmentation(results: Results) -> Found:
    """IoU and accuracy of the segmenter."""
    table = results.table("segmentation_truth")
    if table is None:
        return NOT_RUN
    row = table.set_index("split").loc["test"]
    return f"{row['iou']:.2f} / {row['accuracy']:.2f}", f"{row['n']:.0f} test views of the museum", "holds"


def dataset(results: Results) -> Found:
    """Correspondences a pair."""
    table = results.table("statistics")
    if table is None:
        return NOT_RUN
    total = table.set_index("quantity")["all"].astype(float)
    pairs, average = total["matching pairs"], total["average correspondences per pair"]
    return f"{average:.0f} in each of {pairs:,.0f} pairs", "the museum", "depends on the photographs"


CLAIMS = (
    Claim(
        "LiftNet on 50 correspondences has a lower error than pix2pix on dense depth in most ShapeNet classes",
        "11 of 17 (Table 2, counted)",
        classes_won,
        "Generated shapes stand in for ShapeNet's.",
    ),
    Claim(
        "... and in the mean of the classes",
        "1.52 beside 1.78 (means of the printed classes, RMSE x 100)",
        lower("liftnet-shapenet-50", "pix2pix-shapenet", "shapenet", 4, of_classes=True),
        "The paper's error is scaled otherwise: its 1.5 would be .015 half widths here.",
    ),
    Claim(
        "50 correspondences a pair suffice",
        ".261 beside .255 with all (Table 3)",
        similar("liftnet-sketchfab-50", "liftnet-sketchfab-all", "sketchfab"),
        "`all` is what two views share at 128 px, about 2,000 a pair (paper: 9,000).",
    ),
    Claim(
        "100 correspondences are as good as all",
        ".254 beside .255 (Table 3)",
        similar("liftnet-sketchfab-100", "liftnet-sketchfab-all", "sketchfab"),
        "",
    ),
    Claim(
        "All correspondences are better than 10",
        ".255 beside .263 (Table 3)",
        lower("liftnet-sketchfab-all", "liftnet-sketchfab-10", "sketchfab"),
        "",
    ),
    Claim(
        "Dense correspondences teach about as much as depth",
        ".254 beside .254 (Table 4, SketchFab)",
        similar("liftnet-sketchfab-all", "pix2pix-sketchfab", "sketchfab"),
        "Correspondences of two affine views leave a shear of depth free, which this metric counts as error.",
    ),
    Claim(
        "The robust cost R helps",
        ".270 beside .277 (Table 4)",
        lower("liftnet-sculptures", "liftnet-sculptures-no-r", "sketchfab"),
        "The museum's correspondences have fewer wrong ones than the web's.",
    ),
    Claim(
        "... also on the museum's own test works",
        "not measured",
        lower("liftnet-sculptures", "liftnet-sculptures-no-r", "sculptures"),
        "",
    ),
    Claim(
        "LiftNet is better than regressing COLMAP's depth",
        ".270 beside .284 (Table 4)",
        lower("liftnet-sculptures", "colmap-sculptures", "sketchfab"),
        "COLMAP succeeds far more often on the museum than on the web, and its depth is then nearly exact.",
    ),
    Claim(
        "LiftNet is better than photometric self-supervision",
        ".270 beside .291 (Table 4)",
        lower("liftnet-sculptures", "photometric-sculptures", "sketchfab"),
        "",
    ),
    Claim(
        "LiftNet equals supervision by ordinal depth",
        ".270 beside .269 (Table 4)",
        similar("liftnet-sculptures", "ordinal-sculptures", "sketchfab"),
        "The paper's was trained on scenes of another kind; ours learns from the true order on the museum itself.",
    ),
    Claim(
        "Training on the rendered sculptures is better than on photographs, measured on the rendered",
        ".254 beside .270 (Table 4)",
        lower("liftnet-sketchfab-all", "liftnet-sculptures", "sketchfab"),
        "",
    ),
    Claim(
        "On scanned objects LiftNet is better than COLMAP",
        "11.6 beside 11.8 cm (Table 5)",
        lower("liftnet-sculptures", "colmap-sculptures", "scanned", 2),
        "As above.",
    ),
    Claim(
        "... and than photometric self-supervision",
        "11.6 beside 12.1 cm (Table 5)",
        lower("liftnet-sculptures", "photometric-sculptures", "scanned", 2),
        "",
    ),
    Claim(
        "... and equals ordinal supervision",
        "11.6 beside 11.7 cm (Table 5)",
        similar("liftnet-sculptures", "ordinal-sculptures", "scanned", 2),
        "As above.",
    ),
    Claim(
        "(not in the paper) LiftNet is better than the mask inflated to a rounded surface, without a network",
        "not measured",
        lower("liftnet-sculptures", "inflated", "sculptures"),
        "",
    ),
    Claim(
        "(not in the paper) ... on the rendered sculptures, trained on them",
        "not measured",
        lower("liftnet-sketchfab-all", "inflated", "sketchfab"),
        "",
    ),
    Claim(
        "COLMAP fails for most works",
        "77 %",
        works_failed,
        "A work of the museum has 12 views round one side of one object; a cluster from the web has fewer that match.",
    ),
    Claim(
        "The validation loss falls and then stands",
        "4.0 to 3.4 (px, it seems) in 40,000 steps",
        validation_loss,
        "Another size of image, threshold and number of steps.",
    ),
    Claim("Segmentation: IoU and accuracy", ".94 / .97", segmentation, "A smaller network, 250 steps."),
    Claim(
        "Correspondences a pair",
        "181 in each of 182,000 pairs (Table 1)",
        dataset,
        "OpenCV's SIFT on rendered stone, 480 px.",
    ),
)


def claims_table(results: Results) -> str:
    """The claims as Markdown."""
    rows = []
    for claim in CLAIMS:
        ours, data, verdict = claim.ours(results)
        rows.append(
            {"claim": claim.text, "paper": claim.paper, "ours": ours, "on": data, "holds?": verdict, "why": claim.why}
        )
    return markdown_table(pd.DataFrame(rows))


def errors_table(results: Results) -> str:
    """RMSE / RMSE affine, and the spread of both over seeds, of every method on every set, as Markdown."""
    names = ["method", "trained with", "trained on"]
    found = [
        table for number in ("3", "4", "beyond", "5") if (table := results.table(f"depth_table{number}")) is not None
    ]
    if not found:
        return "not run"
    rows = pd.concat(found).drop_duplicates(["set", *names])
    rows["errors"] = [
        f"{rmse:.{digits}f} / {affine:.{digits}f}"
        + ("" if pd.isna(spread) else f" ± {spread:.{digits}f} / {spread_affine:.{digits}f}")
        for rmse, affine, spread, spread_affine, digits in zip(
            rows["rmse"],
            rows["rmse_affine"],
            rows["rmse seeds"],
            rows["rmse_affine seeds"],
            rows["unit"].map({"cm": 2}).fillna(3).astype(int),
            strict=True,
        )
    ]
    rows["set"] = rows["set"].where(rows["unit"] != "cm", rows["set"] + " (cm)")
    order = {name: number for number, name in enumerate(rows["set"].unique())}
    wide = rows.pivot_table(index=names, columns="set", values="errors", aggfunc="first", sort=False)
    return markdown_table(wide[sorted(wide.columns, key=order.__getitem__)].fillna("").reset_index())


def replaced(page: str, begin: str, end: str, text: str) -> str:
    """The page with what lies between two markers replaced."""
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"


def write_reproduction(page_file: Path, plan_file: Path, folder: Path) -> None:
    """Replace the claims and the errors of the page, as far as there is something to write.

    Args:
        page_file: docs/reproduction.md.
        plan_file: Plan of the experiments.
        folder: Of the results.

    Raises:
        LiftnetError: The plan or a score file cannot be read.
    """
    page = page_file.read_text(encoding="utf-8")
    files = sorted(folder.glob("scores/*/*.parquet"))
    if files:
        results = Results(folder, read_plan(plan_file), read_scores(files))
        page = replaced(page, BEGIN, END, claims_table(results))
        page = replaced(page, BEGIN_ERRORS, END_ERRORS, errors_table(results))
    if any(folder.glob("tables/drkfs_*.csv")):
        page = replaced(page, BEGIN_DRKFS, END_DRKFS, drkfs_claims(folder))
    write_text(page_file, page)
