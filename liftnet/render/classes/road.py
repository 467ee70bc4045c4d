"""Cars and buses. They drive towards -y."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import BLACK, GLASS, LIGHT, METALS, Model
from liftnet.render.classes.primitives import ball, beam, box, cushion, lathe, loft, mirrored, rod, slab, smooth_path
from liftnet.render.random_source import RandomSource

# Roof lines: pairs of y and z as shares of length and height; then where the windows begin and end.
BODIES: dict[str, tuple[tuple[tuple[float, float], ...], tuple[float, ...]]] = {
    "saloon": (((-0.22, 0.62), (-0.06, 0.97), (0.14, 1.0), (0.3, 0.66)), (-0.19, 0.26)),
    "hatch": (((-0.26, 0.62), (-0.1, 0.97), (0.25, 1.0), (0.45, 0.64)), (-0.22, 0.4)),
    "estate": (((-0.22, 0.62), (-0.07, 0.97), (0.4, 0.97), (0.47, 0.64)), (-0.19, 0.43)),
    "coupe": (((-0.14, 0.64), (0.04, 0.96), (0.14, 0.98), (0.42, 0.68)), (-0.11, 0.32)),
    "jeep": (((-0.18, 0.6), (-0.13, 0.98), (0.45, 1.0), (0.48, 0.58)), (-0.16, 0.44)),
    "pickup": (((-0.2, 0.6), (-0.08, 0.98), (0.06, 1.0), (0.1, 0.6)), (-0.17, 0.08)),
    "van": (((-0.4, 0.6), (-0.27, 0.97), (0.46, 1.0), (0.48, 0.55)), (-0.36, 0.1)),
    "open": (((-0.14, 0.62), (-0.07, 0.92), (-0.05, 0.92), (-0.02, 0.6)), (-0.13, -0.05)),
}


def wheel(
    at: tuple[float, float, float], radius: float, width: float, sides: int = 28
) -> tuple[TriangleMesh, TriangleMesh]:
    """Tyre and rim of a wheel whose axle lies along x."""
    edge = min(radius * 0.15, width * 0.3)
    tyre = [(-width / 2, radius * 0.7), (-width / 2, radius - edge), (edge - width / 2, radius)]
    tyre += [(width / 2 - edge, radius), (width / 2, radius - edge), (width / 2, radius * 0.7)]
    rim = [(-width * 0.46, radius * 0.1), (-width * 0.52, radius * 0.6), (width * 0.52, radius * 0.6)]
    return lathe(tyre, at, (1, 0, 0), sides), lathe([*rim, (width * 0.46, radius * 0.1)], at, (1, 0, 0), sides)


def _wheels(m: Model, d: RandomSource, axles: list[float], across: float, radius: float, width: float) -> None:
    metal = d.colour(*METALS)
    for y in axles:
        for x in (-across, across):
            tyre, rim = wheel((x, y, radius), radius, width)
            m.add(BLACK, tyre)
            m.add(metal, rim)


def car(d: RandomSource) -> Model:
    """Saloons, hatchbacks, estates, coupes, jeeps, pick-ups, vans and open cars."""
    m, paint = Model(), d.colour()
    kind = d.choice(tuple(BODIES))
    roof, (front, rear) = BODIES[kind]
    tall_kind = kind in ("jeep", "van", "pickup")
    long, wide = d.uniform(3.9, 4.9), d.uniform(1.7, 1.95)
    tall = d.uniform(1.75, 2.1) if tall_kind else d.uniform(1.25, 1.55)
    radius = d.uniform(0.36, 0.44) if tall_kind else d.uniform(0.28, 0.34)
    axles = [-long * d.uniform(0.29, 0.33), long * d.uniform(0.28, 0.32)]
    low, hood = radius * d.uniform(0.65, 0.9), d.uniform(0.5, 0.6)
    belt = 0.64 * tall
    y = np.linspace(-long / 2, long / 2, 72)
    share = y / long
    nose = smooth_path(
        [(-0.5, hood - 0.14), (-0.47, hood), (-0.25, 0.62), (0.1, 0.66), (0.42, 0.64), (0.49, 0.58), (0.5, 0.4)], 80
    )
    top = np.interp(share, nose[:, 0], nose[:, 1]) * tall
    if kind == "pickup":
        top = np.minimum(top, belt)
    bottom = _arches(y, axles, radius, low)
    bottom = np.minimum(bottom, top - 0.03)
    m.add(paint, _body(y, bottom, top, wide, d.uniform(0.82, 0.94)))
    line = smooth_path([(u * long, v * tall) for u, v in roof], 24)
    inside = wide * d.uniform(0.8, 0.88)
    base = np.c_[line[:, 0], np.full(len(line), belt * 0.9)]
    if kind != "open":
        m.add(paint, slab(base, line, inside, d.uniform(0.78, 0.9) if not tall_kind else 0.93))
    glass = line.copy()
    glass[:, 1] = np.maximum(glass[:, 1] - 0.07, belt)
    number = d.integer(1, 2) + 1
    edges = np.linspace(front, rear, number + 1) * long
    for a, b in pairwise(edges):
        at = np.linspace(a + 0.05, b - 0.05, 8)
        upper = np.interp(at, glass[:, 0], glass[:, 1]) - 0.02
        m.add(
            GLASS,
            slab(
                np.c_[at, np.minimum(belt + 0.02, upper - 0.01) + 0 * at],
                np.c_[at, upper],
                inside + 0.02,
                0.93 if tall_kind else 0.86,
            ),
        )
    for a, b in ((line[1], line[7]), (line[-8], line[-2])):
        shift = np.array([(-1 if a is line[1] else 1) * 0.03, 0.015])
        m.add(GLASS, beam((0, *(a + shift)), (0, *(b + shift)), inside * 0.8, 0.03))
    if kind == "open":
        m.add(d.colour(), *mirrored(cushion((wide * 0.2, 0.1 * long, belt + 0.1), (0.45, 0.16, 0.5))))
    if kind == "pickup":
        m.add(BLACK, box((0, 0.3 * long, belt), (wide * 0.8, long * 0.32, 0.03)))
        m.add(paint, *mirrored(box((wide * 0.42, 0.3 * long, belt + 0.06), (0.08, long * 0.38, 0.18))))
    m.add(LIGHT, *mirrored(ball((wide * 0.36, -long * 0.485, hood * tall - 0.12), (0.13, 0.1, 0.08), 8)))
    m.add((0.5, 0.02, 0.02), *mirrored(box((wide * 0.38, long * 0.495, belt * 0.85), (0.2, 0.06, 0.1))))
    m.add(
        d.colour(BLACK, paint),
        cushion((0, -long * 0.49, low + 0.1), (wide * 0.96, 0.16, 0.18)),
        cushion((0, long * 0.49, low + 0.1), (wide * 0.96, 0.16, 0.18)),
    )
    m.add(paint, *mirrored(ball((wide / 2 + 0.06, front * long + 0.1, belt + 0.04), (0.1, 0.06, 0.07), 6)))
    if d.chance(0.25):
        m.add(d.colour(BLACK), *mirrored(rod((0.4, 0, tall), (0.4, long * 0.3, tall), 0.025)))
    _wheels(m, d, axles, wide / 2 - 0.1, radius, 0.22)
    return m


def _arches(y: FloatArray, axles: list[float], radius: float, low: float) -> FloatArray:
    """Height of the underside along a car, cut out over its wheels."""
    bottom = np.full(len(y), low)
    for axle in axles:
        arch = radius + np.sqrt(np.maximum((1.18 * radius) ** 2 - (y - axle) ** 2, 0))
        bottom = np.where(np.abs(y - axle) < 1.18 * radius, np.maximum(arch, low), bottom)
    return bottom


def _body(y: FloatArray, bottom: FloatArray, top: FloatArray, wide: float, tumble: float) -> TriangleMesh:
    """A car's body: its plan is rounded at both ends, its sides lean in above the waist."""
    share = 2 * (y - y[0]) / (y[-1] - y[0]) - 1
    half = wide / 2 * (1 - 0.22 * np.abs(share) ** 6 - 0.05 * share**2)
    waist = bottom + 0.6 * (top - bottom)
    points = [(-0.97, bottom), (0.97, bottom), (1.0, waist), (tumble, top - 0.02), (tumble * 0.9, top)]
    points += [(-tumble * 0.9, top), (-tumble, top - 0.02), (-1.0, waist)]
    return loft(np.stack([np.stack([half * x, y, z], 1) for x, z in points], 1))


def bus(d: RandomSource) -> Model:
    """City and touring buses, double-deckers, school buses with a bonnet, minibuses."""
    m, paint, trim = Model(), d.colour(), d.colour()
    kind = d.choice(("city", "city", "coach", "double", "school", "mini"))
    long = {"mini": d.uniform(5, 6.5), "school": d.uniform(7, 9)}.get(kind, d.uniform(8.5, 12))
    wide, base = d.uniform(2.2, 2.55), d.uniform(0.3, 0.45)
    tall = {"double": d.uniform(4.0, 4.4), "coach": d.uniform(3.3, 3.7), "mini": d.uniform(2.4, 2.7)}.get(
        kind, d.uniform(2.8, 3.1)
    )
    radius, bonnet = d.uniform(0.42, 0.5), d.uniform(1.0, 1.6) if kind == "school" else 0.0
    start = -long / 2 + bonnet
    middle, body = start / 2 + long / 4, long - bonnet
    m.add(paint, box((0, middle, (base + tall) / 2), (wide, body, tall - base), d.uniform(0.06, 0.3), 5))
    if bonnet:
        m.add(paint, cushion((0, start - bonnet / 2 + 0.2, base + 0.6), (wide * 0.8, bonnet + 0.5, 1.1), 0.45))
    decks = [(base + 1.0, tall - 0.35)] if kind != "double" else [(base + 0.8, base + 1.65), (base + 2.35, tall - 0.3)]
    number = d.integer(4, 9) if kind != "mini" else d.integer(3, 4)
    for low, high in decks:
        edges = np.linspace(start + 0.35, long / 2 - 0.3, number + 1)
        for a, b in pairwise(edges):
            m.add(
                GLASS,
                box(
                    (0, (a + b) / 2, (low + high) / 2), (wide + 0.04, (b - a) * d.uniform(0.86, 0.9), high - low), 0.02
                ),
            )
        m.add(GLASS, box((0, start, (low + high) / 2 - 0.05), (wide * 0.86, 0.06, (high - low) * 1.2), 0.02))
        m.add(GLASS, box((0, long / 2, (low + high) / 2), (wide * 0.7, 0.05, (high - low) * 0.8), 0.02))
    m.add(trim, box((0, middle, base + 0.75), (wide + 0.03, body * 0.98, d.uniform(0.08, 0.3))))
    if kind == "city" or d.chance(0.3):
        m.add(
            trim,
            box(
                (0, middle + d.uniform(-0.2, 0.2) * body, tall + 0.1), (wide * 0.7, body * d.uniform(0.15, 0.4), 0.26)
            ),
        )
    for y in (start + 0.8, middle + d.uniform(0, 0.15) * body):
        m.add(BLACK, box((wide / 2, y, base + 0.95), (0.05, 0.8, 1.5)))
        m.add(GLASS, box((wide / 2 + 0.012, y, base + 1.1), (0.05, 0.62, 1.0)))
    m.add(LIGHT, *mirrored(ball((wide * 0.38, -long / 2, base + 0.45), (0.16, 0.08, 0.14), 8)))
    m.add(
        BLACK,
        *mirrored(
            beam((wide / 2 + 0.18, start - 0.15, tall * 0.62), (wide / 2 + 0.18, start - 0.15, tall * 0.78), 0.2, 0.06)
        ),
    )
    m.add(
        BLACK,
        *mirrored(
            rod((wide / 2 - 0.1, start, tall * 0.8), (wide / 2 + 0.18, start - 0.15, tall * 0.78), 0.025, sides=8)
        ),
    )
    m.add(
        BLACK,
        box((0, -long / 2, base + 0.15), (wide, 0.16, 0.25)),
        box((0, long / 2, base + 0.15), (wide, 0.16, 0.25)),
    )
    axles = [start + d.uniform(1.0, 2.2) if not bonnet else -long / 2 + bonnet * 0.7, long / 2 - d.uniform(1.6, 2.6)]
    if kind in ("coach", "double") and d.chance(0.5):
        axles.append(axles[1] + 2.1 * radius)
    _wheels(m, d, axles, wide / 2 - 0.12, radius, 0.3)
    return m
