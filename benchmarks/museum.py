"""Precision and recall against the exact truth of the museum: features, matchers and models beside each other.

    python benchmarks/museum.py --run RESULTS [--works 10] [--quick] [--openmvg-bin DIR]

`--run` is the results folder of a finished run of the built-in museum. Some of its works are matched and verified anew
with each variant and measured by `verify evaluate`: precision of the correspondences and recall of the surface seen in
both images. COLMAP and OpenMVG find their own features and match them; verification is ours for all, on the same
predicted masks. Writes benchmarks/museum.md and docs/figures/museum.png.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from measuring import OURS, PEER, machine, new_figure, one_thread, save_figure, shown, spent, tidy, write_report

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.match.match import match_work
from liftnet.match.settings import MatchSettings
from liftnet.verify.evaluate import evaluate
from liftnet.verify.settings import VerifySettings
from liftnet.verify.verify import verify_matches

VARIANTS: dict[str, tuple[dict, dict]] = {  # settings of `match` and of `verify`
    "liftnet": ({}, {}),
    "liftnet, masks first": ({"mask_first": True}, {}),
    "liftnet, perspective F": ({}, {"model": "perspective"}),
    "liftnet, upright": ({"features.opencv.upright": True}, {}),
    "liftnet, ratio .9": ({"ratio": 0.9}, {}),
    "COLMAP features, our matcher": ({"extractor": "colmap"}, {}),
    "COLMAP affine-shaped features, our matcher": ({"extractor": "colmap", "affine_shape": True}, {}),
    "COLMAP features and matches": ({"extractor": "colmap", "matcher": "colmap"}, {}),
    "OpenMVG HIGH, its matches": ({"extractor": "openmvg", "matcher": "openmvg"}, {}),
    "OpenMVG ULTRA, its matches": ({"extractor": "openmvg", "matcher": "openmvg", "preset": "ULTRA"}, {}),
}
SHARES = ("within_1_px", "within_2_px", "within_4_px", "matching_recall", "surface_recall")
STEPS = ("putative", "agree with F", "of kept pairs")


def measure(run: Path, works: list[str], match: dict, verify: dict) -> tuple[pd.DataFrame, float]:
    """The table of `verify evaluate` for all splits together, and CPU seconds from images to decided pairs."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for entry in ("manifest.parquet", "images", "masks"):
            (root / entry).symlink_to((run / entry).resolve())
        start = spent()
        for work in works:
            match_work(root, work, root / f"matches/{work}.parquet", changed(MatchSettings(), **match))
            matches, pairs = (root / f"{folder}/{work}.parquet" for folder in ("matches", "pairs"))
            verify_matches(root, matches, pairs, changed(VerifySettings(), **verify))
        seconds = spent() - start
        evaluate(root, run / "museum", root / "tables")
        table = pd.read_csv(root / "tables/correspondences_truth.csv")
    return table[table["split"] == "all"].drop(columns="split"), seconds


def compare(run: Path, works: list[str], programs: Path | None) -> pd.DataFrame:
    """A row for each variant and step; a variant whose programs are absent is named and left out."""
    rows = []
    measure(run, works[:1], {}, {})  # compiles and loads what is not to be measured
    for name, (match, verify) in VARIANTS.items():
        own = dict(match)
        if match.get("extractor") == "openmvg":
            if programs is None:
                print("OpenMVG's programs were not given: left out", flush=True)
                continue
            own["bin"] = str(programs)
        try:
            table, seconds = measure(run, works, own, verify)
        except LiftnetError as error:
            print(f"{name} is left out: {error}", flush=True)
            continue
        for row in table[table["matches"].isin(STEPS)].to_dict("records"):
            rows.append({"variant": name, "CPU s": seconds, **row})
        print(f"{name}: {seconds:.0f} CPU s", flush=True)
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame) -> None:
    """Recall of the surface and precision of the kept pairs, and time."""
    figure, axes = new_figure(3, 3.9, sharey=True, width_ratios=[1.2, 1, 1])
    kept = frame[frame["matches"] == STEPS[-1]]
    colours = [OURS if name.startswith("liftnet") else PEER for name in kept["variant"]]
    place = range(len(kept))
    axes[0].barh(place, kept["surface_recall"] * 100, color=colours)
    axes[1].scatter(kept["within_2_px"] * 100, place, color=colours)
    axes[2].barh(place, kept["CPU s"], color=colours)
    for axis, column, form in (
        (axes[0], kept["surface_recall"] * 100, "{:.1f}%"),
        (axes[2], kept["CPU s"], "{:.0f} s"),
    ):
        for k, value in enumerate(column):
            axis.text(value, k, " " + form.format(value), va="center", fontsize=8)
        axis.margins(x=0.15)
    axes[0].set_yticks(place, kept["variant"])
    axes[0].invert_yaxis()
    axes[0].set_xlabel("surface recall of kept pairs, %")
    axes[1].set_xlabel("within 2 px of the truth, %")
    axes[2].set_xlabel("CPU s")
    for axis in axes:
        tidy(axis)
    save_figure(figure, "museum")


def main() -> None:
    """Measure every variant on the same works and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="results folder of a finished run of the museum")
    parser.add_argument("--works", type=int, default=10, help="how many works, evenly chosen")
    parser.add_argument("--openmvg-bin", type=Path, help="folder of the openMVG_main_* programs")
    parser.add_argument("--quick", action="store_true", help="two works")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    every = sorted(path.stem for path in (arguments.run / "pairs").glob("*.parquet"))
    works = every[:: max(len(every) // (2 if arguments.quick else arguments.works), 1)]
    with one_thread():
        frame = compare(arguments.run, works, arguments.openmvg_bin)
    formats = dict.fromkeys(SHARES, ".3f") | {"CPU s": ".0f", "pairs": ",.0f", "correspondences": ",.0f"}
    formats |= {"median_error_px": ".2f", "off_object": ".3f"}
    write_report(
        arguments.out,
        [
            "# Against the truth of the museum",
            f"`python benchmarks/{Path(__file__).name} --run RESULTS`; {len(works)} works, all pairs of "
            f"their views. {machine('numpy', 'opencv-python', 'pycolmap')}. CPU seconds on one thread from stored "
            "images to decided pairs. Matching recall is of each variant's own keypoints; surface recall is of the "
            "same surface for all. Columns as in the table `correspondences_truth`.",
            shown(frame, formats),
        ],
    )
    if not arguments.quick:
        draw(frame)


if __name__ == "__main__":
    main()
