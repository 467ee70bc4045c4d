"""Tracks against the exact truth of the museum: how keypoints are merged and contradictions cut, beside each other.

    python benchmarks/tracks.py --run RESULTS [--quick]

`--run` is the results folder of a run of the built-in museum, as far as `verify run`. All its kept pairs are joined
with each variant. Writes benchmarks/tracks.md and docs/figures/tracks.jpg, which shows the longest tracks of a work.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from measuring import FIGURES, machine, new_figure, one_thread, shown, spent, write_report

from liftnet.core.files import atomic_path
from liftnet.data.manifest import StoredImage, stored_images, truths_of
from liftnet.data.pictures import read_image
from liftnet.data.shards import compact_table
from liftnet.data.truth import TrueView, load_truth
from liftnet.geometry.tracks import Joining, MatchedPairs, Tracks, join_matches, shared_observations
from liftnet.geometry.triangulation import triangulate
from liftnet.shard.tracks import kept_rows, matched_pairs
from liftnet.verify.truth import CORRECT_PX, transfer_errors

VARIANTS = {  # geometry: perspective where it is known, affine alone, none
    "default: 1 px, perspective, 1": ("perspective", Joining(1.0, 1.0)),
    "connected components": ("none", Joining(1.0, np.inf)),
    "affine models": ("affine", Joining(1.0, 1.0)),
    "tolerance 2": ("perspective", Joining(1.0, 2.0)),
    "nothing merged": ("perspective", Joining(0.0, 1.0)),
    "merged within 2 px": ("perspective", Joining(2.0, 1.0)),
}
SHOWN_TRACKS, SHOWN_VIEWS = 8, 6
COLOURS = ("#ff1744", "#00e5ff", "#ffea00", "#76ff03", "#d500f9", "#2979ff", "#ff9100", "#ffffff")


@dataclass(frozen=True, eq=False)
class Work:
    """A work of the museum.

    Attributes:
        images: Ids.
        pairs: Its kept pairs, by the geometry that is known of them.
    """

    images: list[str]
    pairs: dict[str, MatchedPairs]


def load_work(path: Path, usable: frozenset[str]) -> Work:
    """Read a work's table of pairs."""
    rows, _ = kept_rows(path, usable)
    images = sorted({*rows.column("image_a").to_pylist(), *rows.column("image_b").to_pylist()})
    compact, place = compact_table(rows), rows.schema.get_field_index("f_perspective")
    affine = rows.set_column(place, "f_perspective", pa.nulls(len(rows), rows.schema.field(place).type))
    pairs = matched_pairs(rows, compact, images)
    unknown = replace(pairs, models=np.full_like(pairs.models, np.nan))
    return Work(images, {"perspective": pairs, "affine": matched_pairs(affine, compact, images), "none": unknown})


def measure(works: Sequence[Work], views: Mapping[str, TrueView], geometry: str, joining: Joining) -> dict[str, float]:
    """What becomes of all works with one variant: a row of the table."""
    counts = dict.fromkeys(("correspondences", "contradictions", "tracks", "observations", "links"), 0)
    near: dict[bool, list[np.ndarray]] = {True: [], False: []}
    residuals = []
    start = spent()
    found = [(work, work.pairs[geometry], join_matches(work.pairs[geometry], joining)) for work in works]
    seconds = spent() - start
    for work, pairs, tracks in found:
        sizes = len(pairs.pair), tracks.contradictions, len(tracks), len(tracks.track), int(tracks.links.sum())
        counts = {name: count + size for (name, count), size in zip(counts.items(), sizes, strict=True)}
        cameras = [views[image].camera for image in work.images]
        residuals.append(triangulate(cameras, tracks.track, tracks.image, tracks.points)[1])
        for verified, right in pairs_within(work, pairs, tracks, views):
            near[verified].append(right)
    every, verified, linked = (np.concatenate(parts) for parts in (residuals, near[True], near[False]))
    return {
        **counts,
        "median residual, px": float(np.median(every)),
        "residual below 2 px": float((every < CORRECT_PX).mean()),
        "verified within 2 px": float(verified.mean()),
        "linked places": len(linked),
        "linked within 2 px": float(linked.mean()),
        "CPU s": seconds,
    }


def pairs_within(
    work: Work, pairs: MatchedPairs, tracks: Tracks, views: Mapping[str, TrueView]
) -> Iterator[tuple[bool, np.ndarray]]:
    """Of each two images of a work: whether they are a kept pair, and which places of their tracks agree."""
    verified = {tuple(row) for row in pairs.images.tolist()}
    first, second = shared_observations(tracks, np.empty((0, 2), np.int64))
    ends = np.column_stack([tracks.image[first], tracks.image[second]])
    for a, b in sorted({tuple(row) for row in ends.tolist()}):
        own = (ends == (a, b)).all(axis=1)
        places = tracks.points[first[own]], tracks.points[second[own]]
        errors, _ = transfer_errors(views[work.images[a]], views[work.images[b]], *places)
        yield (a, b) in verified, errors < CORRECT_PX


def draw(root: Path, images: Mapping[str, StoredImage], works: Sequence[Work]) -> None:
    """The longest tracks of the work with the longest one, in the photographs that show most of them."""
    joined = [(work, join_matches(work.pairs["perspective"], Joining(1.0, 1.0))) for work in works]
    work, tracks = max(joined, key=lambda one: np.bincount(one[1].track, minlength=1).max())
    lengths = np.bincount(tracks.track)
    chosen = np.argsort(-lengths, kind="stable")[:SHOWN_TRACKS]
    seen = np.bincount(tracks.image[np.isin(tracks.track, chosen)], minlength=len(work.images))
    shown_images = np.sort(np.argsort(-seen, kind="stable")[:SHOWN_VIEWS])
    figure, axes = new_figure(SHOWN_VIEWS, 2.6)
    for axis, image in zip(axes, shown_images.tolist(), strict=True):
        axis.imshow(read_image(root / "images" / images[work.images[image]].file))
        for number, track in enumerate(chosen.tolist()):
            own = (tracks.track == track) & (tracks.image == image)
            mark = {"markersize": 7, "markeredgecolor": "black", "markeredgewidth": 1, "color": COLOURS[number]}
            axis.plot(*tracks.points[own].T, "o", **mark)
        axis.set_axis_off()
    figure.suptitle(f"{SHOWN_TRACKS} tracks of one sculpture, up to {lengths.max()} photographs each", fontsize=9)
    with atomic_path(FIGURES / "tracks.jpg") as path:  # photographs need more colours than other figures
        figure.savefig(path, dpi=110, pil_kwargs={"quality": 88})


def main() -> None:
    """Measure every variant on the same works and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="results folder of a run of the museum")
    parser.add_argument("--quick", action="store_true", help="two works, and no figure")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    images = stored_images(arguments.run)
    views = {image: load_truth(path) for image, path in truths_of(images, arguments.run / "museum").items()}
    files = sorted((arguments.run / "pairs").glob("*.parquet"))[: 2 if arguments.quick else None]
    works = [load_work(path, frozenset(views)) for path in files]
    with one_thread():
        join_matches(works[0].pairs["perspective"], Joining())  # compiles
        rows = [{"variant": name} | measure(works, views, *variant) for name, variant in VARIANTS.items()]
    formats = {"median residual, px": ".3f", "CPU s": ".2f"}
    formats |= dict.fromkeys(("residual below 2 px", "verified within 2 px", "linked within 2 px"), ".4f")
    write_report(
        arguments.out,
        [
            "# Tracks against the truth of the museum",
            f"`python benchmarks/{Path(__file__).name} --run RESULTS`; {len(works)} works, {len(images)} views, all "
            f"kept pairs. {machine('numpy', 'scipy', 'numba')}. Residuals are those of tracks triangulated by true "
            "cameras. Within 2 px: of any two places of a track, in two images of a kept pair (verified) or of none "
            "(linked), those of which the second is where the first truly lies. CPU seconds of joining, one thread.",
            shown(pd.DataFrame(rows), formats),
        ],
    )
    if not arguments.quick:
        draw(arguments.run, images, works)


if __name__ == "__main__":
    main()
