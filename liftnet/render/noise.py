"""Procedural noise at points of space: fractal value noise with its gradient, and cell noise.

Value noise with analytic derivatives: I. Quilez, https://iquilezles.org/articles/morenoise/. Cell noise: S. Worley, "A
cellular texture basis function", SIGGRAPH 1996. The lattice is hashed with the 32-bit finaliser of MurmurHash3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from liftnet.core.types import FloatArray

_fast: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}}


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
    span = np.float32(1.0 / 4294967295.0)
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
                    px = np.float32(a) + np.float32(h & np.uint32(1023)) * np.float32(1 / 1023.0) - x
                    py = (
                        np.float32(b) + np.float32((h >> np.uint32(10)) & np.uint32(1023)) * np.float32(1 / 1023.0) - y
                    )
                    pz = (
                        np.float32(c) + np.float32((h >> np.uint32(20)) & np.uint32(1023)) * np.float32(1 / 1023.0) - z
                    )
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
