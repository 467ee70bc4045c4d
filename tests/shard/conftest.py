"""A small run with real JPEGs, as `shard write` finds it: three splits, several licences, odd texts and addresses."""

import hashlib
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from liftnet.core.settings import changed
from liftnet.data.schemas import MANIFEST, PAIRS, write_table
from liftnet.shard.settings import ShardSettings
from liftnet.shard.tracks import join_tracks
from liftnet.shard.write import write_dataset

WIDTH, HEIGHT = 64, 48
WORKS = {  # work: artist, split, licence as the source names it, what it says of the sculpture
    "king": ("moore", "train", "CC BY-SA 4.0", None),
    "queen": ("moore", "train", "CC0 1.0 Universal", "public domain"),
    "wave": ("hepworth", "train", "CC BY-NC 4.0", None),
    "kiss": ("rodin", "val", "Public domain", "public domain"),
    "thinker": ("rodin", "val", "ask the gate-keeper", None),
    "david": ("buonarroti", "test", "CC BY 4.0", "public domain"),
}
PUBLISHER = {"url": "https://example.org/sculptures", "creator": "The Example Group", "contact": "data@example.org"}


def jpeg(seed, exif=None):
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    options = {"exif": exif} if exif else {}
    Image.fromarray(pixels).resize((WIDTH, HEIGHT)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def where_it_was_taken():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()


def image_row(data, work, number, **other):
    artist, split, licence, rights = WORKS[work]
    digest = hashlib.sha256(data).hexdigest()
    row = {
        "image_id": digest[:16],
        "sha256": digest,
        "sha256_raw": digest,
        "artist": artist.title(),
        "artist_id": f"{artist}-000001",
        "artist_died": 1917 if artist == "rodin" else None,
        "work": work.title(),
        "work_id": f"{work}-000002",
        "work_rights": rights,
        "source": "commons",
        "image_url": f"https://example.org/{work}/{number}.jpg",
        "page_url": f"https://example.org/{work}",
        "status": "ok",
        "reason": "",
        "bytes": len(data),
        "file": f"{digest[:16]}.jpg",
        "width": WIDTH,
        "height": HEIGHT,
        "license": licence,
        "attribution": f"{artist.title()} photographed by A. Nonymous",
        "split": split,
        "group_id": f"{artist}-000001",
    }
    return row | other


def pair_row(a, b, n=6):
    first, second = sorted((a, b), key=lambda row: row["image_id"])
    rng = np.random.default_rng(int(first["image_id"][:8], 16))
    names = (("x1", WIDTH), ("y1", HEIGHT), ("x2", WIDTH), ("y2", HEIGHT))
    points = {name: rng.uniform(0, side - 1, n) for name, side in names}
    sizes = {"width_a": WIDTH, "height_a": HEIGHT, "width_b": WIDTH, "height_b": HEIGHT}
    images = {"image_a": first["image_id"], "image_b": second["image_id"]}
    about = {name: first[name] for name in ("work_id", "artist_id", "split")}
    counts = {"n_putative": 3 * n, "n_masked": 2 * n, "n_inliers": n}
    known = {"pair_id": f"{first['image_id']}-{second['image_id']}", "kept": True, "reason": "kept"}
    return {**known, **about, **images, **sizes, **counts, **points, "score": rng.uniform(0, 1, n)}


ODD = {  # what must be escaped or hidden
    ("king", 0): {"attribution": "=HYPERLINK(1)|<script>alert(1)</script>", "page_url": "javascript:alert(1)"},
    ("king", 1): {"image_url": "/home/ada/photos/king/1.jpg", "final_url": "https://ada:secret@example.org/1.jpg"},
    ("queen", 0): {"image_url": "https://api.example.org/q?api_key=s3cret&id=7"},
}


def make_run(root, views=4):
    """Write a run of `views` photographs a work below `root`; the rows of its manifest by work."""
    (root / "images").mkdir(parents=True)
    rows = {work: [] for work in WORKS}
    for seed, (work, number) in enumerate(itertools.product(WORKS, range(views))):
        data = jpeg(seed, where_it_was_taken() if (work, number) == ("david", 0) else None)
        row = image_row(data, work, number, **ODD.get((work, number), {}))
        (root / "images" / row["file"]).write_bytes(data)
        rows[work].append(row)
    lost = {"status": "http_404", "reason": "gone", "work_id": "king-000002", "source": "commons"}
    write_table(root / "manifest.parquet", [row for work in rows.values() for row in work] + [lost], MANIFEST)
    for work, images in rows.items():
        pairs = [pair_row(a, b, 6 + k) for k, (a, b) in enumerate(itertools.combinations(images, 2))]
        write_table(root / "pairs" / f"{work}-000002.parquet", pairs, PAIRS)
    return rows


@pytest.fixture
def new_run():
    """The function that writes a run, for tests that change it."""
    return make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run's folder; not to be changed."""
    root = tmp_path_factory.mktemp("run") / "results"
    make_run(root)
    return root


@pytest.fixture(scope="session")
def joined(tmp_path_factory):
    """The same run with its tracks; not to be changed."""
    root = tmp_path_factory.mktemp("joined") / "results"
    make_run(root)
    join_tracks(root, ShardSettings())
    return root


@pytest.fixture(scope="session")
def published(joined, tmp_path_factory):
    """A dataset written from it, in a folder named `dataset`; not to be changed."""
    out = tmp_path_factory.mktemp("published") / "dataset"
    write_dataset(joined, out, changed(ShardSettings(), **PUBLISHER))
    return out
