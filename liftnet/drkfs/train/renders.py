"""Points of gray renders, verified by geometry: what views of plain shapes have, and photographs of stone lack.

Points that SIFT matches on textured stone are specks and dents. Views of shapes have no texture; their points are
corners and junctions. These come from pairs of renders of one mesh: a corner (Shi and Tomasi, "Good features to
track", CVPR 1994) of one view is a point if the other view, by its true depth, sees it and has a corner there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial import cKDTree

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import progress
from liftnet.core.types import Float32Array, UInt8Array
from liftnet.drkfs.settings import MetricSettings
from liftnet.drkfs.train.quadruplets import CLEAR, CUT, PATCH, Pool, cut_uint8
from liftnet.mesh.mesh import normalise
from liftnet.mesh.reading import find_meshes, load_mesh
from liftnet.rasteriser import CameraBatch, look_at, render_soft

VIEWS = MetricSettings()  # renders are such as DR-KFS sees
SIZE = VIEWS.image_size
HELD_OUT = 5  # one mesh in so many
PAIRS = 3  # of views of a mesh
CORNER, NONE = 0.05, 0.03  # of the strongest corner of a view: what is a point, and what is surely none
APART = 4  # px, between corners
AGREED = 2.0  # px, between a corner and where the other view's corner lies
SEEN = 0.02  # difference of depth, in radii of the shape times two, at which a point is still seen
MOST = 40  # points of a pair of views
ANYWHERE = 0.15  # fraction of the empty patches that are tried anywhere, the others at an edge
EDGE = 0.05  # step of gray between neighbours
ZOOM = (0.75, 1.5)  # size of patches, in pixels of the render


@dataclass(frozen=True, eq=False)
class _View:
    """A render: gray and depth of the nearest surface about each pixel (S, S), corners and what might be one."""

    gray: np.ndarray
    depth: np.ndarray
    corners: np.ndarray
    suspects: np.ndarray


def render_pools(meshes: Path, count: int, seed: int) -> tuple[Pool, Pool]:
    """Points of renders of a folder of meshes: of four in five to learn from, of every fifth held out.

    Args:
        meshes: Folder of meshes, +y up, as `render shapes` writes it.
        count: Points at most to learn from.
        seed: Of cameras and draws.

    Raises:
        LiftnetError: The folder holds fewer than two meshes, or one cannot be read.
    """
    found = sorted(find_meshes(meshes).items())
    if len(found) < 2:
        raise LiftnetError(meshes, "holds fewer than two meshes", "Write some with `render shapes`")
    held_out = found[::HELD_OUT]
    learnt = [item for item in found if item not in held_out]
    return render_pool(learnt, count, seed), render_pool(held_out, count, seed)


def render_pool(meshes: Sequence[tuple[str, Path]], count: int, seed: int) -> Pool:
    """Patches around points of renders of meshes (name and file), and patches without a point; `count` at most."""
    firsts, seconds, empties = [], [], []
    for name, path in progress(meshes, "drkfs", "points of renders, meshes"):
        rng = np.random.default_rng(stable_seed(seed, "renders", name))
        mesh = normalise(load_mesh(path))
        cameras = _cameras(rng)
        vertices = torch.from_numpy(np.asarray(mesh.vertices, np.float32))
        images = render_soft(vertices, torch.from_numpy(np.asarray(mesh.faces, np.int64)), cameras, SIZE)
        views = [_view(gray, depth) for gray, depth in zip(images.gray.numpy(), images.depth.numpy(), strict=True)]
        for pair in range(PAIRS):
            a, b = views[2 * pair], views[2 * pair + 1]
            first, second, turn = _common(a, b, cameras[[2 * pair, 2 * pair + 1]])
            some = rng.permutation(len(turn))[:MOST]
            zoom, angle = rng.uniform(*ZOOM, len(some)), rng.uniform(0, 2 * np.pi, len(some))
            firsts.append(cut_uint8(a.gray, first[some], CUT * zoom, angle, CUT))
            seconds.append(cut_uint8(b.gray, second[some], CUT * zoom, angle + turn[some], CUT))
            empties.append(_empty(a, MOST, rng))
    first, second, empty = (np.concatenate(parts) for parts in (firsts, seconds, empties))
    rng = np.random.default_rng(stable_seed(seed, "renders"))
    chosen, free = rng.permutation(len(first))[:count], rng.permutation(len(empty))[:count]
    return Pool(first[chosen], second[chosen], np.arange(len(chosen)), empty[free])


def _cameras(rng: np.random.Generator) -> CameraBatch:
    """PAIRS pairs of cameras; those of a pair stand 5 to 20 degrees apart in azimuth, a little in elevation."""
    azimuth, elevation = rng.uniform(0, 360, PAIRS), rng.uniform(0, 70, PAIRS)
    apart = rng.uniform(5, 20, PAIRS) * rng.choice([-1, 1], PAIRS)
    turned = np.radians(np.stack([azimuth, azimuth + apart], axis=1).reshape(-1))
    raised = np.radians(np.stack([elevation, elevation + rng.uniform(-6, 6, PAIRS)], axis=1).reshape(-1))
    level = np.cos(raised)
    eyes = np.stack([level * np.sin(turned), np.sin(raised), level * np.cos(turned)], axis=1)
    return look_at(torch.from_numpy(VIEWS.camera_distance * eyes), VIEWS.half_angle).to(torch.zeros(()))


def _view(gray: Float32Array, depth: Float32Array) -> _View:
    strength = cv2.cornerMinEigenVal(gray, 5)
    highest = strength == maximum_filter(strength, 2 * APART + 1)
    points, suspects = (
        np.stack(np.nonzero(highest & (strength > fraction * strength.max()))[::-1], axis=1).astype(np.float64)
        for fraction in (CORNER, NONE)
    )
    return _View(gray, minimum_filter(depth, 3), points, suspects)


def _common(a: _View, b: _View, cameras: CameraBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners that two views share, (N, 2) px in each, and (N,) radians by which the second is turned."""
    turn = np.zeros(len(a.corners))
    column, row = a.corners.astype(np.int64).T
    depth = a.depth[row, column].astype(np.float64)
    moved, expected = _moved(a.corners, depth, cameras)
    if not len(a.corners) or not len(b.corners):
        return a.corners[:0], b.corners[:0], turn[:0]
    distance, nearest = cKDTree(b.corners).query(moved)
    at = np.rint(moved).astype(np.int64).clip(0, SIZE - 1)
    seen = np.abs(b.depth[at[:, 1], at[:, 0]] - expected) < SEEN
    beside, _ = _moved(a.corners + np.array([4.0, 0.0]), depth, cameras)
    turn = np.arctan2(beside[:, 1] - moved[:, 1], beside[:, 0] - moved[:, 0])
    kept = seen & (distance < AGREED)
    return a.corners[kept], b.corners[nearest[kept]], turn[kept]


def _moved(pixels: np.ndarray, depth: np.ndarray, cameras: CameraBatch) -> tuple[np.ndarray, np.ndarray]:
    """Where the second of two cameras sees what the first sees at pixels (N, 2) and depths (N,): px and depth."""
    rotation, translation = (values.double().numpy() for values in (cameras.rotation, cameras.translation))
    image = (2 * pixels + 1 - SIZE) / SIZE
    there = np.column_stack([image * cameras.half_width * depth[:, None], depth])
    world = (there - translation[0]) @ rotation[0]
    x, y, z = (world @ rotation[1].T + translation[1]).T
    seen = np.stack([x, y], axis=1) / (cameras.half_width * z)[:, None]
    return (seen * SIZE + SIZE - 1) / 2, z


def _empty(view: _View, count: int, rng: np.random.Generator) -> UInt8Array:
    """Up to `count` patches whose middle holds no corner: most of them at an edge, as far as there are edges."""
    steps = np.abs(np.diff(view.gray, axis=0, append=0)) + np.abs(np.diff(view.gray, axis=1, append=0))
    edges = np.stack(np.nonzero(steps > EDGE)[::-1], axis=1)
    anywhere = rng.uniform(0, SIZE - 1, (4 * count, 2))
    on_edge = edges[rng.integers(len(edges), size=4 * count)] if len(edges) else anywhere
    centre = np.where(rng.random((4 * count, 1)) < ANYWHERE, anywhere, on_edge + rng.normal(0, 3, anywhere.shape))
    side = PATCH * rng.uniform(*ZOOM, len(centre))
    if len(view.suspects):
        free = cKDTree(view.suspects).query(centre)[0] > CLEAR * side
        centre, side = centre[free], side[free]
    angle = rng.uniform(0, 2 * np.pi, len(centre))
    return cut_uint8(view.gray, centre[:count], side[:count], angle[:count], PATCH)
