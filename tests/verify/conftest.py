"""A small run with known truth: two balls seen by pinhole cameras that go around them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from liftnet.data.masks import write_mask
from liftnet.data.schemas import MANIFEST, MATCHES, TRUTH, read_table, write_table
from liftnet.data.truth import TrueView, save_truth
from liftnet.geometry.cameras import Camera

WIDTH, HEIGHT, FOCAL, DISTANCE = 400, 300, 1600.0, 14.0
BALLS = ((np.array([0.0, 0.0, 0.0]), 1.0), (np.array([0.5, 0.2, 0.9]), 0.4))


def camera_at(degrees):
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    intrinsics = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
    return Camera(intrinsics, rotation, np.array([0, 0, DISTANCE]))


def view_of_balls(camera):
    pixels = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).reshape(-1, 2).astype(float)
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(camera.intrinsics).T
    depth = np.full(len(pixels), np.inf)
    for centre, radius in BALLS:
        seen = camera.rotation @ centre + camera.translation
        a, b, c = (rays**2).sum(1), rays @ seen, seen @ seen - radius**2
        root = b**2 - a * c
        hit = (b - np.sqrt(np.maximum(root, 0))) / a
        depth = np.where((root > 0) & (hit < depth), hit, depth)
    return TrueView(np.where(np.isfinite(depth), depth, np.nan).reshape(HEIGHT, WIDTH), camera)


def true_matches(view_a, view_b, n, rng):
    """(n, 2) points of image a and where they are in image b, visible in both."""
    rows, columns = np.nonzero(view_a.mask)
    pick = rng.permutation(len(rows))
    a = np.column_stack([columns, rows])[pick].astype(float)
    b, distance = view_b.camera.project(view_a.camera.unproject(a, view_a.depth[rows[pick], columns[pick]]))
    column, row = np.rint(b.T).astype(int)
    inside = (column > 1) & (column < WIDTH - 2) & (row > 1) & (row < HEIGHT - 2)
    a, b, distance, column, row = a[inside], b[inside], distance[inside], column[inside], row[inside]
    seen = np.abs(view_b.depth[row, column] - distance) < 0.02
    return a[seen][:n], b[seen][:n]


@dataclass
class Run:
    """A run's folder with its museum; `match` fills a work's table of matches."""

    root: Path
    museum: Path
    views: dict[str, TrueView]

    def match(self, work, rows):
        path = self.root / "matches" / f"{work}.parquet"
        write_table(path, rows, MATCHES)
        return path

    def manifest(self):
        return read_table(self.root / "manifest.parquet", MANIFEST)


def match_row(image_a, image_b, a, b, status="ok", score=None):
    score = np.linspace(1, 0, len(a)) if score is None else score
    columns = {"x1": a[:, 0], "y1": a[:, 1], "x2": b[:, 0], "y2": b[:, 1], "score": score}
    return {
        "image_a": image_a,
        "image_b": image_b,
        "status": status,
        **{name: np.asarray(values, np.float32) for name, values in columns.items()},
    }


@pytest.fixture
def tools():
    class Tools:
        row, matches, camera, view = map(staticmethod, (match_row, true_matches, camera_at, view_of_balls))
        size, balls = (WIDTH, HEIGHT), BALLS

    return Tools


@pytest.fixture
def run(tmp_path):
    """Images v0 to v3 of the work `balls`, 12 degrees apart; the masks are the true ones."""
    museum, root = tmp_path / "museum", tmp_path / "results"
    views, truth, manifest = {}, [], []
    for k in range(4):
        name, url = f"v{k}", f"images/a/balls/v{k}.jpg"
        views[name] = view_of_balls(camera_at(12 * k))
        save_truth(museum / "truth" / f"{name}.npz", views[name])
        truth.append({"image_url": url, "artist_id": "a", "work_id": "balls", "truth": f"truth/{name}.npz"})
        write_mask(root / "masks" / f"{name}.png", views[name].mask)
        manifest.append({"image_id": name, "artist_id": "a", "work_id": "balls", "image_url": url, "status": "ok"})
        manifest[-1] |= {"split": "test", "width": WIDTH, "height": HEIGHT}
    manifest.append({"image_id": None, "image_url": "gone.jpg", "status": "http_404", "work_id": "balls"})
    write_table(museum / "truth.parquet", truth, TRUTH)
    write_table(root / "manifest.parquet", manifest, MANIFEST)
    return Run(root, museum, views)
