"""One work of thousands of images: what `match` and `verify` cost when pairs are chosen by retrieval.

Claim: a work of 5,000 images finishes, in time that grows with the number of images and not with its square, and
memory does not grow with the pairs. The images are simulated (see scale_collection.py), their features already in the
cache; the commands run as their rules call them, on one thread, with the default settings.

    python benchmarks/large_work.py FOLDER [--images 500 1000 5000]
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pandas as pd
from measuring import machine, shown, write_report
from scale import ROOT, cost_of_call, features_of_all, job
from scale_collection import SIZE, Work, write_lists, write_pictures

from liftnet.core.ids import stable_id
from liftnet.data.schemas import PAIRS, open_table


def measure(folder: Path, images: int) -> dict[str, float]:
    """Make a work of so many images in `folder`, which must be empty, and match and verify it."""
    ids = tuple(f"{number:016x}" for number in range(images))
    work = Work(stable_id("a sculptor"), stable_id("a sculptor", "a large work"), "train", ids)
    write_lists(folder, [work])
    write_pictures(folder, [work])
    cost_of_call(features_of_all, folder, [work])
    match, verify = job(folder, "match", work), job(folder, "verify", work)
    pairs = folder / "pairs" / f"{work.work_id}.parquet"
    with open_table(pairs, PAIRS) as file:
        kept = file.read(columns=["kept"]).column("kept").to_numpy()
    row = {"images": images, "all pairs": work.pairs, "pairs tried": len(kept), "kept": kept.sum()}
    row |= {"match, CPU s": match.cpu, "match, MB": match.memory, "verify, CPU s": verify.cpu}
    row |= {"verify, MB": verify.memory, "pairs, MB on disk": pairs.stat().st_size / 1e6}
    return row


def main() -> None:
    """Measure every size and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the works are made; each is removed once measured")
    parser.add_argument("--images", type=int, nargs="+", default=[500, 1000, 5000])
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks" / "large_work.md", help="page to write")
    arguments = parser.parse_args()
    rows = []
    for images in arguments.images:
        folder = arguments.folder.absolute() / f"work-of-{images}"
        rows.append(measure(folder, images))
        print({name: round(float(value), 1) for name, value in rows[-1].items()}, flush=True)
        shutil.rmtree(folder)
    table = pd.DataFrame(rows)
    page = [
        "# A large work",
        "Written by `python benchmarks/large_work.py FOLDER`: one simulated work (benchmarks/scale_collection.py) of "
        f"about 172 keypoints an image of {SIZE[0]}x{SIZE[1]} px, features already in the cache, default settings: "
        "above 300 images each is matched with its 50 most promising partners. CPU seconds on one thread.",
        machine("faiss-cpu", "pyarrow", "numpy"),
        shown(table, dict.fromkeys(table.columns, ",.0f")),
    ]
    write_report(arguments.report, page)


if __name__ == "__main__":
    main()
