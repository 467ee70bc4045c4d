"""Learned features and matchers beside ours and COLMAP's: equal numbers of keypoints, the same verification.

    python benchmarks/learned.py --museum-run RESULTS --head-run RESULTS --cameras FOLDER

The arguments are those of second_search.py, whose measures these are: what is kept after the verification, its share
near the true positions (museum) or the true epipolar lines (calibrated head), the surface that has a match, and CPU
seconds of one thread for the features, the comparison, the fits and the second search. All get the pictures as they
are stored; the features of networks are searched once, since the second search needs scales and orientations.
LightGlue is left out above `--lightglue-keypoints`: its time grows with their square. Writes benchmarks/learned.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from measuring import machine, one_thread, write_report
from second_search import ONCE, by_lines, by_position, compare, formatted, works_of

from liftnet.data.manifest import stored_images
from liftnet.models.local_features import load_aliked, load_disk, load_lightglue, load_xfeat

Variant = tuple[dict, dict]
OURS = {"features.opencv.octave_layers": 5}
COLMAP = {"extractor": "colmap", "matcher": "colmap"}
NEAREST = {"ratio": 1.0}  # mutual nearest neighbours, as XFeat's authors match it
LIGHTGLUE = {"matcher": "lightglue"}


def variants_of(keypoints: int, lightglue: bool) -> dict[str, Variant]:
    """What is compared, each with at most so many keypoints an image: settings of `match` and of `verify` by name."""

    def of(extractor: str, more: dict, verify: dict | None = None) -> Variant:
        number = {f"features.{extractor}.max_keypoints": keypoints}
        return {"extractor": extractor, **number, **more}, verify or {}

    found = {
        "SIFT, exact, one search": of("opencv", OURS, ONCE),
        "SIFT, exact, two searches (ours)": of("opencv", OURS),
        "COLMAP, one search": of("colmap", COLMAP, ONCE),
        "COLMAP, two searches": of("colmap", COLMAP),
        "XFeat, mutual nearest neighbour": of("xfeat", NEAREST),
        "ALIKED, exact, ratio .9": of("aliked", {"ratio": 0.9}),
    }
    if lightglue:
        found |= {
            "XFeat, LighterGlue": of("xfeat", LIGHTGLUE),
            "ALIKED, LightGlue": of("aliked", LIGHTGLUE),
            "DISK, LightGlue": of("disk", LIGHTGLUE),
        }
    return found | {"SIFT, exact, two searches, 8,000 keypoints (ours)": (OURS, {})}


def load_networks(numbers: Sequence[int]) -> None:
    """Load all networks, so that their loading is not measured."""
    for number in numbers:
        load_aliked("n16", number)
    load_disk()
    load_xfeat()
    for kind in ("aliked", "disk", "xfeat"):
        load_lightglue(kind, 0.1)


def main() -> None:
    """Measure what is given; the report is written anew after each table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--museum-run", type=Path, help="results folder of a run of the museum, with masks")
    parser.add_argument("--museum-keypoints", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--split", default="test", help="works of the museum: val, test, train or all")
    parser.add_argument("--works", type=int, default=2, help="how many of them, the first by name")
    parser.add_argument("--head-run", type=Path, help="results folder of the calibrated photographs, with masks")
    parser.add_argument("--cameras", type=Path, help="folder with their projection matrices")
    parser.add_argument("--head-keypoints", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--lightglue-keypoints", type=int, default=1024, help="most keypoints LightGlue is given")
    parser.add_argument("--masks-are", default="predicted masks", help="where the masks come from, for the report")
    parser.add_argument("--quick", action="store_true", help="few keypoints, one work, no LightGlue")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    tables: dict[str, pd.DataFrame] = {}
    with one_thread():
        load_networks([256] if arguments.quick else [*arguments.museum_keypoints, *arguments.head_keypoints])
        if arguments.museum_run:
            run, count = arguments.museum_run, 1 if arguments.quick else arguments.works
            works = works_of(stored_images(run), None if arguments.split == "all" else arguments.split)[:count]
            title = f"Museum, {len(works)} works of the split {arguments.split}, exact positions"
            for number in [256] if arguments.quick else arguments.museum_keypoints:
                variants = variants_of(number, number <= arguments.lightglue_keypoints and not arguments.quick)
                tables[f"{title}, {number:,} keypoints"] = compare(run, works, by_position(run), variants)
                report(arguments, tables)
        if arguments.head_run and arguments.cameras:
            run = arguments.head_run
            works, grade = works_of(stored_images(run), None), by_lines(run, arguments.cameras)
            title = "Calibrated head, distance from the true epipolar lines"
            for number in [256] if arguments.quick else arguments.head_keypoints:
                variants = variants_of(number, number <= arguments.lightglue_keypoints and not arguments.quick)
                tables[f"{title}, {number:,} keypoints"] = compare(run, works, grade, variants)
                report(arguments, tables)
    if not tables:
        parser.error("give --museum-run, or --head-run and --cameras")


def report(arguments: argparse.Namespace, tables: dict[str, pd.DataFrame]) -> None:
    """Write the tables."""
    paragraphs = [
        "# Learned features and matchers",
        f"`python benchmarks/{Path(__file__).name}`; all pairs of images of a work, {arguments.masks_are}. "
        f"{machine('kornia', 'torch', 'pycolmap', 'opencv-python', 'numpy')}. CPU seconds of one thread. Every method "
        "has at most the keypoints that the title says in an image, and the same verification; features of networks "
        "have no second search. Features that a variant shares are found once.",
    ]
    for title, frame in tables.items():
        paragraphs += [f"{title}:", formatted(frame)]
    write_report(arguments.out, paragraphs)


if __name__ == "__main__":
    main()
