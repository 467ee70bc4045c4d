"""A simulated collection for benchmarks/scale.py: works, images and features, without a single photograph.

A work is a cloud of points. Each of its images sees some of them through an affine camera, with half a pixel of noise,
among keypoints that belong to nothing; the descriptor of a point is a little different in every image. So `match` and
`verify` do their real work and keep most pairs, while extraction, whose cost per image depends on nothing else, is
left out: the features are written where `match` keeps them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image

from liftnet.collect.manifest import ROWS_PER_GROUP
from liftnet.core.ids import stable_id
from liftnet.data.features import Features, write_features
from liftnet.data.schemas import MANIFEST, MASKS, table_writer, write_table
from liftnet.match.feature_cache import recipe
from liftnet.match.settings import MatchSettings

WORKS, PAIRS = 1187, 182_000  # of the paper's collection
SPREAD = 1.0  # of the logarithm of the number of images of a work: from 2 to about 200 of them
MEDIAN_IMAGES = 6.68  # of a work; with it and SPREAD, 1,187 works have about 182,000 pairs
WORKS_PER_ARTIST = 8  # 1,187 works of 143 artists are 8.3
SIZE = (640, 480)  # of every image, px
POINTS = 160  # of a work
SEEN = 0.7  # share of them in an image
CLUTTER = 60  # keypoints of an image that belong to nothing
OTHER_OUTPUTS = (
    "across/matches.parquet",
    "across/pairs.parquet",
    "models/segmenter/model.safetensors",
    "models/liftnet/model.safetensors",
    "models/liftnet/README.md",
    "models/liftnet/training.png",
    "predictions/index.json",
    "tables/segmentation.csv",
    "tables/pairs_by_reason.csv",
    "tables/depth_pairs.csv",
    "tables/funnel.csv",
    "tables/leakage.csv",
    "report.html",
)
SPLITS = ("train", "train", "train", "val", "test")


@dataclass(frozen=True)
class Work:
    """A simulated work."""

    artist_id: str
    work_id: str
    split: str
    images: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """Image pairs of the work."""
        return len(self.images) * (len(self.images) - 1) // 2


def collection(share: float) -> list[Work]:
    """`share` of the works, of the same distribution of images per work whatever the share."""
    count = max(round(WORKS * share), 2)
    quantiles = (np.arange(count) + 0.5) / count
    spread = np.array([NormalDist().inv_cdf(q) for q in quantiles])
    sizes = np.maximum(np.rint(MEDIAN_IMAGES * np.exp(SPREAD * spread)), 2).astype(int)
    order = np.random.default_rng(0).permutation(count)  # large works lie anywhere in the list
    return [simulated_work(number, int(sizes[rank])) for number, rank in enumerate(order)]


def simulated_work(number: int, images: int) -> Work:
    """A work of so many images; its number decides its name, its artist and the ids of its images."""
    artist = number // WORKS_PER_ARTIST
    name = f"Sculptor {artist}", f"Work {number}"
    ids = sorted(sha256(f"{number}/{view}".encode()).hexdigest()[:16] for view in range(images))
    return Work(stable_id(name[0]), stable_id(*name), SPLITS[artist % len(SPLITS)], tuple(ids))


def write_lists(root: Path, works: list[Work]) -> None:
    """Write what `collect` would: manifest.parquet and works.tsv."""
    rows = [(work, image) for work in works for image in work.images]
    plain = {name: pa.nulls(len(rows), MANIFEST.field(name).type) for name in MANIFEST.names}
    told = {
        "image_id": [image for _, image in rows],
        "artist_id": [work.artist_id for work, _ in rows],
        "work_id": [work.work_id for work, _ in rows],
        "image_url": [f"https://museum.example/{work.work_id}/{image}.jpg" for work, image in rows],
        "sha256": [image * 4 for _, image in rows],
        "file": [f"{image}.jpg" for _, image in rows],
        "split": [work.split for work, _ in rows],
        "status": ["ok"] * len(rows),
        "width": [SIZE[0]] * len(rows),
        "height": [SIZE[1]] * len(rows),
    }
    columns = plain | {name: pa.array(values, MANIFEST.field(name).type) for name, values in told.items()}
    table = pa.table(columns, schema=MANIFEST)
    with table_writer(root / "manifest.parquet", MANIFEST) as write:
        for start in range(0, len(table), ROWS_PER_GROUP):
            write(table.slice(start, ROWS_PER_GROUP))
    with open(root / "works.tsv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["work_id", "artist_id", "n_images", "split"])
        writer.writerows([work.work_id, work.artist_id, len(work.images), work.split] for work in works)


def write_plan(root: Path) -> None:
    """Write what `collect plan` and `collect fetch` would: one job of local files, and empty files for the rest."""
    for name in ("wanted.parquet", "sources.json", "plan.csv", "local.parquet"):
        (root / "downloads" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "downloads" / name).touch()
    (root / "downloads" / "jobs.tsv").write_text("job\tkind\torigin\tn_requests\nlocal\tlocal\t\t1\n")
    (root / "fetched").mkdir(exist_ok=True)
    (root / "fetched" / "local.parquet").touch()


def write_pictures(root: Path, works: list[Work]) -> None:
    """Write a grey image and a mask of all of it for every image, each a link to one file, and the artists' tables."""
    for folder, suffix, kind in (("images", "jpg", "RGB"), ("masks", "png", "L")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.new(kind, SIZE, "white").save(root / f"one.{suffix}")
        for image in (image for work in works for image in work.images):
            (root / folder / f"{image}.{suffix}").hardlink_to(root / f"one.{suffix}")
    by_artist: dict[str, list[str]] = {}
    for work in works:
        by_artist.setdefault(work.artist_id, []).extend(work.images)
    for artist, images in by_artist.items():
        rows = [{"image_id": image, "status": "ok", "coverage": 1.0, "confidence": 1.0} for image in images]
        write_table(root / "masks" / f"{artist}.parquet", rows, MASKS)


def write_features_of(work: Work, root: Path, settings: MatchSettings) -> None:
    """Write the features of a work's images where `match` keeps those of `settings`."""
    folder = root / "features" / recipe(settings)
    rng = np.random.default_rng(int(sha256(work.work_id.encode()).hexdigest()[:8], 16))
    points = rng.normal(size=(POINTS, 3))
    described = np.minimum(rng.gamma(0.6, 50, (POINTS, 128)), 255)
    for image in work.images:
        features = _view(points, described, rng)
        write_features(folder / f"{image}.safetensors", features, settings.of_extractor.model_dump())


def _view(points: np.ndarray, described: np.ndarray, rng: np.random.Generator) -> Features:
    """What an affine camera with random axes sees of the points."""
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2] * rng.uniform(60, 90)
    seen = np.flatnonzero(rng.random(len(points)) < SEEN)
    places = points[seen] @ axes.T + np.array(SIZE) / 2 + rng.normal(0, 0.5, (len(seen), 2))
    places = np.vstack([places, rng.uniform(0, SIZE, (CLUTTER, 2))])
    words = np.vstack([described[seen], np.minimum(rng.gamma(0.6, 50, (CLUTTER, 128)), 255)])
    words = np.clip(words + rng.normal(0, 12, words.shape), 0, 255).astype(np.uint8)
    places = np.clip(places, 0, np.array(SIZE) - 1).astype(np.float32)
    order = rng.permutation(len(places))
    ones = np.ones(len(places), np.float32)
    return Features(places[order], ones, ones, words[order])


def write_run(folder: Path) -> None:
    """Write the configuration of the simulated run; its list of sources is never read."""
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "sources.csv").write_text("artist,work,image_url\n")
    (folder / "config.yaml").write_text(yaml.safe_dump({"photos": "photos", "shard": {"images": False}}))


def write_other_outputs(root: Path) -> None:
    """Write empty files for what the stages give that are not measured, so that the run looks finished."""
    for name in OTHER_OUTPUTS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
