"""OpenMVG's settings through `match` and `verify`, beside the built-in features and matcher on the same photographs.

    python benchmarks/openmvg_settings.py --run RESULTS --openmvg-bin DIR [--build TEXT] [--photos DIR] [--works ID]

RESULTS is a run on photographs, with images/, masks/ and manifest.parquet. Right is what lies within 4 px of the
epipolar lines, in both images, for the works with calibrated cameras. CPU seconds on one thread, of one run; whether
OpenMVG was compiled with AVX2 decides its matching time. Writes benchmarks/openmvg_settings.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import PHOTOS, fundamental_of, line_distances, machine, one_thread, shown, spent, write_report

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.schemas import MANIFEST, MATCHES, PAIRS, read_table
from liftnet.match.match import match_work
from liftnet.match.settings import MatchSettings
from liftnet.verify.settings import VerifySettings
from liftnet.verify.verify import verify_matches

RIGHT_PX = 4.0
MVG = {"extractor": "openmvg", "matcher": "openmvg"}
PAPER = MVG | {"preset": "NORMAL", "method": "AUTO", "filter": "f"}
ULTRA = MVG | {"preset": "ULTRA"}
VARIANTS: dict[str, dict[str, str]] = {
    "opencv, exact (defaults)": {},
    "opencv, HNSWL2": {"matcher": "openmvg"},
    "HIGH, HNSWL2": MVG,
    "HIGH, exact": MVG | {"matcher": "exact"},
    "HIGH, HNSWL2, filter f": MVG | {"filter": "f"},
    "HIGH, BRUTEFORCEL2": MVG | {"method": "BRUTEFORCEL2"},
    "HIGH, AUTO": MVG | {"method": "AUTO"},
    "NORMAL, AUTO, filter f (paper.yaml)": PAPER,
    "ULTRA, HNSWL2": ULTRA,
    "ULTRA, exact": ULTRA | {"matcher": "exact"},
    "ULTRA, BRUTEFORCEL2": ULTRA | {"method": "BRUTEFORCEL2"},
    "ULTRA, HNSWL2, filter f": ULTRA | {"filter": "f"},
}
FORMATS = {
    "features CPU s": ".1f",
    "matching CPU s": ".1f",
    "putative": ",d",
    "putative right": ".3f",
    "kept pairs": ",d",
    "kept": ",d",
    "kept right": ".3f",
}
Right = Callable[[str, str, np.ndarray], np.ndarray]


def main() -> None:
    """Measure every variant on every work and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--openmvg-bin", type=Path, required=True)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--build", default="as found", help="how OpenMVG was compiled, for the table")
    parser.add_argument("--works", nargs="*", help="work ids; default: those with calibrated cameras")
    arguments = parser.parse_args()
    cameras = read_cameras(arguments.run, arguments.photos)
    works = arguments.works or sorted({work for work, _ in cameras.values()})
    rows = []
    with one_thread():
        for work in works:
            for name, changes in VARIANTS.items():
                settings = changed(MatchSettings(), **changes, bin=str(arguments.openmvg_bin))
                row = measure(arguments.run, work, settings, cameras)
                rows.append({"work": work, "features, matcher": name} | row)
                print(rows[-1], flush=True)
    note = f"CPU seconds on one thread, one run; right: within {RIGHT_PX:g} px. {machine('numpy', 'opencv-python')}; "
    note += f"OpenMVG {arguments.build}."
    report = ["# OpenMVG's settings", note, shown(pd.DataFrame(rows), FORMATS)]
    write_report(Path(__file__).with_suffix(".md"), report)


def read_cameras(run: Path, photos: Path) -> dict[str, tuple[str, np.ndarray]]:
    """Work and 3x4 camera of every image that has one, by image id."""
    rows = read_table(run / "manifest.parquet", MANIFEST).select(["image_id", "work_id", "image_url"]).to_pylist()
    found = {}
    for row in rows:
        path = photos / Path(row["image_url"] or "")
        path = path.parent.with_name("cameras") / f"{path.stem}.txt"
        if path.is_file():
            found[row["image_id"]] = row["work_id"], np.loadtxt(path)
    return found


def measure(run: Path, work: str, settings: MatchSettings, cameras: dict) -> dict[str, float | int | None]:
    """Counts, shares and CPU seconds of one variant on one work."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in ("images", "masks", "manifest.parquet"):
            (folder / source).symlink_to((run / source).resolve())
        match_work(folder, work, folder / "warm.parquet", settings.model_copy(update={"ratio": 0.5}))
        features, matching = timed(folder, work, settings)
        verify_matches(folder, folder / "matches.parquet", folder / "pairs.parquet", VerifySettings())
        putative = read_table(folder / "matches.parquet", MATCHES).to_pylist()
        kept = [row for row in read_table(folder / "pairs.parquet", PAIRS).to_pylist() if row["kept"]]
    return {
        "features CPU s": features,
        "matching CPU s": matching,
        "putative": sum(len(row["x1"]) for row in putative),
        "putative right": right_share(putative, cameras),
        "kept pairs": len(kept),
        "kept": sum(len(row["x1"]) for row in kept),
        "kept right": right_share(kept, cameras),
    }


def timed(folder: Path, work: str, settings: MatchSettings) -> tuple[float, float]:
    """CPU seconds of the features and of the matching: a run without a cache, less a run with it."""
    for path in folder.glob("features/*/*"):
        path.unlink()
    start = spent()
    match_work(folder, work, folder / "matches.parquet", settings)
    between = spent()
    match_work(folder, work, folder / "matches.parquet", settings)
    matching = spent() - between
    return between - start - matching, matching


def right_share(rows: list[dict], cameras: dict) -> float | None:
    """The share of correspondences near the true epipolar lines; None without cameras or correspondences."""
    distances = []
    for row in rows:
        if row["image_a"] in cameras and row["image_b"] in cameras and len(row["x1"]):
            fundamental = fundamental_of(cameras[row["image_a"]][1], cameras[row["image_b"]][1])
            points = [np.column_stack([row[f"x{k}"], row[f"y{k}"]]) for k in (1, 2)]
            distances.append(line_distances(fundamental, *points))
    return float((np.concatenate(distances) < RIGHT_PX).mean()) if distances else None


if __name__ == "__main__":
    try:
        main()
    except LiftnetError as error:
        raise SystemExit(str(error)) from error
