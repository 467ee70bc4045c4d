"""Which points lie inside a mesh, closed or not; solid voxels; intersection over union."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from liftnet.core.ids import stable_seed
from liftnet.core.types import BoolArray, Float64Array, FloatArray, IntArray
from liftnet.mesh.mesh import TriangleMesh, face_areas, sample_surface

MISWOUND = 0.01  # fraction of edges run through twice in one direction, above which the winding means nothing
UNIT = (-0.5, 0.5)
BEYOND = 32  # voxels a side of the box of a part that lies beyond the cube
MOST_BOXES = 50
POINTS_PER_VOXEL = 8  # of a surface that fills a face of a voxel: one in 3,000 such voxels is missed
SKIN = 1e-4  # how far from the surface one looks for what lies on its sides, world units
ROUNDS = 30  # of drawing points until enough of them lie on the outside


def contains(mesh: TriangleMesh, points: FloatArray) -> BoolArray:
    """Whether points lie inside a mesh.

    From each point a ray goes along each of the six directions of the axes. A ray votes for inside if the faces that
    it meets wind around the point: a face that is left outwards counts +1, one that is entered -1, and the sum is not
    0. Parts that overlap are thus one solid. A closed part that is wound inwards is a hole if it lies inside others,
    and otherwise counts as if it were wound outwards: there is nothing that it could be cut out of. Where more than
    1 % of the edges are run through twice in the same direction, the winding of faces means nothing, and a ray votes
    for inside if it meets an odd number of faces. A point is inside with four votes of six. For a closed mesh all six
    agree; through a hole in the surface, such as the open bottom of a statue, one or two go wrong and are outvoted.

    A ray that meets an edge or a corner meets exactly one of the faces there.

    Args:
        mesh: The surface.
        points: (N, 3) world coordinates.

    Returns:
        (N,) bool.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must be (N, 3), not {points.shape}")
    wound = miswound_fraction(mesh) <= MISWOUND
    return _inside(outside_out(mesh).corners if wound else mesh.corners, points, wound)


def _inside(corners: FloatArray, points: FloatArray, wound: bool) -> BoolArray:
    votes = np.zeros(len(points), np.int64)
    for axis in range(3):
        order = [axis, (axis + 1) % 3, (axis + 2) % 3]
        turned = np.ascontiguousarray(corners[:, :, order])
        rays = np.ascontiguousarray(points[:, order], np.float64)
        votes += _votes(turned, rays, *_columns(turned), wound)
    return votes > 3


def parts_of(mesh: TriangleMesh) -> IntArray:
    """(F,) the number of the connected part, from 0, that each face belongs to; parts share no vertex."""
    ends = np.concatenate([mesh.faces[:, :2], mesh.faces[:, 1:]])
    links = coo_matrix((np.ones(len(ends), bool), ends.T), shape=(len(mesh.vertices),) * 2)
    labels = connected_components(links, directed=False)[1][mesh.faces[:, 0]]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def outside_out(mesh: TriangleMesh) -> TriangleMesh:
    """The mesh, its closed parts that are wound inwards turned unless they lie inside the others, as cavities do."""
    part = parts_of(mesh)
    count = int(part.max()) + 1
    if count == 1:
        return mesh
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    way = np.where(edges[:, 0] < edges[:, 1], 1, -1)
    low, high = np.sort(edges, axis=1).T
    edge = np.unique(low.astype(np.int64) * len(mesh.vertices) + high, return_inverse=True)[1]
    balanced = np.bincount(edge, way)[edge] == 0
    is_open = np.bincount(np.tile(part, 3), ~balanced, count) > 0
    corners = mesh.corners - mesh.vertices.mean(0)
    inwards = ~is_open & (np.bincount(part, np.linalg.det(corners), count) < 0)
    if not inwards.any() or inwards.all():
        return mesh
    those = inwards[part]
    enclosed = _inside(mesh.corners[~those], mesh.corners[those].mean(1), True)
    hole = np.bincount(part[those], ~enclosed, count) == 0
    turned = those & ~hole[part]
    return replace(mesh, faces=np.where(turned[:, None], mesh.faces[:, ::-1], mesh.faces))


@dataclass(frozen=True, repr=False)
class OuterSamples:
    """Points of the boundary of a solid.

    Attributes:
        points: (N, 3) float64.
        normals: (N, 3) float64, of length 1, outwards.
        hidden: Share of the whole surface's points that lie inside the solid, estimated from all that were drawn.
    """

    points: FloatArray
    normals: FloatArray
    hidden: float


def sample_outside(mesh: TriangleMesh, count: int, seed: int) -> OuterSamples:
    """Draw points from the boundary of what a mesh encloses, each place as likely as any other.

    Shapes that are put together from overlapping parts have surface inside; a point of which both sides lie inside the
    mesh, by the rule of `contains`, is left out. Normals are turned to the side that lies outside; of a sheet with
    nothing inside on either side they stay as its faces are wound.

    Args:
        mesh: The surface, of ordinary size: about 1.
        count: Number of points.
        seed: The same seed gives the same points.

    Raises:
        ValueError: `count` is below 1, the mesh has no area, or almost no surface has an outside.
    """
    if count < 1:
        raise ValueError(f"at least one point must be drawn, not {count}")
    found: list[tuple[FloatArray, FloatArray]] = []
    drawn = kept = 0
    for number in range(ROUNDS):
        share = max(kept / drawn, 0.05) if drawn else 0.6
        samples = sample_surface(mesh, max(64, int(1.1 * (count - kept) / share)), stable_seed(seed, str(number)))
        points, normals = samples.points, samples.normals
        before, behind = (contains(mesh, points + step * normals) for step in (SKIN, -SKIN))
        outer = ~(before & behind)
        turned = np.where((before & ~behind)[:, None], -normals, normals)
        found.append((points[outer], turned[outer]))
        drawn, kept = drawn + len(points), kept + int(outer.sum())
        if kept >= count:
            points, normals = (np.concatenate(rows)[:count] for rows in zip(*found, strict=True))
            return OuterSamples(points, normals, 1 - kept / drawn)
    raise ValueError(f"of {drawn:,} points of the surface only {kept:,} have an outside")


def miswound_fraction(mesh: TriangleMesh) -> float:
    """Fraction of directed edges that an earlier face has run through in the same direction; 0 if all agree."""
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    keys = np.sort(edges[:, 0] * len(mesh.vertices) + edges[:, 1])
    return float((keys[1:] == keys[:-1]).sum() / len(keys))


def grid_centres(resolution: int, bounds: tuple[float, float] = UNIT) -> FloatArray:
    """(R^3, 3) centres of the voxels of a cube from `bounds[0]` to `bounds[1]` on each axis, z fastest."""
    along = _centres(resolution, bounds)
    return np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)


def _centres(resolution: int, bounds: tuple[float, float]) -> Float64Array:
    """(R,) coordinates of the centres of voxels along an axis."""
    centres: Float64Array = bounds[0] + (np.arange(resolution) + 0.5) * (bounds[1] - bounds[0]) / resolution
    return centres


def voxelise(mesh: TriangleMesh, resolution: int = 32, bounds: tuple[float, float] = UNIT) -> BoolArray:
    """The voxels whose centres lie inside a mesh, by the rule of `contains`.

    Args:
        mesh: The surface.
        resolution: R, voxels a side. Parts thinner than a voxel may vanish.
        bounds: The cube, the same on each axis, world units; (-.5, .5) holds a mesh normalised by either size.

    Returns:
        (R, R, R) bool, indexed x, y, z.
    """
    wound = miswound_fraction(mesh) <= MISWOUND
    solid = outside_out(mesh) if wound else mesh
    along = _centres(resolution, bounds)
    votes = np.zeros((resolution,) * 3, np.int64)
    for axis in range(3):  # the points of a row of voxels share both rays along it
        order = [axis, (axis + 1) % 3, (axis + 2) % 3]
        corners = np.ascontiguousarray(solid.corners[:, :, order])
        votes += _grid_votes(corners, along, *_columns(corners), wound).transpose(np.argsort(order))
    return votes > 3


def flooded(mesh: TriangleMesh, resolution: int = 32, bounds: tuple[float, float] = UNIT) -> BoolArray:
    """The voxels that a surface touches, and those that a flood from outside does not reach past them.

    It needs no inside, so that open patches that cover a shape count as one; a gap of a voxel lets the flood in. Parts
    are up to a voxel thicker than by `voxelise`: both shapes of a comparison must be made by the same rule. It is that
    of NMR and SoftRas (Kato et al., Neural 3D Mesh Renderer, 2018).

    Args:
        mesh: The surface.
        resolution: R, voxels a side.
        bounds: The cube, the same on each axis, world units; what lies outside is left out.

    Returns:
        (R, R, R) bool, indexed x, y, z.
    """
    from scipy.ndimage import binary_fill_holes
    from trimesh.remesh import subdivide_to_size

    voxel = (bounds[1] - bounds[0]) / resolution
    # edges of half a voxel: where the surface passes between two centres, a corner lies in one of their voxels
    points, _ = subdivide_to_size(mesh.vertices, mesh.faces, voxel / 2, max_iter=30)
    places = (points - bounds[0]) / voxel
    places = places[((places >= 0) & (places <= resolution)).all(1)]
    cells = np.minimum(places.astype(np.int64), resolution - 1)
    touched = np.zeros((resolution,) * 3, bool)
    touched[tuple(cells.T)] = True
    return np.asarray(binary_fill_holes(touched))


def with_thin_parts(voxels: BoolArray, mesh: TriangleMesh, seed: int, bounds: tuple[float, float] = UNIT) -> BoolArray:
    """The voxels, and those that the surface crosses far from any filled one: parts that no centre lies in.

    A voxel is added if points of the surface lie in it and none of its 26 neighbours was filled. So wings and poles
    thinner than a voxel become one voxel thick, and nothing else grows.

    Args:
        voxels: (R, R, R) bool, as `voxelise` gives them.
        mesh: The surface, within the bounds.
        seed: Of the points that are drawn from it, eight for each face of a voxel that the surface has room for.
        bounds: The cube, as in `voxelise`.

    Returns:
        (R, R, R) bool.
    """
    from scipy.ndimage import binary_dilation

    resolution = len(voxels)
    per_unit = resolution / (bounds[1] - bounds[0])
    count = 1 + int(POINTS_PER_VOXEL * face_areas(mesh).sum() * per_unit**2)
    places = np.floor((sample_surface(mesh, count, seed).points - bounds[0]) * per_unit).astype(np.int64)
    crossed = np.zeros_like(voxels)
    crossed[tuple(places.clip(0, resolution - 1).T)] = True
    return voxels | (crossed & ~binary_dilation(voxels, np.ones((3, 3, 3), bool)))


def iou(inside: BoolArray, target: BoolArray, beyond: float = 0.0) -> float:
    """Intersection over union of two sets of voxels or of answers to the same points.

    Args:
        inside: Of the shape.
        target: Of the target.
        beyond: How many more voxels, or points, the shape has where none were looked at.

    Returns:
        0 to 1; NaN if both are empty.
    """
    union = int((inside | target).sum()) + beyond
    return float((inside & target).sum() / union) if union else float("nan")


def volume_beyond(mesh: TriangleMesh, bounds: tuple[float, float] = UNIT) -> float:
    """The volume of a mesh beyond a cube, of each of its parts as well as `BEYOND` voxels a side tell it.

    Boxes of parts that meet are looked at as one where there are many of them.
    """
    low, high = bounds
    if mesh.vertices.min() >= low and mesh.vertices.max() <= high:
        return 0.0
    part = parts_of(mesh)
    count = int(part.max()) + 1
    lows, highs = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(lows, part, mesh.corners.min(1))
    np.maximum.at(highs, part, mesh.corners.max(1))
    out = ((lows < low) | (highs > high)).any(1) & (highs > lows).all(1)
    boxes = np.stack([lows[out], highs[out]], axis=1)
    if len(boxes) > MOST_BOXES:
        boxes = np.stack([boxes[:, 0].min(0), boxes[:, 1].max(0)])[None]
    boxes = boxes[np.argsort(-np.prod(boxes[:, 1] - boxes[:, 0], axis=1))]
    volume = 0.0
    for number, (start, end) in enumerate(boxes):
        points = start + grid_centres(BEYOND, (0.0, 1.0)) * (end - start)
        counted = ((points > low) & (points < high)).all(1)
        for other in boxes[:number]:
            counted |= ((points > other[0]) & (points < other[1])).all(1)
        inside = contains(mesh, points[~counted]).sum()
        volume += float(inside) * float(np.prod((end - start) / BEYOND))
    return volume


def _columns(corners: FloatArray) -> tuple[IntArray, IntArray, FloatArray, float, int]:
    """Which faces may be met by rays through each cell of a grid across the rays.

    Returns:
        start (G^2 + 1,), face (those of cell c are face[start[c]:start[c + 1]]), the grid's low corner (2,), its cells
        per unit, and G.
    """
    across = corners.reshape(-1, 3)[:, 1:]
    low, high = across.min(0), across.max(0)
    cells = int(np.clip(np.sqrt(len(corners)) / 2, 4, 512))
    per_unit = cells / max(float((high - low).max()), 1e-300)
    start, face = _lists(corners, low, per_unit, cells)
    return start, face, low, per_unit, cells


@numba.njit(cache=True)
def _cells_of(face: FloatArray, axis: int, low: float, per_unit: float, cells: int) -> tuple[int, int]:
    """The first and the last cell along an axis that a face covers."""
    first = min(face[0, axis], face[1, axis], face[2, axis])
    last = max(face[0, axis], face[1, axis], face[2, axis])
    return min(int((first - low) * per_unit), cells - 1), min(int((last - low) * per_unit), cells - 1)


@numba.njit(cache=True)
def _lists(corners: FloatArray, low: FloatArray, per_unit: float, cells: int) -> tuple[IntArray, IntArray]:
    start = np.zeros(cells * cells + 1, np.int64)
    for t in range(len(corners)):
        top, bottom = _cells_of(corners[t], 1, low[0], per_unit, cells)
        left, right = _cells_of(corners[t], 2, low[1], per_unit, cells)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                start[row * cells + column + 1] += 1
    start = np.cumsum(start)
    free = start[:-1].copy()
    face = np.empty(start[-1], np.int64)
    for t in range(len(corners)):
        top, bottom = _cells_of(corners[t], 1, low[0], per_unit, cells)
        left, right = _cells_of(corners[t], 2, low[1], per_unit, cells)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                cell = row * cells + column
                face[free[cell]] = t
                free[cell] += 1
    return start, face


@numba.njit(cache=True)
def _edge(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> int:
    """+1 if the edge crosses the half line from (x, y) towards +x going up, -1 if going down, else 0.

    The crossing is computed from the lower end, so that both faces of an edge get the same answer.
    """
    if (ay > y) == (by > y):
        return 0
    upwards = by > ay
    if not upwards:
        ax, ay, bx, by = bx, by, ax, ay
    if not x < ax + (y - ay) * ((bx - ax) / (by - ay)):
        return 0
    return 1 if upwards else -1


@numba.njit(cache=True)
def _meets(face: FloatArray, x: float, y: float) -> int:
    """How a face winds around a ray along the first axis through (x, y): +1, -1, or 0 where they do not meet."""
    return (
        _edge(face[0, 1], face[0, 2], face[1, 1], face[1, 2], x, y)
        + _edge(face[1, 1], face[1, 2], face[2, 1], face[2, 2], x, y)
        + _edge(face[2, 1], face[2, 2], face[0, 1], face[0, 2], x, y)
    )


@numba.njit(cache=True)
def _meeting(face: FloatArray, x: float, y: float) -> float:
    """The first coordinate at which a face meets the line through (x, y), never beyond those of its corners."""
    low = min(face[0, 0], face[1, 0], face[2, 0])
    high = max(face[0, 0], face[1, 0], face[2, 0])
    by, bz = face[1, 1] - face[0, 1], face[1, 2] - face[0, 2]
    cy, cz = face[2, 1] - face[0, 1], face[2, 2] - face[0, 2]
    twice = by * cz - bz * cy
    if twice == 0.0:
        return low
    py, pz = x - face[0, 1], y - face[0, 2]
    second, third = (py * cz - pz * cy) / twice, (by * pz - bz * py) / twice
    met = face[0, 0] + second * (face[1, 0] - face[0, 0]) + third * (face[2, 0] - face[0, 0])
    return min(max(met, low), high)


@numba.njit(cache=True)
def _cell(x: float, y: float, low: FloatArray, per_unit: float, cells: int) -> int:
    """The cell of the grid across the rays in which (x, y) lies; -1 outside."""
    row, column = np.floor((x - low[0]) * per_unit), np.floor((y - low[1]) * per_unit)
    if row < 0 or column < 0 or row > cells or column > cells:
        return -1
    return min(int(row), cells - 1) * cells + min(int(column), cells - 1)


@numba.njit(cache=True, nogil=True)
def _votes(
    corners: FloatArray,
    points: FloatArray,
    start: IntArray,
    face: IntArray,
    low: FloatArray,
    per_unit: float,
    cells: int,
    wound: bool,
) -> IntArray:
    """(N,) how many of the two rays along the first axis say that a point is inside."""
    votes = np.zeros(len(points), np.int64)
    for n in range(len(points)):
        depth, x, y = points[n]
        cell = _cell(x, y, low, per_unit, cells)
        if cell < 0:
            continue
        before = after = 0
        for entry in range(start[cell], start[cell + 1]):
            t = face[entry]
            way = _meets(corners[t], x, y)
            if way != 0:
                weight = way if wound else 1
                if _meeting(corners[t], x, y) > depth:
                    after += weight
                else:
                    before += weight
        if wound:
            votes[n] = (before != 0) + (after != 0)
        else:
            votes[n] = (before & 1) + (after & 1)
    return votes


@numba.njit(cache=True, nogil=True)
def _grid_votes(
    corners: FloatArray,
    along: FloatArray,
    start: IntArray,
    face: IntArray,
    low: FloatArray,
    per_unit: float,
    cells: int,
    wound: bool,
) -> IntArray:
    """(R, R, R) votes as `_votes` gives them of the points whose three coordinates are all of `along` (R,)."""
    size = len(along)
    votes = np.zeros((size, size, size), np.int64)
    before, after = np.empty(size, np.int64), np.empty(size, np.int64)
    for i in range(size):
        for j in range(size):
            cell = _cell(along[i], along[j], low, per_unit, cells)
            if cell < 0:
                continue
            before[:], after[:] = 0, 0
            for entry in range(start[cell], start[cell + 1]):
                t = face[entry]
                way = _meets(corners[t], along[i], along[j])
                if way != 0:
                    weight = way if wound else 1
                    nearer = np.searchsorted(along, _meeting(corners[t], along[i], along[j]))
                    after[:nearer] += weight
                    before[nearer:] += weight
            for k in range(size):
                if wound:
                    votes[k, i, j] = (before[k] != 0) + (after[k] != 0)
                else:
                    votes[k, i, j] = (before[k] & 1) + (after[k] & 1)
    return votes
