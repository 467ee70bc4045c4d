"""COLMAP's database: cameras, images, keypoints, matches and two-view geometries, by sqlite3.

The tables are those of COLMAP 3.12 and later (src/colmap/scene/database_sqlite.cc); what newer versions have besides,
they add when they open the file. Poses and models of the pairs are left for COLMAP to estimate.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from liftnet.core.files import atomic_path
from liftnet.shard.exports.exported import ExportedWork

HALF_PIXEL = 0.5  # COLMAP calls the centre of the top-left pixel (0.5, 0.5)
PAIR_BASE = 2**31 - 1  # kMaxNumImages: a pair's number is that of its first image times this, plus that of its second
SIMPLE_RADIAL = 2
UNCALIBRATED = 3  # TwoViewGeometry::ConfigurationType: matches of a pair whose intrinsics are not known
TABLES = """
CREATE TABLE cameras (camera_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, model INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, params BLOB, prior_focal_length INTEGER NOT NULL);
CREATE TABLE images (image_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name TEXT NOT NULL UNIQUE,
    camera_id INTEGER NOT NULL, CONSTRAINT image_id_check CHECK(image_id >= 0 and image_id < 2147483647),
    FOREIGN KEY(camera_id) REFERENCES cameras(camera_id));
CREATE UNIQUE INDEX index_name ON images(name);
CREATE TABLE keypoints (image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL,
    data BLOB, FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE);
CREATE TABLE matches (pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB);
CREATE TABLE two_view_geometries (pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL,
    data BLOB, config INTEGER NOT NULL, F BLOB, E BLOB, H BLOB, qvec BLOB, tvec BLOB);
"""


def write_colmap(work: ExportedWork, folder: Path) -> None:
    """Write `database.db`; the names of its images are those of the folder `images`."""
    with atomic_path(folder / "database.db") as path, closing(sqlite3.connect(path)) as database:
        database.executescript(TABLES)
        for number, image in enumerate(work.images, 1):
            camera = np.array(image.simple_radial, "<f8").tobytes()
            row = (number, SIMPLE_RADIAL, image.width, image.height, camera, int(image.focal is not None))
            database.execute("INSERT INTO cameras VALUES (?, ?, ?, ?, ?, ?)", row)
            database.execute("INSERT INTO images VALUES (?, ?, ?)", (number, image.name, number))
            keypoints = (image.keypoints + HALF_PIXEL).astype("<f4")
            database.execute(
                "INSERT INTO keypoints VALUES (?, ?, ?, ?)", (number, *keypoints.shape, keypoints.tobytes())
            )
        for pair in work.pairs:
            first, second = pair.images
            matches = pair.matches.astype("<u4")
            row = ((first + 1) * PAIR_BASE + second + 1, *matches.shape, matches.tobytes())
            database.execute("INSERT INTO matches VALUES (?, ?, ?, ?)", row)
            database.execute(
                "INSERT INTO two_view_geometries VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, NULL)",
                (*row, UNCALIBRATED),
            )
        database.commit()
