"""The second search of a pair that was accepted: along its epipolar lines, where the matches around a point lead.

The first search asks of a descriptor that no other in the whole image is nearly as like. Once the epipolar geometry
is known a rival must lie on the same line, so many more can be told apart; but a line crosses much of the object, and
what is found on it alone is wrong for one in seven. So a match must also lie where its neighbours lead (an affine map
fitted to the matches around it), turned and scaled as they are, and its descriptors must be alike. Three rounds, each
with the neighbours that the one before found; the first with those of the first search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from liftnet.core.types import BoolArray, Float64Array, Int64Array
from liftnet.data.features import Features
from liftnet.geometry.affine import AffineFundamental, distinct_locations
from liftnet.geometry.local_maps import local_affine_maps
from liftnet.geometry.perspective import Fundamental
from liftnet.geometry.subspaces import joint_points
from liftnet.verify.fits import Fits
from liftnet.verify.settings import GuidedSettings, VerifySettings

ROUNDS = 3
LEAST = 8  # matches that a round needs to predict others
AT_ONCE = 32  # numbers of a descriptor, of which it has a multiple: a loop of fixed length uses the vector unit
RIVAL_PX = 2.5  # a descriptor this near to the match is of the same place, so no rival of it
# what one unit of cost is: away from where the neighbours lead and across the line, in thresholds of the perspective
# matrix, and between descriptors in their norm; a logistic regression on true and false matches of rendered views
ALONG, ACROSS, UNLIKE = 1.0, 0.42, 0.245
SPREAD = 0.03  # of the distance to the neighbours: what a surface bends away from the map fitted to them
KNOWN = 1.5  # a match of the first search had no rival in the whole image: it may cost so many times as much


def can_search(features: tuple[Features, Features]) -> bool:
    """Whether features can be searched again: of one kind, of bytes, with scales and orientations."""
    a, b = (part.kind for part in features)
    return a == b and a.oriented and a.dtype == "uint8" and a.length % AT_ONCE == 0


@dataclass(frozen=True, eq=False)
class Lines:
    """Where matches may lie: within the band of the models that hold.

    Attributes:
        affine: The affine matrix, along whose parallel lines is searched.
        reach: px, half the width of its band.
        perspective: The perspective matrix; not asked where there is none.
        noise: px, its threshold.
    """

    affine: AffineFundamental
    reach: float
    perspective: Fundamental
    noise: float


@dataclass(frozen=True, eq=False)
class Found:
    """Matches of the second search.

    Attributes:
        a: (M,) indices of features of image a.
        b: (M,) of image b.
        score: (M,) 1 - distance ratio along the line, in [0, 1]; at least that where nothing rivals the match.
    """

    a: Int64Array
    b: Int64Array
    score: Float64Array


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of features that agree with the epipolar geometry.

    Attributes:
        a: (E,) indices of features of image a, rising.
        b: (E,) of image b.
        across: (E,) px, residual to the perspective matrix; to the affine one where there is no other.
        unlike: (E,) distance of the descriptors over their norm.
        ratio: (E,) that distance over the smallest to a rival at another place on the line; where there is none, over
            the largest that was sought.
        known: (E,) whether the first search found it.
    """

    a: Int64Array
    b: Int64Array
    across: Float64Array
    unlike: Float64Array
    ratio: Float64Array
    known: BoolArray


def search_again(
    features: tuple[Features, Features],
    known_a: npt.NDArray[np.floating],
    known_b: npt.NDArray[np.floating],
    lines: Lines,
    settings: GuidedSettings,
) -> Found | None:
    """Search the features of two images again along the epipolar lines.

    Args:
        features: Of image a and b, those that may be matched; of a kind that `can_search` allows.
        known_a: (N, 2) px, matches of the first search that agree with the models.
        known_b: (N, 2) px in image b.
        lines: Where matches may lie.
        settings: How alike and how near to their place they must be.

    Returns:
        The matches, of which many are those of the first search again, each place once; None where too few are found
        to predict others.
    """
    points_a, points_b = (part.keypoints.astype(np.float64) for part in features)
    known = known_a.astype(np.float64), known_b.astype(np.float64)
    along = candidates(features, known, lines, settings)
    found: Found | None = None
    for _ in range(ROUNDS):
        if len(known[0]) < LEAST:
            return None
        chosen, cost = _consistent(features, points_a, points_b, along, known, lines.noise, settings)
        chosen = chosen[_best_for_both(along.a[chosen], along.b[chosen], cost)]
        a, b = along.a[chosen], along.b[chosen]
        chosen = chosen[distinct_locations(points_a[a], points_b[b], -along.unlike[chosen])]
        found = Found(along.a[chosen], along.b[chosen], 1 - np.clip(along.ratio[chosen], 0, 1))
        known = points_a[found.a], points_b[found.b]
    return found if found is not None and len(found.a) >= LEAST else None


def lines_of(fits: Fits, settings: VerifySettings) -> Lines:
    """The band of a pair's models.

    Where there is a perspective matrix it decides, in a band of `guided.band` affine thresholds; else the affine one
    alone, in its own.
    """
    wider = settings.guided.band if fits.perspective.found else 1.0
    assert fits.numbers.threshold_px is not None
    return Lines(fits.affine, wider * fits.numbers.threshold_px, fits.perspective, settings.fit.min_threshold_px)


def places_among(
    points_a: npt.NDArray[np.floating],
    points_b: npt.NDArray[np.floating],
    others_a: npt.NDArray[np.floating],
    others_b: npt.NDArray[np.floating],
) -> Int64Array:
    """Where each match stands among other matches, (N,); -1 for one that is not there.

    Args:
        points_a: (N, 2) px.
        points_b: (N, 2) px.
        others_a: (M, 2) px, with no match twice.
        others_b: (M, 2) px.
    """
    every = np.vstack([np.hstack([others_a, others_b]), np.hstack([points_a, points_b])]).astype(np.float32)
    _, first, which = np.unique(every, axis=0, return_index=True, return_inverse=True)
    place = first[which.reshape(-1)[len(others_a) :]]
    return np.where(place < len(others_a), place, -1).astype(np.int64)


def candidates(
    features: tuple[Features, Features],
    known: tuple[Float64Array, Float64Array],
    lines: Lines,
    settings: GuidedSettings,
) -> Candidates:
    """All pairs of features within the band of the lines that are alike and pass the ratio test within it."""
    points_a, points_b = (part.keypoints.astype(np.float64) for part in features)
    norms = np.linalg.norm(features[0].descriptors.astype(np.float32), axis=1)
    norm = max(float(norms.mean()) if len(norms) else 0.0, 1.0)
    # a match of no more than the largest cost, and a rival that such a match can lose to
    unlike_at_most = UNLIKE * np.sqrt(KNOWN * settings.max_cost) / settings.ratio
    bands = bands_of(points_a, points_b, lines.affine.f, lines.reach)
    a, b, squared = alike_within(bands, features, (unlike_at_most * norm) ** 2, lines)
    joint = joint_points(points_a[a], points_b[b])
    model = lines.perspective if lines.perspective.found else lines.affine
    across, unlike = model.residuals_of(joint), np.sqrt(squared.astype(np.float64)) / norm
    nearest, _ = _nearest_of(a, unlike, len(points_a))
    rival = np.linalg.norm(points_b[b] - points_b[b[nearest[a]]], axis=1) > RIVAL_PX
    second = np.full(len(points_a), unlike_at_most)  # where none was found, a rival is no nearer than was sought
    np.minimum.at(second, a[rival], unlike[rival])
    ratios = unlike / second[a]
    kept = (ratios < settings.ratio) | (settings.ratio == 1)
    a, b = a[kept], b[kept]
    first = places_among(points_a[a], points_b[b], *known) >= 0
    return Candidates(a, b, across[kept], unlike[kept], ratios[kept], first)


@dataclass(frozen=True, eq=False)
class Bands:
    """Which points of image b lie in the band of each point of image a.

    Attributes:
        order: (M,) indices of the points of image b, sorted across the lines.
        low: (N,) the first place in `order` that lies in the band of each point of image a.
        high: (N,) the place after the last one.
    """

    order: Int64Array
    low: Int64Array
    high: Int64Array


def bands_of(points_a: Float64Array, points_b: Float64Array, f: Float64Array, reach: float) -> Bands:
    """The bands of points within `reach` of an affine epipolar geometry.

    Affine epipolar lines are parallel, so the points of image b are sorted across them once.

    Args:
        points_a: (N, 2) px.
        points_b: (M, 2) px.
        f: (5,) as in `AffineFundamental`.
        reach: px.
    """
    lines, places = -(points_a @ f[2:4] + f[4]), points_b @ f[:2]
    order = np.argsort(places, kind="stable")
    low, high = (np.searchsorted(places[order], lines + shift) for shift in (-reach, reach))
    return Bands(order, low, high)


def alike_within(
    bands: Bands, features: tuple[Features, Features], limit: float, lines: Lines
) -> tuple[Int64Array, Int64Array, npt.NDArray[np.int32]]:
    """The pairs of features within the bands whose squared descriptor distance is at most `limit`.

    Where there is a perspective matrix they also agree with it (`fundamental_residuals`, here without storing any).

    Returns:
        (E,) indices into image a, rising, (E,) into image b, and (E,) their squared distances.
    """
    asked = lines.perspective.found
    matrix, noise = (lines.perspective.F, lines.noise) if asked else (np.zeros((3, 3)), np.inf)
    points_a, points_b = (
        features[0].keypoints.astype(np.float64),
        features[1].keypoints[bands.order].astype(np.float64),
    )
    descriptors = features[0].descriptors, features[1].descriptors[bands.order]
    a, place, squared = _alike(
        (bands.low, bands.high), (points_a, points_b), descriptors, np.int64(min(limit, 2**31 - 1)), matrix, noise**2
    )
    return a, bands.order[place], squared


def _consistent(
    features: tuple[Features, Features],
    points_a: Float64Array,
    points_b: Float64Array,
    along: Candidates,
    known: tuple[Float64Array, Float64Array],
    noise: float,
    settings: GuidedSettings,
) -> tuple[Int64Array, Float64Array]:
    """The candidates that move, turn and grow as the matches around them do, and what each costs."""
    asked, which = np.unique(along.a, return_inverse=True)
    maps = local_affine_maps(points_a[asked], *known, settings.neighbours)
    a, b = along.a, along.b
    off = np.linalg.norm(points_b[b] - maps.predicted[which], axis=1)
    sure = (ALONG * noise) ** 2 + (SPREAD * maps.reach[which]) ** 2
    cost = off**2 / sure + (along.across / (ACROSS * noise)) ** 2 + (along.unlike / UNLIKE) ** 2
    (scales_a, angles_a), (scales_b, angles_b) = (part.frames for part in features)
    angle = angles_b[b] - maps.turned(angles_a[asked].astype(np.float64))[which]
    angle = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    growth = np.log(scales_b[b] / scales_a[a]) - maps.log_scales()[which]
    alike = (angle < np.deg2rad(settings.max_turn_deg)) & (np.abs(growth) < np.log(settings.max_growth))
    limit = np.where(along.known, KNOWN, 1.0) * settings.max_cost
    chosen = np.flatnonzero((alike | along.known) & (cost < limit))
    return chosen, cost[chosen]


def _best_for_both(a: Int64Array, b: Int64Array, cost: Float64Array) -> BoolArray:
    """Which candidates have the lowest cost of their feature in a and of theirs in b."""
    if not len(a):
        return np.zeros(0, np.bool_)
    edges = np.arange(len(a))
    of_a, _ = _nearest_of(a, cost, int(a.max()) + 1)
    of_b, _ = _nearest_of(b, cost, int(b.max()) + 1)
    return np.asarray((of_a[a] == edges) & (of_b[b] == edges))


def _nearest_of(owner: Int64Array, value: Float64Array, n: int) -> tuple[Int64Array, Float64Array]:
    """For each of n owners its entry of the lowest value (the first of equal ones), and that value."""
    order = np.lexsort((value, owner))
    first = np.flatnonzero(np.diff(owner[order], prepend=-1))
    entry, lowest = np.zeros(n, np.int64), np.full(n, np.inf)
    entry[owner[order[first]]] = order[first]
    lowest[owner[order[first]]] = value[order[first]]
    return entry, lowest


@numba.njit(nogil=True, cache=True)
def _alike(bounds, points, descriptors, limit, matrix, noise):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    (low, high), (points_a, points_b), (descriptors_a, descriptors_b) = bounds, points, descriptors
    room, n = 1024, 0
    a, b, squared = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int32)
    for i in range(len(low)):
        one, x, y = descriptors_a[i], points_a[i, 0], points_a[i, 1]
        u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
        v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
        w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
        for j in range(low[i], high[i]):
            x, y = points_b[j, 0], points_b[j, 1]
            s = matrix[0, 0] * x + matrix[1, 0] * y + matrix[2, 0]
            t = matrix[0, 1] * x + matrix[1, 1] * y + matrix[2, 1]
            if (u * x + v * y + w) ** 2 > noise * (u * u + v * v + s * s + t * t):
                continue
            other = descriptors_b[j]
            total = np.int64(0)
            for start in range(0, len(one), AT_ONCE):  # given up early where it is too much already
                part = np.int32(0)
                for k in range(AT_ONCE):
                    difference = np.int32(one[start + k]) - np.int32(other[start + k])
                    part += difference * difference
                total += part
                if total > limit:
                    break
            if total > limit:
                continue
            if n == room:
                a, b = np.append(a, np.empty(room, np.int64)), np.append(b, np.empty(room, np.int64))
                squared = np.append(squared, np.empty(room, np.int32))
                room *= 2
            a[n], b[n], squared[n] = i, j, total
            n += 1
    return a[:n], b[:n], squared[:n]
