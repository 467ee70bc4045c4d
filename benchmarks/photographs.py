"""The whole stage on real photographs: features, matching and verification beside COLMAP's and OpenMVG's.

    python benchmarks/photographs.py [--quick] [--photos DIR] [--masks DIR] [--cache DIR] [--openmvg-bin DIR]

Every work is taken from stored images to verified correspondences. Right is what lies within 2 px of the epipolar
lines of a reference, in both images: the calibrated cameras of the plaster head, and for each work the cameras of
COLMAP's incremental reconstruction, made once and kept below `--cache` (benchmarks/reference_cameras.py). With
`--masks` (a run's folder of masks by image id) all methods are compared on the foreground. CPU seconds on one thread;
the peers' are those of the run that filled the cache. Writes benchmarks/photographs.md and
docs/figures/photographs.png.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import (
    PHOTOS,
    fundamental_of,
    line_distances,
    machine,
    new_figure,
    one_thread,
    save_figure,
    shown,
    spent,
    write_report,
)
from openmvg_programs import Scene
from reference_cameras import load, read_correspondences, reconstruct

from liftnet.core.files import atomic_path
from liftnet.core.settings import changed
from liftnet.data.manifest import StoredImage, stored_images
from liftnet.data.schemas import MANIFEST, PAIRS, read_table
from liftnet.match.feature_cache import recipe, work_features
from liftnet.match.match import match_work
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import work_images
from liftnet.verify.inputs import MaskFolder
from liftnet.verify.settings import VerifySettings
from liftnet.verify.verify import verify_matches

WITHIN_PX, RIGHT_PX, USEFUL = (1, 2, 4), 2.0, 20
TURNED = ("ethiopian",)  # turned before a still background: reconstructed on the masks
COLMAP, OPENMVG = "pycolmap", "OpenMVG HIGH, HNSWL2, filter f"
VARIANTS: dict[str, tuple[dict, dict]] = {  # settings of `match` and of `verify`
    "liftnet": ({}, {}),
    "liftnet, masks first": ({"mask_first": True}, {}),
    "liftnet, perspective F": ({}, {"model": "perspective"}),
    "liftnet, masks first, perspective F": ({"mask_first": True}, {"model": "perspective"}),
}
PACKAGES = ("numpy", "opencv-python", "pycolmap")
Found = dict[tuple[str, str], np.ndarray]  # (K, 4) px in image a and b, by pair of image ids
Distances = Callable[[str, str, np.ndarray, np.ndarray], np.ndarray | None]


@dataclass(frozen=True)
class Result:
    """What a method found in a work and what it cost.

    Attributes:
        found: Its verified correspondences.
        cpu: CPU seconds by step.
        images: Images of the work.
    """

    found: Found
    cpu: dict[str, float]
    images: int


def collected(photos: Path, cache: Path) -> Path:
    """A run with the photographs as `collect` stores them, made once."""
    run = cache / "run"
    if not (run / "manifest.parquet").is_file():
        words = ["collect", "run", "--csv", str(photos / "sources.csv"), "--out", str(run)]
        command = [sys.executable, "-m", "liftnet", *words]
        subprocess.run(command, check=True)
    return run


def ours(run: Path, masks: Path | None, work: str, folder: Path) -> dict[str, Result]:
    """Our stages with their default settings, and with the settings of VARIANTS."""
    for name, source in (("manifest.parquet", run), ("images", run), ("masks", masks)):
        if source is not None:
            (folder / name).symlink_to((source if name == "masks" else source / name).resolve())
    settings, start = MatchSettings(), spent()
    images = work_images(folder, work, masked=False)
    work_features(images, folder / "features" / recipe(settings), settings)
    features = spent() - start
    results: dict[str, Result] = {}
    matching: dict[str, tuple[Path, float]] = {}  # the table of matches and its CPU seconds, by settings
    for name, (match, verify) in VARIANTS.items():
        if masks is None and match.get("mask_first"):
            continue
        key = json.dumps(match)
        if key not in matching:
            path, start = folder / f"matches-{len(matching)}.parquet", spent()
            match_work(folder, work, path, changed(MatchSettings(), **match))
            matching[key] = path, spent() - start
        path, seconds = matching[key]
        cpu, start = {"features": features, "matching": seconds}, spent()
        own = changed(VerifySettings(), foreground=masks is not None, **verify)
        verify_matches(folder, path, folder / "pairs.parquet", own)
        cpu["geometry"] = spent() - start
        results[name] = Result(kept_pairs(folder / "pairs.parquet"), cpu, len(images))
    return results


def kept_pairs(path: Path) -> Found:
    """The correspondences of the kept pairs in a table of pairs."""
    names = ["image_a", "image_b", "kept", "x1", "y1", "x2", "y2"]
    rows = read_table(path, PAIRS).select(names).to_pylist()
    return {
        (row["image_a"], row["image_b"]): np.column_stack([row[name] for name in names[3:]])
        for row in rows
        if row["kept"]
    }


def colmap(cache: Path, work: str) -> Result:
    """COLMAP's features, matching and two-view geometry, as the reference was made from them."""
    summary = load(cache, work).summary
    cpu = {"features": summary["cpu_s"]["features"], "matching": summary["cpu_s"]["matching and two-view geometry"]}
    return Result(read_correspondences(cache, work), cpu, summary["images"])


def openmvg(run: Path, programs: Path, cache: Path, work: str) -> Result:
    """OpenMVG's whole line on the images of a work, kept below `cache`."""
    path = cache / f"{work}.npz"
    images = {image.image_id: image.path for image in work_images(run, work, masked=False)}
    if not path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            scene, start = Scene(Path(folder) / "scene", programs, images), spent()
            scene.find_features("HIGH")
            cpu = {"features": spent() - start}
            start = spent()
            scene.match("HNSWL2", list(combinations(sorted(images), 2)), 0.8)
            cpu["matching"], start = spent() - start, spent()
            matches = scene.filter()
            cpu["geometry"] = spent() - start
            points = {image_id: scene.keypoints(image_id) for image_id in images}
        arrays = {
            f"{a} {b}": np.hstack([points[a][found[:, 0]], points[b][found[:, 1]]])
            for (a, b), found in matches.items()
        }
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, cpu=json.dumps(cpu), **arrays)
    with np.load(path) as data:
        found = {tuple(name.split()): data[name] for name in data.files if name != "cpu"}
        return Result(found, json.loads(str(data["cpu"])), len(images))


def on_foreground(found: Found, images: dict[str, StoredImage], masks: MaskFolder | None) -> Found:
    """The correspondences on the masks of both images, each place to place once."""
    kept = {}
    for (a, b), points in found.items():
        good = np.ones(len(points), bool)
        if masks is not None:
            on_a, on_b = (masks.on_foreground(images[i], p) for i, p in ((a, points[:, :2]), (b, points[:, 2:])))
            good = np.zeros(len(points), bool) if on_a is None or on_b is None else on_a & on_b
        kept[a, b] = np.unique(points[good].astype(np.float64), axis=0)
    return {pair: points for pair, points in kept.items() if len(points)}


def calibrated(photos: Path, images: Iterable[StoredImage]) -> Distances:
    """Distances from the epipolar lines of cameras that stand beside the photographs."""
    cameras = {}
    for image in images:
        path = photos / Path(image.image_url).parent.with_name("cameras") / f"{Path(image.image_url).stem}.txt"
        if path.is_file():
            cameras[image.image_id] = np.loadtxt(path)

    def distances(a: str, b: str, points_a: np.ndarray, points_b: np.ndarray) -> np.ndarray | None:
        if a not in cameras or b not in cameras:
            return None
        return line_distances(fundamental_of(cameras[a], cameras[b]), points_a, points_b)

    return distances


def quality(found: Found, distances: Distances) -> dict[str, float]:
    """Correspondences in pairs with a reference, the share within some pixels of it, and how many are right."""
    measured = [distances(a, b, points[:, :2], points[:, 2:]) for (a, b), points in found.items()]
    measured = [values for values in measured if values is not None]
    every = np.concatenate([np.empty(0), *measured])
    row = {"pairs": len(found), "correspondences": sum(map(len, found.values())), "with reference": len(every)}
    row |= {f"within {limit} px": float((every <= limit).mean()) if len(every) else np.nan for limit in WITHIN_PX}
    right = [int((values <= RIGHT_PX).sum()) for values in measured]
    return row | {"right": sum(right), f"pairs with {USEFUL} right": sum(count >= USEFUL for count in right)}


def measure_work(arguments: argparse.Namespace, run: Path, work: str) -> list[dict]:
    """A row for every method and reference."""
    cache = arguments.cache / "reference"
    turned = any(word in work for word in TURNED)
    reconstruct(run, work, cache, turned)
    images = {name: image for name, image in stored_images(run).items() if image.work_id == work}
    masks = MaskFolder(arguments.masks) if arguments.masks else None
    with tempfile.TemporaryDirectory() as folder:
        results = ours(run, arguments.masks, work, Path(folder))
    results[COLMAP] = colmap(cache, work)
    if arguments.openmvg_bin:
        results[OPENMVG] = openmvg(run, arguments.openmvg_bin, arguments.cache / "openmvg", work)
    truth = calibrated(arguments.photos, images.values())
    references: dict[str, Distances] = {"COLMAP": load(cache, work).distances}
    if truth(*(2 * [next(iter(images))]), np.zeros((0, 2)), np.zeros((0, 2))) is not None:
        references = {"calibrated": truth}
    rows = []
    for name, result in results.items():
        found = on_foreground(result.found, images, masks)
        for reference, distances in references.items():
            row = {"work": work, "images": result.images, "reference": reference, "method": name}
            rows.append(row | quality(found, distances) | {f"{step} s": cpu for step, cpu in result.cpu.items()})
            rows[-1]["CPU s"] = sum(result.cpu.values())
    return rows


def totals(frame: pd.DataFrame) -> pd.DataFrame:
    """All works together, by method: speed, correspondences and precision against the references."""
    rows = []
    for name, group in frame.groupby("method", sort=False):
        pairs = (group["images"] * (group["images"] - 1) / 2).sum()
        after = group["CPU s"].sum() - group["features s"].sum()
        row = {"method": name, "CPU s": group["CPU s"].sum(), "images a CPU s": group["images"].sum()}
        row["images a CPU s"] /= group["features s"].sum()
        row |= {"pairs a CPU s": pairs / after, "kept pairs": group["pairs"].sum()}
        row |= {"correspondences": group["correspondences"].sum(), "right": group["right"].sum()}
        weight = group["with reference"]
        row |= {f"within {k} px": (group[f"within {k} px"] * weight).sum() / weight.sum() for k in WITHIN_PX}
        rows.append(row | {f"pairs with {USEFUL} right": group[f"pairs with {USEFUL} right"].sum()})
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame) -> None:
    """Right correspondences and precision of each work and method, and the CPU time of all."""
    figure, (left, middle, right) = new_figure(3, 3.9, width_ratios=[1.5, 1, 1])
    methods, works = list(frame["method"].unique()), list(frame["work"].unique())
    own = iter(("#c2410c", "#f59e0b", "#fcd34d", "#84cc16"))
    colours = {name: next(own) if name in VARIANTS else "#334155" if name == COLMAP else "#94a3b8" for name in methods}
    for k, name in enumerate(methods):
        rows = frame[frame["method"] == name].set_index("work").loc[works]
        place = np.arange(len(works)) + (k - (len(methods) - 1) / 2) * 0.8 / len(methods)
        left.barh(place, rows["right"], 0.8 / len(methods), color=colours[name], label=name)
        middle.plot(rows["within 2 px"] * 100, place, "o", ms=5, color=colours[name])
        bottom = 0.0
        for step, shade in (("features s", 1.0), ("matching s", 0.7), ("geometry s", 0.4)):
            value = rows[step].sum() if step in rows else 0.0
            right.barh(k, value, 0.7, left=bottom, color=colours[name], alpha=shade)
            bottom += value
        right.text(bottom * 1.02, k, f"{bottom:,.0f} s", va="center", fontsize=8)
    left.set_yticks(range(len(works)), [work.rsplit("-", 1)[0].replace("-", " ") for work in works])
    left.locator_params(axis="x", nbins=4)
    left.set_xlabel("correspondences within 2 px of the reference")
    middle.set_yticks([])
    middle.set_xlabel("% within 2 px")
    right.set_yticks(range(len(methods)), ["" for _ in methods])
    right.set_xlabel("CPU s: features, matching, F")
    right.margins(x=0.2)
    for axis in (left, middle, right):
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", color="#e2e8f0", linewidth=0.7)
        axis.set_axisbelow(True)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, "photographs")


def report(arguments: argparse.Namespace, frame: pd.DataFrame, summaries: pd.DataFrame) -> None:
    """Write the tables and, for a full run, the figure."""
    absent = "" if arguments.openmvg_bin else " OpenMVG's programs were not given and are left out."
    masked = "on the foreground masks" if arguments.masks else "on the whole images"
    numbers = dict.fromkeys(
        ("pairs", "correspondences", "with reference", "right", f"pairs with {USEFUL} right"), ",.0f"
    )
    shares = {f"within {limit} px": ".3f" for limit in WITHIN_PX}
    seconds = {name: ",.1f" for name in frame.columns if name.endswith(" s")}
    speeds = {"images a CPU s": ".2f", "pairs a CPU s": ",.1f", "kept pairs": ",.0f", "CPU s": ",.0f"}
    total = totals(frame)
    write_report(
        arguments.out,
        [
            "# The whole stage on photographs",
            f"`python benchmarks/{Path(__file__).name}`; all pairs of every work, compared {masked}. "
            f"{machine(*PACKAGES)}.{absent} CPU seconds on one thread. Right: within {RIGHT_PX:.0f} px of the "
            "epipolar lines of the reference, in both images; matches of one place to one place count once.",
            "All works together:",
            shown(total, {k: v for k, v in (speeds | numbers | shares).items() if k in total}),
            "By work:",
            shown(frame, numbers | shares | seconds),
            "The reference reconstructions. COLMAP's correspondences are what they were fitted to, so its own "
            "agreement is flattered:",
            shown(summaries, {"points": ",.0f", "reprojection error px": ".2f", "CPU s": ".0f"}),
        ],
    )
    if not arguments.quick:
        draw(frame)


def summaries(cache: Path, works: Iterable[str]) -> pd.DataFrame:
    """How the reference of each work came out."""
    rows = []
    for work in works:
        summary = load(cache, work).summary
        row = {"work": work, "images": f"{summary['images']} of {summary['images_of_the_work']}"}
        row |= {"registered, by model": ", ".join(map(str, summary["registered"])) or "none"}
        row |= {
            "points": sum(summary["points"]),
            "reprojection error px": max(summary["reprojection_error_px"] or [0]),
        }
        rows.append(row | {"CPU s": sum(summary["cpu_s"].values()), "on masks": "yes" if summary["masked"] else "no"})
    return pd.DataFrame(rows)


def main() -> None:
    """Measure every work, the smallest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder with sources.csv")
    parser.add_argument(
        "--masks", type=Path, help="folder of foreground masks by image id, as `segment predict` writes"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache/liftnet-benchmarks", help="kept between runs"
    )
    parser.add_argument("--openmvg-bin", type=Path, help="folder of the openMVG_main_* programs")
    parser.add_argument("--work", nargs="*", default=[], help="only the works whose id holds one of these words")
    parser.add_argument("--quick", action="store_true", help="the two smallest works")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    run = collected(arguments.photos, arguments.cache)
    manifest = read_table(run / "manifest.parquet", MANIFEST).select(["work_id", "status"]).to_pandas()
    works = manifest[manifest["status"] == "ok"]["work_id"].value_counts(ascending=True).index.tolist()
    works = [work for work in works if not arguments.work or any(word in work for word in arguments.work)]
    works = works[:2] if arguments.quick else works
    rows: list[dict] = []
    with one_thread():
        for work in works:
            rows += measure_work(arguments, run, work)
            print(f"{work} done", flush=True)
    report(arguments, pd.DataFrame(rows), summaries(arguments.cache / "reference", works))


if __name__ == "__main__":
    main()
