"""What the second search and the settings of the first one give and cost, by exact positions and calibrated cameras.

    python benchmarks/second_search.py --museum-run RESULTS [--head-run RESULTS --cameras FOLDER] [--splits val test]

`--museum-run` is the results folder of a run of the built-in museum (manifest, images, masks, museum), where the true
position of every point is known; `--head-run` one of the calibrated photographs and `--cameras` the folder of their
projection matrices (<image>.txt). The works of each of `--splits` are matched and verified anew with each variant: CPU
seconds of one thread of the features, the search, the fits and the second search, and what is kept. Settings are
chosen on the splits train and val; on the others and on the head a few variants are measured once. Writes
benchmarks/second_search.md.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import commit, fundamental_of, line_distances, machine, one_thread, shown, spent, write_report

from liftnet.core.settings import changed
from liftnet.data.manifest import StoredImage, stored_images
from liftnet.data.schemas import PAIRS, read_table
from liftnet.match.feature_cache import recipe, work_features
from liftnet.match.match import match_work
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import work_images
from liftnet.verify.settings import VerifySettings
from liftnet.verify.truth import CORRECT_PX, Oracle, TrueViews, transfer_errors
from liftnet.verify.verify import verify_matches

FIRST = {"features.opencv.octave_layers": 3, "features.opencv.min_side": 0, "mask_first": False, "ratio": 0.8}
ONCE = {"guided.search": False}
BEFORE = {**ONCE, "perspective_check": False}
FIVE = {"features.opencv.octave_layers": 5}
MASKED = {**FIVE, "mask_first": True}
UNALIGNED = {"guided.align.pictures": False}
VARIANTS: dict[str, tuple[dict, dict]] = {  # settings of `match` and of `verify`, beside FIRST and the defaults
    "one search, affine alone": ({}, BEFORE),
    "second search": ({}, {}),
    "octave_layers 5, one search": (FIVE, ONCE),
    "octave_layers 5, not aligned": (FIVE, UNALIGNED),
    "octave_layers 5 (the defaults)": (FIVE, {}),
    "..., not aligned, max_cost 5": (FIVE, {**UNALIGNED, "max_cost": 5.0}),
    "..., candidate_cost 12": (FIVE, {"candidate_cost": 12.0}),
    "..., max_misfit 1.5": (FIVE, {"max_misfit": 1.5}),
    "..., max_misfit 2.5": (FIVE, {"max_misfit": 2.5}),
    "..., band 1 (the affine matrix decides)": (FIVE, {"band": 1.0}),
    "..., ratio along the line 1": (FIVE, {"guided.ratio": 1.0}),
    "..., perspective model": (FIVE, {"model": "perspective"}),
    "..., ratio .75": ({**FIVE, "ratio": 0.75}, {}),
    "..., ratio .85": ({**FIVE, "ratio": 0.85}, {}),
    "octave_layers 5, mask_first, one search": (MASKED, ONCE),
    "octave_layers 5, mask_first": (MASKED, {}),
}
QUICK = ("one search, affine alone", "octave_layers 5 (the defaults)")
FINAL = (  # what works are asked that no setting was chosen on
    "one search, affine alone",
    "octave_layers 5, not aligned",
    "octave_layers 5 (the defaults)",
)
STEPS = ("features", "search", "fits", "second search")


@dataclass
class Counts:
    """Sums over pairs.

    Attributes:
        values: Each sum by its name.
    """

    values: dict[str, float] = field(default_factory=dict)

    def add(self, **values: float) -> None:
        """Add to the sums."""
        for name, value in values.items():
            self.values[name] = self.values.get(name, 0) + float(value)

    def share(self, part: str, whole: str) -> float:
        """One sum over another; NaN without any."""
        return self.values.get(part, 0) / self.values[whole] if self.values.get(whole) else float("nan")


Grade = Callable[[dict, Counts], None]


def by_position(run: Path) -> Grade:
    """Counts of a pair against the true and visible positions, and of the surface that both images show."""
    views = TrueViews(run / "museum", stored_images(run).values())
    oracles: dict[tuple[str, str], Oracle] = {}

    def grade(row: dict, counts: Counts) -> None:
        a, b = row["image_a"], row["image_b"]
        if a not in views or b not in views:
            return
        oracle = oracles.get((a, b)) or oracles.setdefault((a, b), Oracle(views[a], views[b], None, None))
        counts.add(surface=len(oracle.surface))
        if not row["kept"]:
            return
        points_a, points_b = points_of(row)
        distance, visible = transfer_errors(views[a], views[b], points_a, points_b)
        right = visible & (distance <= CORRECT_PX)
        counts.add(pairs=1, correspondences=len(right), mostly_wrong=right.mean() < 0.5)
        counts.add(**{f"within_{k}": (visible & (distance <= k)).sum() for k in (1, 2, 4)})
        counts.add(covered=oracle.recall(points_a, right).covered)

    return grade


def by_lines(run: Path, folder: Path) -> Grade:
    """Counts of a pair against the epipolar lines of calibrated cameras, in both images."""
    cameras = {
        name: np.loadtxt(folder / f"{Path(image.image_url).stem}.txt") for name, image in stored_images(run).items()
    }

    def grade(row: dict, counts: Counts) -> None:
        if not row["kept"]:
            return
        matrix = fundamental_of(cameras[row["image_a"]], cameras[row["image_b"]])
        distance = line_distances(matrix, *points_of(row))
        counts.add(pairs=1, correspondences=len(distance), mostly_wrong=(distance <= 4).mean() < 0.5)
        counts.add(**{f"within_{k}": (distance <= k).sum() for k in (1, 2, 4)})

    return grade


def points_of(row: dict) -> tuple[np.ndarray, np.ndarray]:
    """The correspondences of a row of PAIRS, (N, 2) px each."""
    return np.column_stack([row["x1"], row["y1"]]), np.column_stack([row["x2"], row["y2"]])


class Steps:
    """Steps that variants share, each done once, and the CPU seconds that it took."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, ...], float] = {}

    def __call__(self, key: tuple[str, ...], step: Callable[[], object]) -> float:
        """Do what is not done yet; its seconds."""
        if key not in self.seconds:
            start = spent()
            step()
            self.seconds[key] = spent() - start
        return self.seconds[key]


def measure(works: list[str], match: dict, verify: dict, grade: Grade, root: Path, once: Steps) -> dict[str, float]:
    """What a variant keeps of some works and the CPU seconds of each step; what it shares with others is in `root`."""
    settings, verification = changed(MatchSettings(), **FIRST | match), changed(VerifySettings(), **verify)
    counts, cpu = Counts(), dict.fromkeys(STEPS, 0.0)
    first = changed(verification, **ONCE)
    for work in works:
        images = work_images(root, work, settings.search.mask_first)
        key = recipe(settings)
        cpu["features"] += once((work, key), partial(work_features, images, root / "features" / key, settings))
        key = hashlib.sha256(str(settings).encode()).hexdigest()[:16]
        matches, pairs = root / f"{work}-{key}.parquet", root / "pairs.parquet"
        cpu["search"] += once((work, key), partial(match_work, root, work, matches, settings))
        fits = once((work, key, str(first)), partial(verify_matches, root, matches, pairs, first))
        start = spent()
        verify_matches(root, matches, pairs, verification)
        cpu["fits"] += fits
        cpu["second search"] += max(spent() - start - fits, 0) if verification.guided.search else 0
        for row in read_table(pairs, PAIRS).to_pylist():
            grade(row, counts)
    row = {name: counts.values.get(name, 0) for name in ("pairs", "correspondences")}
    row |= {f"within {k} px": counts.share(f"within_{k}", "correspondences") for k in (1, 2, 4)}
    if "surface" in counts.values:
        row["surface recall"] = counts.share("covered", "surface")
    row |= {"a pair": counts.share("correspondences", "pairs"), "mostly wrong": counts.values.get("mostly_wrong", 0)}
    return row | {f"{step} s": seconds for step, seconds in cpu.items()}


def compare(run: Path, works: list[str], grade: Grade, variants: Mapping[str, tuple[dict, dict]]) -> pd.DataFrame:
    """A row for each variant: settings of `match` and of `verify` by its name."""
    rows, once = [], Steps()
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as unmeasured:
        for root in (Path(name), Path(unmeasured)):
            for entry in ("manifest.parquet", "images", "masks"):
                (root / entry).symlink_to((run / entry).resolve())
        measure(works[:1], MASKED, {}, lambda row, counts: None, Path(unmeasured), Steps())  # compiles and loads
        for variant, settings in variants.items():
            row = measure(works, *settings, grade, Path(name), once)
            rows.append({"variant": variant, **row})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def formatted(frame: pd.DataFrame) -> str:
    """The rows of `compare` as a Markdown table."""
    formats = {f"within {k} px": ".3f" for k in (1, 2, 4)} | {f"{step} s": ".2f" for step in STEPS}
    formats |= {"surface recall": ".4f", "a pair": ".0f"}
    formats |= dict.fromkeys(("pairs", "correspondences", "mostly wrong"), ",.0f")
    return shown(frame, {name: form for name, form in formats.items() if name in frame})


def works_of(images: dict[str, StoredImage], split: str | None) -> list[str]:
    """The works of a split, or all, sorted."""
    return sorted({image.work_id for image in images.values() if split in (None, image.split)})


def main() -> None:
    """Measure what is given and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--museum-run", type=Path, help="results folder of a run of the museum, with masks")
    parser.add_argument("--head-run", type=Path, help="results folder of the calibrated photographs, with masks")
    parser.add_argument("--cameras", type=Path, help="folder with their projection matrices")
    parser.add_argument("--splits", nargs="+", default=["val", "test"], help="works of the museum: val, test, train")
    parser.add_argument("--variants", nargs="*", help="only the variants whose name holds one of these words")
    parser.add_argument("--masks-are", default="predicted masks", help="where the masks come from, for the report")
    parser.add_argument("--quick", action="store_true", help="one work and two variants")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    names = [n for n in VARIANTS if not arguments.variants or any(word in n for word in arguments.variants)]
    variants = {name: VARIANTS[name] for name in (QUICK if arguments.quick else names)}
    final = {name: settings for name, settings in variants.items() if name in FINAL}
    tables = {}
    with one_thread():
        for split in arguments.splits if arguments.museum_run else ():
            run = arguments.museum_run
            works = works_of(stored_images(run), split)[: 1 if arguments.quick else None]
            title = f"Museum, {len(works)} works of the split {split}, exact positions"
            tables[title] = compare(run, works, by_position(run), variants if split in ("train", "val") else final)
        if arguments.head_run and arguments.cameras:
            run = arguments.head_run
            works = works_of(stored_images(run), None)
            title = "Calibrated head, distance from the true epipolar lines"
            tables[title] = compare(run, works, by_lines(run, arguments.cameras), final)
    if not tables:
        parser.error("give --museum-run, or --head-run and --cameras")
    paragraphs = [
        "# The second search, and the settings of the first",
        f"`python benchmarks/{Path(__file__).name}`, commit {commit()}; all pairs of images of a work, "
        f"{arguments.masks_are}. {machine('numpy', 'opencv-python')}. CPU seconds of one thread; those of the second "
        "search with the reading and aligning of pictures. A variant that begins with dots is the defaults and one "
        "change. What variants share is done once.",
    ]
    for title, frame in tables.items():
        paragraphs += [f"{title}:", formatted(frame)]
    write_report(arguments.out, paragraphs)


if __name__ == "__main__":
    main()
