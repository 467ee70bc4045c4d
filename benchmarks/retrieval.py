"""Which pairs does image retrieval choose, and how many of the verified pairs does it miss?

    python benchmarks/retrieval.py --root RESULTS

RESULTS is a finished run on the photographs in which all pairs of every work were matched and verified
(`match.pairs.exhaustive_images` above the largest work), with its cache of features. Its kept pairs are the truth.
Each work is asked alone, and once all works together as if they were one, where pairs of two works are wrong. Writes
benchmarks/retrieval.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

from liftnet.core.files import write_text
from liftnet.data.schemas import MANIFEST, PAIRS, read_table
from liftnet.match import retrieval
from liftnet.match.feature_cache import recipe, work_features
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import WorkFeatures, work_images

NEIGHBOURS = (5, 10, 15, 20, 50)
Kept = dict[tuple[str, str], int]


def load_works(root: Path) -> tuple[dict[str, WorkFeatures], dict[str, Kept]]:
    """The features of each work, and the correspondences of its kept pairs."""
    settings = MatchSettings()
    works, kept = {}, {}
    names = read_table(root / "manifest.parquet", MANIFEST).column("work_id").unique().to_pylist()
    for work in sorted(names):
        images = work_images(root, work, masked=False)
        works[work] = work_features(images, root / "features" / recipe(settings), settings)
        table = read_table(root / "pairs" / f"{work}.parquet", PAIRS).select(["image_a", "image_b", "kept", "n_f"])
        kept[work] = {(row["image_a"], row["image_b"]): row["n_f"] for row in table.to_pylist() if row["kept"]}
    return works, kept


def together(works: Iterable[WorkFeatures]) -> WorkFeatures:
    """All works as one."""
    works = list(works)
    one = WorkFeatures([image for work in works for image in work.images.values()])
    for work in works:
        one.files |= work.files
        one.sizes |= work.sizes
        one.counts |= work.counts
        one.problems |= work.problems
    return one


def row(name: str, work: WorkFeatures, kept: Kept, neighbours: int) -> str:
    """One line of the table."""
    cells = []
    shortlist = retrieval.SHORTLIST
    for factor in (1, shortlist):  # a shortlist of the wanted length is chosen by looks alone
        retrieval.SHORTLIST = factor
        start = time.process_time()
        pairs = set(retrieval.similar_pairs(work, neighbours))
        spent = time.process_time() - start
        found = [n for pair, n in kept.items() if pair in pairs]
        cells += [f"{len(found) / len(kept):.3f}", f"{sum(found) / sum(kept.values()):.3f}"]
    retrieval.SHORTLIST = shortlist
    n = len(work.images)
    share = len(pairs) / (n * (n - 1) / 2)
    return f"| {name} | {n} | {len(kept)} | {neighbours} | {share:.2f} | {' | '.join(cells)} | {spent:.1f} |"


def main() -> None:
    """Measure every work and all together, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    works, kept = load_works(arguments.root)
    everything = together(works.values()), {pair: n for found in kept.values() for pair, n in found.items()}
    lines = [
        "# Choosing pairs by retrieval",
        "",
        "`python benchmarks/retrieval.py --root RESULTS`, RESULTS a run on the photographs with every pair of a work "
        "matched. Truth: the pairs it kept. Recall of these pairs and of their correspondences, by looks alone (VLAD) "
        "and with the shortlist ranked by its coarsest features, which is what `match` does; CPU seconds of the "
        "latter.",
        "",
        "| work | images | kept pairs | neighbours | share of all pairs tried | VLAD: pairs | correspondences | "
        "ranked: pairs | correspondences | CPU s |",
        "| --- |" + " ---: |" * 9,
    ]
    for name, work, found in [*((w, works[w], kept[w]) for w in works), ("all together", *everything)]:
        for neighbours in NEIGHBOURS:
            if neighbours < len(work.images) / 2:
                lines.append(row(name, work, found, neighbours))
                print(lines[-1], flush=True)
    write_text(arguments.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
