"""What the detector learns from: two patches of a point, one of another point and one without (LIFT, figure 2).

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
from torch import Tensor
from torch.nn import functional

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import progress
from liftnet.core.types import Float32Array, FloatArray, Int64Array, UInt8Array
from liftnet.data.masks import read_mask
from liftnet.drkfs.patches import sample_patches
from liftnet.drkfs.points import PointSet, read_gray
from liftnet.drkfs.settings import MetricSettings
from liftnet.mesh.mesh import normalise
from liftnet.mesh.reading import find_meshes, load_mesh
from liftnet.rasteriser import CameraBatch, look_at, render_soft

PATCH = 48  # px, what the detector sees: its scores cover the middle 24 px (LIFT's sizes)
JITTER = 8  # px, by which a point may lie off the middle, so that the middle is not what is learnt
CUT = PATCH + 2 * JITTER
CLEAR = (
    0.36  # of a patch's side, the least distance of a point from a patch that holds none: half the scores' diagonal
)
NEAR = 0.7  # of a patch's side, the deviation by which most empty patches lie from some point
ANYWHERE = 0.6  # fraction of the empty patches that are tried anywhere
BLUR = 5  # px, of the mask's border, so that it makes no steps of its own

VIEWS = MetricSettings()  # renders are such as DR-KFS sees
SIZE = VIEWS.image_size
HELD_OUT = 5  # one mesh in so many
VIEW_PAIRS = 3  # of a mesh
CORNER, NONE = 0.05, 0.03  # of the strongest corner of a view: what is a point, and what is surely none
APART = 4  # px, between corners
AGREED = 2.0  # px, between a corner and where the other view's corner lies
SEEN = 0.02  # difference of depth, in radii of the shape times two, at which a point is still seen
MOST_CORNERS = 40  # points of a pair of views
OFF_EDGES = 0.15  # fraction of the empty patches of renders that are tried anywhere, the others at an edge
EDGE = 0.05  # step of gray between neighbours
ZOOM = (0.75, 1.5)  # size of patches, in pixels of the render


@dataclass(frozen=True, eq=False)
class Pool:
    """Patches to draw quadruplets from.

    Attributes:
        first: (P, 64, 64) uint8, points in the middle.
        second: (P, 64, 64), the same points in other images, at the same scale and in the same direction.
        place: (P,) which point it is.
        empty: (E, 48, 48), patches whose middle holds no point.
    """

    first: UInt8Array
    second: UInt8Array
    place: Int64Array
    empty: UInt8Array

    def divided(self) -> tuple[Pool, Pool]:
        """Two pools, of every second point and of the others."""
        first, second = (
            Pool(self.first[part::2], self.second[part::2], self.place[part::2], self.empty[part::2])
            for part in (0, 1)
        )
        return first, second


@dataclass(frozen=True, eq=False)
class Quadruplets:
    """A batch of quadruplets, gray in [0, 1].

    Attributes:
        patches: (4, N, 48, 48): a point, the same point elsewhere, another point, none.
        offsets: (2, N, 2) px, where the middle of each of the first two patches lies from its point, x and y.
    """

    patches: Tensor
    offsets: Tensor


def load_pool(points: PointSet, root: Path, point_scale: float, count: int, seed: int) -> Pool:
    """Cut the patches of up to `count` points and as many without a point.

    Points are drawn in proportion to their scale: small ones are many, and most of them specks of a surface, while
    shapes without texture show large ones. Where there are masks, the background is one gray, black for every other
    image: views of shapes have none, and the corners in it are no verified points but no examples without one either.

    Args:
        points: Observations of points.
        root: Folder with `images/` and perhaps `masks/`.
        point_scale: Side of a patch of 48 px, in standard deviations of the point's blur.
        count: Points at most.
        seed: Of draws, directions and background.

    Raises:
        BadImageError: An image or a mask cannot be read.
    """
    rng = np.random.default_rng(stable_seed(seed, "pool"))
    rows = _pairs(points, count, rng)
    directions = rng.uniform(0, 2 * np.pi, len(rows)).astype(np.float32)  # of both patches of a point
    flat, angles = rows.reshape(-1), np.repeat(directions, 2) + points.angle[rows.reshape(-1)]
    image, xy, side = _empty_places(points, count, point_scale, rng)
    cut, empty = np.empty((len(flat), CUT, CUT), np.uint8), np.empty((len(image), PATCH, PATCH), np.uint8)
    turns = rng.uniform(0, 2 * np.pi, len(image)).astype(np.float32)
    for number, name in progress(list(enumerate(points.images)), "drkfs", "cutting patches, images"):
        gray = _on_one_gray(root, name, np.random.default_rng(stable_seed(seed, "background", name)))
        here = np.flatnonzero(points.image[flat] == number)
        sides = points.scale[flat[here]] * np.float32(point_scale * CUT / PATCH)
        cut[here] = cut_uint8(gray, points.xy[flat[here]], sides, angles[here], CUT)
        here = np.flatnonzero(image == number)
        empty[here] = cut_uint8(gray, xy[here], side[here], turns[here], PATCH)
    return Pool(cut[0::2], cut[1::2], points.place[rows[:, 0]], empty)


def joined(first: Pool, second: Pool) -> Pool:
    """Two pools of different points as one."""
    place = np.concatenate([first.place, second.place + first.place.max(initial=-1) + 1])
    return Pool(
        np.concatenate([first.first, second.first]),
        np.concatenate([first.second, second.second]),
        place,
        np.concatenate([first.empty, second.empty]),
    )


def _pairs(points: PointSet, count: int, rng: np.random.Generator) -> Int64Array:
    """(P, 2) observations, two of each of up to `count` points, drawn in proportion to the points' scale."""
    order = np.lexsort([rng.random(len(points)), points.track])
    first = np.flatnonzero(np.diff(points.track[order], prepend=-1))  # a track has two observations at least
    pairs = np.stack([order[first], order[first + 1]], axis=1)
    weights = points.scale[pairs[:, 0]].astype(np.float64)
    return pairs[rng.choice(len(pairs), min(count, len(pairs)), replace=False, p=weights / weights.sum())]


def _empty_places(
    points: PointSet, count: int, point_scale: float, rng: np.random.Generator
) -> tuple[Int64Array, Float32Array, Float32Array]:
    """Image, centre and side of up to `count` patches whose middle holds no verified point of their image.

    A part lies near points, to show the sculpture and its outline; the others lie anywhere, as those of LIFT do.
    """
    tries = -(-8 * count // len(points.images))
    images, centres, sides = [], [], []
    for number, size in enumerate(points.sizes):
        known = points.xy[points.image == number]
        side = np.minimum(point_scale * rng.choice(points.scale, tries), min(size)).astype(np.float32)
        anywhere = rng.uniform(0, 1, (tries, 2)) * (np.array(size) - 1)
        beside = known[rng.integers(len(known), size=tries)] + rng.normal(0, NEAR, (tries, 2)) * side[:, None]
        centre = np.where((rng.random(tries) < ANYWHERE)[:, None], anywhere, beside).clip(0, np.array(size) - 1)
        distance, _ = cKDTree(known).query(centre)
        free = distance > CLEAR * side
        images.append(np.full(int(free.sum()), number))
        centres.append(centre[free].astype(np.float32))
        sides.append(side[free])
    image = np.concatenate(images).astype(np.int64)
    xy: Float32Array = np.concatenate(centres)
    chosen = rng.permutation(len(image))[:count]
    return image[chosen], xy[chosen], np.concatenate(sides)[chosen]


def _on_one_gray(root: Path, name: str, rng: np.random.Generator) -> Tensor:
    """(H, W) an image in gray; where it has a mask, on black or on some gray."""
    gray = read_gray(root / "images" / f"{name}.jpg")
    mask_path = root / "masks" / f"{name}.png"
    background = max(0.0, float(rng.uniform(-1, 1)))
    if not mask_path.exists():
        return gray
    mask = torch.from_numpy(read_mask(mask_path, (gray.shape[1], gray.shape[0])).astype(np.float32))
    soft = functional.avg_pool2d(mask[None], BLUR, 1, BLUR // 2, count_include_pad=False)[0]
    return soft * gray + (1 - soft) * background


def cut_uint8(
    gray: Tensor | FloatArray,
    xy: FloatArray,
    sides: FloatArray,
    angles: FloatArray,
    size: int,
) -> UInt8Array:
    """`sample_patches` of an image in [0, 1] as (N, size, size) uint8."""
    image = torch.as_tensor(gray, dtype=torch.float32)
    at, long, turned = (torch.from_numpy(np.ascontiguousarray(v, np.float32)) for v in (xy, sides, angles))
    return (sample_patches(image, at, long, turned, size) * 255).round().clamp(0, 255).byte().numpy()


def draw_quadruplets(pool: Pool, count: int, generator: np.random.Generator) -> Quadruplets:
    """Draw quadruplets, each turned by quarters and mirrored, moved off the middle, brighter or darker.

    Args:
        pool: Where from.
        count: How many.
        generator: Decides everything.
    """
    chosen = generator.integers(len(pool.first), size=count)
    others = generator.integers(len(pool.first), size=count)
    clash = pool.place[others] == pool.place[chosen]
    others = np.where(clash, (others + 1) % len(pool.first), others)
    offsets = generator.integers(-JITTER, JITTER + 1, size=(3, count, 2))
    crops = [
        _cropped(pixels, offset)
        for pixels, offset in zip((pool.first[chosen], pool.second[chosen], pool.first[others]), offsets, strict=True)
    ]
    empty = pool.empty[generator.integers(len(pool.empty), size=count)]
    gray = torch.from_numpy(np.stack([*crops, empty])).float() / 255
    turn, mirror = int(generator.integers(4)), bool(generator.integers(2))
    patches, moved = gray.rot90(turn, dims=(-2, -1)), torch.from_numpy(offsets[:2]).float()
    for _ in range(turn):  # rot90 turns right to up: (x, y) goes to (y, -x) with y down
        moved = torch.stack([moved[..., 1], -moved[..., 0]], dim=-1)
    if mirror:
        patches, moved = patches.flip(-1), moved * torch.tensor([-1.0, 1.0])
    contrast = torch.from_numpy(generator.uniform(0.3, 1.0, (4, count, 1, 1))).float()

    return Quadruplets(patches * contrast, moved)


def _cropped(pixels: UInt8Array, offset: Int64Array) -> UInt8Array:
    """(N, 48, 48) of (N, 64, 64), with its middle `offset` (N, 2) px from theirs, x and y."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (PATCH, PATCH), axis=(1, 2))
    x, y = (offset + JITTER).T
    return np.ascontiguousarray(windows[np.arange(len(pixels)), y, x])


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
        for pair in range(VIEW_PAIRS):
            a, b = views[2 * pair], views[2 * pair + 1]
            first, second, turn = _common(a, b, cameras[[2 * pair, 2 * pair + 1]])
            some = rng.permutation(len(turn))[:MOST_CORNERS]
            zoom, angle = rng.uniform(*ZOOM, len(some)), rng.uniform(0, 2 * np.pi, len(some))
            firsts.append(cut_uint8(a.gray, first[some], CUT * zoom, angle, CUT))
            seconds.append(cut_uint8(b.gray, second[some], CUT * zoom, angle + turn[some], CUT))
            empties.append(_empty(a, MOST_CORNERS, rng))
    first, second, empty = (np.concatenate(parts) for parts in (firsts, seconds, empties))
    rng = np.random.default_rng(stable_seed(seed, "renders"))
    chosen, free = rng.permutation(len(first))[:count], rng.permutation(len(empty))[:count]
    return Pool(first[chosen], second[chosen], np.arange(len(chosen)), empty[free])


def _cameras(rng: np.random.Generator) -> CameraBatch:
    """VIEW_PAIRS pairs of cameras; those of a pair stand 5 to 20 degrees apart in azimuth, a little in elevation."""
    azimuth, elevation = rng.uniform(0, 360, VIEW_PAIRS), rng.uniform(0, 70, VIEW_PAIRS)
    apart = rng.uniform(5, 20, VIEW_PAIRS) * rng.choice([-1, 1], VIEW_PAIRS)
    turned = np.radians(np.stack([azimuth, azimuth + apart], axis=1).reshape(-1))
    raised = np.radians(np.stack([elevation, elevation + rng.uniform(-6, 6, VIEW_PAIRS)], axis=1).reshape(-1))
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
    centre = np.where(rng.random((4 * count, 1)) < OFF_EDGES, anywhere, on_edge + rng.normal(0, 3, anywhere.shape))
    side = PATCH * rng.uniform(*ZOOM, len(centre))
    if len(view.suspects):
        free = cKDTree(view.suspects).query(centre)[0] > CLEAR * side
        centre, side = centre[free], side[free]
    angle = rng.uniform(0, 2 * np.pi, len(centre))
    return cut_uint8(view.gray, centre[:count], side[:count], angle[:count], PATCH)
