"""Stone, bronze, plaster, wood and grounds as solid textures: colour, roughness of the surface, and gloss.

They are made of procedural noise at points of space: fractal value noise with its gradient, and cell noise.
Value noise with analytic derivatives: I. Quilez, https://iquilezles.org/articles/morenoise/. Cell noise: S. Worley, "A
cellular texture basis function", SIGGRAPH 1996. The lattice is hashed with the 32-bit finaliser of MurmurHash3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from liftnet.core.types import FloatArray

Colour = tuple[float, float, float]
_fast: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}}


# Noise


@njit(inline="always", **_fast)
def _hash(x: int, y: int, z: int, seed: int) -> np.uint32:
    # numba widens a product of two uint32 to 64 bits, hence the casts back
    h = np.uint32(np.uint32(x) * np.uint32(0x8DA6B343)) + np.uint32(np.uint32(y) * np.uint32(0xD8163841))
    h = np.uint32(h + np.uint32(np.uint32(z) * np.uint32(0xCB1AB31F)) + np.uint32(seed))
    h ^= h >> np.uint32(16)
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h ^= h >> np.uint32(13)
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@njit(inline="always", **_fast)
def _lattice(x: int, y: int, z: int, seed: int) -> np.float32:
    return np.float32(_hash(x, y, z, seed)) * np.float32(2.0 / 4294967295.0) - np.float32(1.0)


@njit(inline="always", **_fast)
def _value_noise(x: float, y: float, z: float, seed: int) -> tuple[float, float, float, float]:
    one = np.float32(1.0)
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    i, j, k = int(fx), int(fy), int(fz)
    u, v, w = x - fx, y - fy, z - fz
    su, sv, sw = u * u * (np.float32(3) - 2 * u), v * v * (np.float32(3) - 2 * v), w * w * (np.float32(3) - 2 * w)
    du, dv, dw = 6 * u * (one - u), 6 * v * (one - v), 6 * w * (one - w)
    a, b = _lattice(i, j, k, seed), _lattice(i + 1, j, k, seed)
    c, d = _lattice(i, j + 1, k, seed), _lattice(i + 1, j + 1, k, seed)
    e, f = _lattice(i, j, k + 1, seed), _lattice(i + 1, j, k + 1, seed)
    g, h = _lattice(i, j + 1, k + 1, seed), _lattice(i + 1, j + 1, k + 1, seed)
    k1, k2, k3 = b - a, c - a, e - a
    k4, k5, k6 = a - b - c + d, a - c - e + g, a - b - e + f
    k7 = b + c + e - a - d - f - g + h
    value = a + k1 * su + k2 * sv + k3 * sw + k4 * su * sv + k5 * sv * sw + k6 * sw * su + k7 * su * sv * sw
    gx = du * (k1 + k4 * sv + k6 * sw + k7 * sv * sw)
    gy = dv * (k2 + k5 * sw + k4 * su + k7 * sw * su)
    gz = dw * (k3 + k6 * su + k5 * sv + k7 * su * sv)
    return value, gx, gy, gz


@njit(**_fast)
def _fractal(
    points: FloatArray, footprint: FloatArray, seed: int, frequency: float, octaves: int, gain: float, out: FloatArray
) -> None:
    for n in range(points.shape[0]):
        scale, weight = np.float32(frequency), np.float32(1.0)
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        for octave in range(octaves):
            # an octave finer than two pixels would alias: it fades out
            visible = min(max(np.float32(2.0) - np.float32(2.0) * scale * footprint[n], np.float32(0)), np.float32(1))
            if visible <= 0:
                break
            shift = np.float32(17.3 * octave)
            value, gx, gy, gz = _value_noise(x * scale + shift, y * scale - shift, z * scale + shift, seed + octave)
            amount = weight * visible
            out[n, 0] += amount * value
            amount *= scale
            out[n, 1] += amount * gx
            out[n, 2] += amount * gy
            out[n, 3] += amount * gz
            weight *= np.float32(gain)
            scale *= np.float32(2.03)


@njit(**_fast)
def _cells(points: FloatArray, seed: int, frequency: float, out: FloatArray) -> None:
    span, step = np.float32(1.0 / 4294967295.0), np.float32(1 / 1023.0)
    for n in range(points.shape[0]):
        x = points[n, 0] * np.float32(frequency)
        y = points[n, 1] * np.float32(frequency)
        z = points[n, 2] * np.float32(frequency)
        i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
        first, second, name = np.float32(9), np.float32(9), np.uint32(0)
        for a in range(i - 1, i + 2):
            for b in range(j - 1, j + 2):
                for c in range(k - 1, k + 2):
                    h = _hash(a, b, c, seed)
                    px = np.float32(a) + np.float32(h & np.uint32(1023)) * step - x
                    py = np.float32(b) + np.float32((h >> np.uint32(10)) & np.uint32(1023)) * step - y
                    pz = np.float32(c) + np.float32((h >> np.uint32(20)) & np.uint32(1023)) * step - z
                    distance = px * px + py * py + pz * pz
                    if distance < first:
                        first, second, name = distance, first, h
                    elif distance < second:
                        second = distance
        out[n, 0] = np.sqrt(first)
        out[n, 1] = np.sqrt(second)
        out[n, 2] = np.float32(_hash(int(name), 7, 3, seed)) * span


def fractal(
    points: FloatArray, footprint: FloatArray, seed: int, frequency: float, octaves: int, gain: float = 0.6
) -> tuple[FloatArray, FloatArray]:
    """Fractal value noise.

    Args:
        points: (N, 3) float32.
        footprint: (N,) size of a pixel at each point; octaves finer than about two pixels fade out.
        seed: Seed of the lattice.
        frequency: Lattice cells a unit of the first octave; each next octave is 2.03 times finer.
        octaves: Number of octaves.
        gain: Amplitude of an octave relative to the one before.

    Returns:
        (N,) values, about within [-1, 1], and their (N, 3) gradient.
    """
    out = np.zeros((len(points), 4), np.float32)
    _fractal(points, footprint, seed & 0x7FFFFFFF, frequency, octaves, gain, out)
    return out[:, 0], out[:, 1:]


def cells(points: FloatArray, seed: int, frequency: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cell noise at (N, 3) points.

    Returns:
        (N,) distances to the nearest and to the second nearest of scattered seeds, in cells, and (N,) a number in
        [0, 1] that is the same all over a cell.
    """
    out = np.empty((len(points), 3), np.float32)
    _cells(points, seed & 0x7FFFFFFF, frequency, out)
    return out[:, 0], out[:, 1], out[:, 2]


# Materials


@dataclass(frozen=True)
class Surface:
    """What light meets at N points.

    Attributes:
        albedo: (N, 3), linear.
        bump: (N, 3) gradient of the surface's height; tilts the normal.
        gloss: Strength of the highlight.
        shininess: Exponent of the highlight.
    """

    albedo: FloatArray
    bump: FloatArray
    gloss: float = 0.0
    shininess: float = 20.0


Material = Callable[[FloatArray, FloatArray], Surface]


def _mix(a: Colour | FloatArray, b: Colour | FloatArray, share: FloatArray) -> FloatArray:
    share = share[:, None]
    return (np.asarray(a, np.float32) * (1 - share) + np.asarray(b, np.float32) * share).astype(np.float32)


def _step(low: float, high: float, value: FloatArray) -> FloatArray:
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _tint(rng: np.random.Generator, colour: Colour, spread: float = 0.08) -> Colour:
    bright, shift = rng.uniform(1 - 2 * spread, 1 + spread), rng.uniform(-spread, spread, 3)
    r, g, b = np.clip(np.array(colour) * bright * (1 + shift), 0.01, 0.95)
    return float(r), float(g), float(b)


def marble(rng: np.random.Generator) -> Material:
    """Pale or dark stone with thin veins, clouds and fine crystals."""
    seed, dark = int(rng.integers(1 << 30)), rng.random() < 0.25
    base = _tint(rng, (0.10, 0.12, 0.11) if dark else (0.72, 0.68, 0.62))
    vein = _tint(rng, (0.6, 0.58, 0.5) if dark else (0.22, 0.22, 0.23), 0.2)
    width, frequency = rng.uniform(0.05, 0.11), rng.uniform(1.3, 2.6)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        cloud, _ = fractal(p, footprint, seed, frequency, 6, 0.55)
        grain, bump = fractal(p, footprint, seed + 50, 14, 5, 0.8)
        veins = np.exp(-np.abs(cloud) / np.float32(width)) * np.float32(0.85)
        share = np.clip(veins + 0.10 * np.abs(grain) ** 1.5 + 0.1 * cloud, 0, 1)
        albedo = _mix(base, vein, share) * (1 + np.float32(0.22) * grain)[:, None]
        return Surface(albedo, bump * np.float32(0.004), 0.12, 30)

    return material


def granite(rng: np.random.Generator) -> Material:
    """Grey, red or green stone of many crystals."""
    seed = int(rng.integers(1 << 30))
    palette = [(0.42, 0.40, 0.38), (0.45, 0.32, 0.27), (0.30, 0.34, 0.31), (0.52, 0.50, 0.47)]
    base = _tint(rng, palette[rng.integers(4)])
    frequency = rng.uniform(34, 52)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        near, _, name = cells(p, seed, frequency)
        _, _, fine = cells(p, seed + 1, frequency * 2.3)
        cloud, bump = fractal(p, footprint, seed + 2, 2.5, 7, 0.7)
        dark = _step(0.68, 0.74, name) * _step(0.75, 0.55, near)
        bright = _step(0.24, 0.18, name) * _step(0.7, 0.5, near)
        tone = 1 + np.float32(0.5) * (fine - 0.5) + np.float32(0.16) * cloud
        albedo = _mix(base, (0.07, 0.07, 0.075), dark * np.float32(0.85))
        albedo = _mix(albedo, (0.72, 0.68, 0.62), bright * np.float32(0.7)) * tone[:, None]
        return Surface(albedo, bump * np.float32(0.003), 0.08, 25)

    return material


def sandstone(rng: np.random.Generator) -> Material:
    """Warm layered stone, pitted."""
    seed = int(rng.integers(1 << 30))
    base = _tint(rng, (0.58, 0.45, 0.30))
    other = _tint(rng, (0.40, 0.26, 0.16), 0.15)
    layers, tilt = rng.uniform(5, 11), rng.normal(size=3) * 0.25 + [0, 0, 1]

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        warp, _ = fractal(p, footprint, seed, 2.2, 4, 0.6)
        grain, bump = fractal(p, footprint, seed + 1, 11, 5, 0.85)
        bed = np.sin(np.float32(layers) * (p @ tilt.astype(np.float32)) + 2.5 * warp)
        near, _, name = cells(p, seed + 2, 13)
        pit = _step(0.30, 0.16, near) * _step(0.45, 0.55, name)
        albedo = _mix(base, other, _step(-0.6, 1.0, bed) * np.float32(0.7)) * (1 + 0.25 * grain)[:, None]
        return Surface(albedo * (1 - 0.65 * pit)[:, None], bump * np.float32(0.007))

    return material


def bronze(rng: np.random.Generator) -> Material:
    """Brown metal with green patina, streaked by rain."""
    seed = int(rng.integers(1 << 30))
    metal = _tint(rng, (0.20, 0.115, 0.055), 0.2)
    patina = _tint(rng, (0.16, 0.34, 0.27), 0.2)
    amount = rng.uniform(-0.35, 0.4)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        streaked = p * np.array([1, 1, 0.35], np.float32)
        stain, _ = fractal(streaked, footprint, seed, 3.5, 6, 0.72)
        grain, bump = fractal(p, footprint, seed + 1, 12, 5, 0.8)
        near, _, name = cells(p, seed + 2, 17)
        spots = _step(0.42, 0.25, near) * _step(0.5, 0.6, name)
        share = np.clip(_step(-0.25, 0.5, stain + np.float32(amount)) * 0.85 + 0.5 * spots, 0, 1)
        albedo = _mix(metal, patina, share) * (1 + 0.35 * grain)[:, None]
        return Surface(albedo, bump * np.float32(0.006), 0.5, 14)

    return material


def plaster(rng: np.random.Generator) -> Material:
    """White casts with pits, scratches, seams and stains."""
    seed = int(rng.integers(1 << 30))
    base, stain_colour = _tint(rng, (0.74, 0.71, 0.64), 0.05), _tint(rng, (0.38, 0.30, 0.20), 0.15)
    pits = rng.uniform(10, 16)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        stain, _ = fractal(p, footprint, seed, 2.6, 7, 0.72)
        trowel, bump = fractal(p * np.array([1, 1, 2.2], np.float32), footprint, seed + 1, 6, 6, 0.8)
        near, _, name = cells(p, seed + 2, pits)
        pit = _step(0.28, 0.14, near) * _step(0.4, 0.5, name)
        near, _, name = cells(p, seed + 3, pits * 2.1)
        pit = np.maximum(pit, _step(0.3, 0.15, near) * _step(0.55, 0.65, name))
        albedo = _mix(base, stain_colour, _step(0.1, 1.1, stain) * np.float32(0.7)) * (1 + 0.16 * trowel)[:, None]
        return Surface(albedo * (1 - 0.7 * pit)[:, None], bump * np.float32(0.008))

    return material


def wood(rng: np.random.Generator) -> Material:
    """Rings, fibres and cracks along one direction."""
    seed = int(rng.integers(1 << 30))
    base, late = _tint(rng, (0.42, 0.25, 0.13), 0.15), _tint(rng, (0.17, 0.085, 0.04), 0.15)
    frequency, centre = rng.uniform(26, 44), rng.uniform(-0.5, 0.5, 2).astype(np.float32)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        along = p * np.array([1, 1, 0.12], np.float32)
        warp, _ = fractal(p * np.array([1, 1, 0.5], np.float32), footprint, seed, 2.0, 4, 0.5)
        fibre, bump = fractal(along, footprint, seed + 1, 26, 4, 0.8)
        grain, _ = fractal(p, footprint, seed + 3, 10, 5, 0.8)
        rings = np.sin(np.float32(frequency) * (np.hypot(p[:, 0] - centre[0], p[:, 1] - centre[1]) + 0.12 * warp))
        near, _, name = cells(along, seed + 2, 9)
        crack = _step(0.2, 0.1, near) * _step(0.5, 0.6, name)
        share = np.clip(_step(-0.2, 1.0, rings) * 0.6 + 0.25 * fibre, 0, 1)
        albedo = _mix(base, late, share) * (1 + 0.28 * grain)[:, None] * (1 - 0.75 * crack)[:, None]
        return Surface(albedo, bump * np.array([1, 1, 0.12], np.float32) * np.float32(0.004), 0.1, 18)

    return material


def terracotta(rng: np.random.Generator) -> Material:
    """Fired clay, red to ochre, with finger marks and grit."""
    seed = int(rng.integers(1 << 30))
    base, burnt = _tint(rng, (0.50, 0.22, 0.12), 0.12), _tint(rng, (0.22, 0.11, 0.08), 0.15)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        burn, _ = fractal(p, footprint, seed, 2.4, 7, 0.7)
        marks, bump = fractal(p, footprint, seed + 1, 7, 6, 0.8)
        near, _, name = cells(p, seed + 2, 22)
        grit = _step(0.32, 0.18, near)
        albedo = _mix(base, burnt, _step(-0.2, 0.9, burn) * np.float32(0.8)) * (1 + 0.2 * marks)[:, None]
        albedo = _mix(albedo, (0.75, 0.66, 0.52), grit * _step(0.7, 0.78, name))
        return Surface(_mix(albedo, (0.06, 0.04, 0.03), grit * _step(0.25, 0.2, name)), bump * np.float32(0.007))

    return material


MATERIALS: dict[str, Callable[[np.random.Generator], Material]] = {
    make.__name__: make for make in (marble, granite, sandstone, bronze, plaster, wood, terracotta)
}


def paint(rng: np.random.Generator) -> Material:
    """One smooth colour without texture, as CAD models have."""
    colour = rng.uniform(0.08, 0.75, 3).astype(np.float32)
    gloss = float(rng.uniform(0.0, 0.3))

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        return Surface(np.tile(colour, (len(p), 1)), np.zeros((len(p), 3), np.float32), gloss, 30.0)

    return material


# Grounds and walls


def grass(rng: np.random.Generator) -> Material:
    """A lawn with worn patches."""
    seed = int(rng.integers(1 << 30))
    green, dry = _tint(rng, (0.10, 0.19, 0.04), 0.15), _tint(rng, (0.26, 0.22, 0.09), 0.15)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        patch, _ = fractal(p, footprint, seed, 0.6, 5, 0.6)
        blade, bump = fractal(p, footprint, seed + 1, 7, 5, 0.9)
        albedo = _mix(green, dry, _step(-0.2, 0.9, patch)) * np.clip(1 + 0.55 * blade, 0.15, 2.5)[:, None]
        return Surface(albedo, bump * np.float32(0.006))

    return material


def tiles(rng: np.random.Generator) -> Material:
    """Square slabs with joints, each of its own tone."""
    seed, size = int(rng.integers(1 << 30)), rng.uniform(0.5, 1.1)
    one, two = _tint(rng, (0.42, 0.38, 0.33), 0.25), _tint(rng, (0.24, 0.21, 0.19), 0.25)
    checked = rng.random() < 0.4

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        place = p / np.float32(size) + np.float32(0.31)
        slab = np.floor(place)
        edge = np.abs(place - slab - np.float32(0.5)).max(1)
        _, _, tone = cells((slab + 0.5).astype(np.float32), seed, 1.0)
        cloud, bump = fractal(p + slab * np.float32(5.7), footprint, seed + 1, 4, 6, 0.75)
        share = np.mod(slab.sum(1), 2) if checked else tone
        albedo = _mix(one, two, share.astype(np.float32)) * (1 + 0.25 * cloud)[:, None]
        return Surface(albedo * (1 - 0.6 * _step(0.48, 0.49, edge))[:, None], bump * np.float32(0.003), 0.05, 20)

    return material


def planks(rng: np.random.Generator) -> Material:
    """A floor of boards."""
    seed, width = int(rng.integers(1 << 30)), rng.uniform(0.25, 0.5)
    inner = wood(rng)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        board = np.floor(p[:, 0] / np.float32(width))
        edge = np.abs(p[:, 0] / np.float32(width) - board - np.float32(0.5))
        _, _, tone = cells(np.stack([board + 0.5, board * 0, board * 0], 1).astype(np.float32), seed, 1.0)
        along = np.stack([p[:, 0] * 0.6 + board * 3.1, p[:, 2] + tone, p[:, 1]], 1).astype(np.float32)
        surface = inner(along, footprint)
        shade = (0.75 + 0.7 * tone) * (1 - 0.7 * _step(0.46, 0.49, edge))
        return Surface(surface.albedo * shade[:, None], surface.bump[:, [0, 2, 1]], 0.08, 20)

    return material


def bricks(rng: np.random.Generator) -> Material:
    """A wall of courses."""
    seed, high = int(rng.integers(1 << 30)), rng.uniform(0.16, 0.3)
    brick, mortar = _tint(rng, (0.38, 0.17, 0.11), 0.2), _tint(rng, (0.5, 0.47, 0.42), 0.1)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        course = np.floor(p[:, 2] / np.float32(high))
        run = (p[:, 0] + p[:, 1]) / np.float32(2.6 * high) + 0.5 * np.mod(course, 2)
        number = np.floor(run)
        where = np.stack([number + 0.5, course + 0.5, 0 * course], 1).astype(np.float32)
        _, _, tone = cells(where, seed, 1.0)
        edge = np.maximum(np.abs(run - number - 0.5) - 0.44, (np.abs(p[:, 2] / high - course - 0.5) - 0.40))
        cloud, bump = fractal(p, footprint, seed + 1, 5, 6, 0.75)
        albedo = _mix(brick, mortar, _step(0.0, 0.03, edge)) * (0.65 + 0.7 * tone)[:, None]
        albedo = albedo * (1 + 0.3 * cloud)[:, None]
        return Surface(albedo.astype(np.float32), bump * np.float32(0.004))

    return material


def painted(rng: np.random.Generator) -> Material:
    """A painted or papered wall, stained, with marks."""
    seed = int(rng.integers(1 << 30))
    colours = [(0.55, 0.52, 0.46), (0.30, 0.36, 0.40), (0.42, 0.28, 0.24), (0.33, 0.38, 0.28), (0.65, 0.6, 0.5)]
    base = _tint(rng, colours[rng.integers(5)], 0.15)
    pattern, frequency = rng.random() < 0.5, rng.uniform(5, 11)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        stain, bump = fractal(p, footprint, seed, 0.7, 8, 0.7)
        albedo = np.asarray(base, np.float32) * (1 + 0.22 * stain)[:, None]
        if pattern:
            motif = np.sin(frequency * (p[:, 0] + p[:, 1])) * np.sin(frequency * p[:, 2])
            albedo = albedo * (1 - 0.35 * _step(0.3, 0.5, motif))[:, None]
        return Surface(albedo.astype(np.float32), bump * np.float32(0.002))

    return material


def gravel(rng: np.random.Generator) -> Material:
    """Loose stones."""
    seed, frequency = int(rng.integers(1 << 30)), rng.uniform(5, 9)
    base = _tint(rng, (0.40, 0.36, 0.30), 0.15)

    def material(p: FloatArray, footprint: FloatArray) -> Surface:
        near, second, name = cells(p, seed, frequency)
        cloud, bump = fractal(p, footprint, seed + 1, 6, 5, 0.8)
        tone = (0.45 + 0.9 * name) * (1 - 0.75 * _step(0.14, 0.02, second - near)) * (1 + 0.2 * cloud)
        return Surface((np.asarray(base, np.float32) * tone[:, None]).astype(np.float32), bump * np.float32(0.006))

    return material


FLOORS = {"grass": grass, "tiles": tiles, "planks": planks, "gravel": gravel}
WALLS = {"bricks": bricks, "painted": painted, "plaster": plaster}
