"""Trains. They drive towards -y."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import BLACK, GLASS, LIGHT, METALS, Model
from liftnet.render.classes.primitives import ball, beam, box, lathe, loft, mirrored, rod, slab
from liftnet.render.classes.road import wheel
from liftnet.render.random_source import Colour, RandomSource


def train(d: RandomSource) -> Model:
    """Steam and diesel engines, express heads, trams, with none to three wagons behind."""
    m, paint = Model(), d.colour()
    kind = d.choice(("steam", "steam", "diesel", "express", "tram"))
    wide, end = d.uniform(0.85, 1.0), 0.0
    if kind == "steam":
        end = _steam(m, d, paint, wide)
    else:
        long, tall = d.uniform(3.0, 5.0), d.uniform(1.1, 1.3)
        end = long
        _coach(m, d, paint, (wide, 0.0, long, tall), kind)
    for _ in range(d.integer(0, 2) if kind != "express" else d.integer(1, 2)):
        long = d.uniform(2.2, 3.4)
        box_kind = d.choice(("coach", "coach", "tank", "open", "box")) if kind in ("steam", "diesel") else kind
        m.add(BLACK, beam((0, end - 0.1, 0.35), (0, end + 0.25, 0.35), 0.12))
        start = end + 0.14
        end = start + long
        if box_kind in ("coach", "tram", "express"):
            _coach(m, d, paint if d.chance(0.6) else d.colour(), (wide, start, end, d.uniform(1.05, 1.2)), "coach")
            continue
        own = d.colour()
        m.add(BLACK, box((0, (start + end) / 2, 0.35), (wide, long, 0.1)))
        _bogies(m, start, end, wide)
        if box_kind == "tank":
            m.add(
                own,
                cushion_tank((start + end) / 2, long, wide),
                lathe([(0, 0.15), (0.5, 0.15)], (0, (start + end) / 2, 0.8)),
            )
        elif box_kind == "open":
            m.add(own, *mirrored(box((wide / 2, (start + end) / 2, 0.6), (0.06, long, 0.5))))
            m.add(own, *(box((0, y, 0.6), (wide, 0.06, 0.5)) for y in (start, end)))
            m.add(
                (0.04, 0.04, 0.04),
                *(
                    ball((0, y, 0.55), (wide * 0.45, 0.4, d.uniform(0.2, 0.4)), 6)
                    for y in np.linspace(start + 0.5, end - 0.5, 3)
                ),
            )
        else:
            m.add(
                own,
                box((0, (start + end) / 2, 0.85), (wide, long, 0.95)),
                box((0, (start + end) / 2, 0.85), (wide * 1.04, long * 0.3, 0.8)),
            )
    return m


def cushion_tank(middle: float, long: float, wide: float) -> TriangleMesh:
    """A lying tank with domed ends."""
    half, radius = long / 2, wide * 0.46
    profile = [
        (-half, 0.0),
        (-half * 0.97, radius * 0.6),
        (-half * 0.9, radius),
        (half * 0.9, radius),
        (half * 0.97, radius * 0.6),
    ]
    return lathe([*profile, (half, 0.0)], (0, middle, 0.38 + radius), (0, 1, 0))


def _bogies(m: Model, start: float, end: float, wide: float) -> None:
    for middle in (start + 0.55, end - 0.55):
        for y in (middle - 0.24, middle + 0.24):
            m.add(BLACK, *(part for x in (-wide * 0.4, wide * 0.4) for part in wheel((x, y, 0.17), 0.17, 0.08, 16)))
        m.add(BLACK, *mirrored(box((wide * 0.42, middle, 0.24), (0.06, 0.8, 0.12))))


def _coach(m: Model, d: RandomSource, paint: Colour, sizes: tuple[float, float, float, float], kind: str) -> None:
    """A coach, tram or engine with a plain, sloped or pointed front at the lower y."""
    wide, start, end, tall = sizes
    base, half = 0.3, wide / 2
    roof = d.uniform(0.12, 0.25)
    section = [(-half, base), (half, base), (half * 1.02, base + 0.4 * (tall - base)), (half * 0.97, tall - roof)]
    section += [
        (half * 0.6, tall - roof * 0.2),
        (0, tall),
        (-half * 0.6, tall - roof * 0.2),
        (-half * 0.97, tall - roof),
    ]
    section += [(-half * 1.02, base + 0.4 * (tall - base))]
    outline = np.array(section)
    nose = {"express": d.uniform(0.9, 1.6), "diesel": d.uniform(0.05, 0.5)}.get(kind, 0.05)
    rings = []
    for share in np.linspace(0, 1, 10) if nose > 0.06 else (0.0, 1.0):
        size = np.sqrt(1 - (1 - share) ** 2 * (0.92 if kind == "express" else 0.35)) if nose > 0.06 else 1.0
        points = (outline - [0, base]) * [0.45 + 0.55 * size, size] + [0, base]
        rings.append(np.c_[points[:, 0], np.full(len(points), start + share * nose), points[:, 1]])
    rings.append(np.c_[outline[:, 0], np.full(len(outline), end), outline[:, 1]])
    m.add(paint, loft(np.array(rings)))
    _bogies(m, start, end, wide)
    low, high = base + 0.42 * (tall - base), tall - roof - 0.05
    edges = np.linspace(start + max(nose, 0.25), end - 0.2, d.integer(4, 9) + 1)
    for a, b in pairwise(edges):
        if kind == "diesel" and a > edges[1]:
            m.add(BLACK, box((0, (a + b) / 2, (low + high) / 2), (wide * 1.04, (b - a) * 0.8, (high - low) * 0.5)))
        else:
            m.add(GLASS, box((0, (a + b) / 2, (low + high) / 2), (wide * 1.045, (b - a) * 0.75, high - low)))
    m.add(d.colour(), box((0, (start + nose + end) / 2, low - 0.12), (wide * 1.045, end - start - nose - 0.1, 0.08)))
    if kind == "coach":
        return
    at = start + nose * 0.28
    m.add(GLASS, box((0, at, low + 0.6 * (high - low)), (wide * 0.75, 0.12 + nose * 0.35, (high - low) * 0.7), 0.03))
    m.add(LIGHT, *mirrored(ball((wide * 0.3, start + 0.02, base + 0.14), 0.07, 6)))
    if kind == "tram" or d.chance(0.5):
        y = (start + end) / 2
        m.add(
            BLACK,
            rod((0, y, tall), (0, y + 0.3, tall + 0.25), 0.02),
            rod((0, y + 0.3, tall + 0.25), (0, y, tall + 0.5), 0.02),
        )
        m.add(BLACK, rod((-wide * 0.4, y, tall + 0.5), (wide * 0.4, y, tall + 0.5), 0.025))
    elif kind == "diesel":
        m.add(
            BLACK,
            *(
                lathe([(0, 0.16), (0.06, 0.16), (0.07, 0.02)], (0, y, tall - 0.02))
                for y in np.linspace(start + 1, end - 0.5, 3)
            ),
        )


def _steam(m: Model, d: RandomSource, paint: Colour, wide: float) -> float:
    """A steam engine with its tender; returns where it ends."""
    boiler, radius, height = d.uniform(1.7, 2.6), d.uniform(0.3, 0.42), d.uniform(0.75, 0.9)
    dark = d.colour(BLACK, paint)
    m.add(
        dark,
        lathe(
            [(0, 0), (0.0, radius * 0.9), (0.05, radius), (boiler, radius), (boiler, 0)], (0, 0.1, height), (0, 1, 0)
        ),
    )
    m.add(
        d.colour(*METALS), lathe([(0, radius * 0.6), (-0.04, radius * 0.55), (-0.06, 0)], (0, 0.1, height), (0, 1, 0))
    )
    for y in np.linspace(0.35, boiler - 0.1, d.integer(2, 4)):
        m.add(paint, lathe([(-0.03, radius * 1.03), (0.03, radius * 1.03)], (0, y, height), (0, 1, 0)))
    flare = d.uniform(0.1, 0.24)
    top = height + radius
    m.add(dark, lathe([(0, 0.13), (0.2, 0.11), (0.36, flare), (0.42, flare)], (0, 0.35, top - 0.06)))
    for y in np.linspace(0.9, boiler - 0.3, d.integer(1, 3)):
        m.add(
            d.colour((0.6, 0.45, 0.12), dark),
            lathe([(0, 0.14), (0.14, 0.14), (0.2, 0.1), (0.22, 0)], (0, y, top - 0.06)),
        )
    m.add(
        paint,
        box((0, boiler + 0.35, 0.95), (wide, 0.75, 1.0)),
        box((0, boiler + 0.35, 1.52), (wide * 1.15, 1.0, 0.08), 0.03, 3),
    )
    m.add(GLASS, box((0, boiler + 0.35, 1.2), (wide * 1.03, 0.35, 0.32)))
    m.add(dark, box((0, boiler / 2 + 0.35, 0.42), (wide * 0.9, boiler + 0.8, 0.1)))
    m.add(
        (0.4, 0.03, 0.02),
        slab(
            np.array([[-0.32, 0.06], [0, 0.1], [0.05, 0.1]]),
            np.array([[-0.3, 0.08], [0, 0.42], [0.05, 0.42]]),
            wide * 0.9,
        ),
    )
    large, number = d.uniform(0.26, 0.36), d.integer(2, 4)
    places = np.linspace(boiler * 0.42, boiler + 0.4, number)
    if number > 1:
        large = min(large, (places[1] - places[0]) * 0.48)
    for y, size in [(0.2, 0.16), (0.55, 0.16), *((y, large) for y in places)]:
        m.add(
            paint if size > 0.2 else BLACK,
            *(part for x in (-wide * 0.42, wide * 0.42) for part in wheel((x, y, size), size, 0.08, 24)),
        )
    m.add(
        d.colour(*METALS),
        *mirrored(beam((wide * 0.5, 0.45, large), (wide * 0.5, places[-1], large * 0.8), 0.04, 0.06)),
    )
    m.add(dark, *mirrored(rod((wide * 0.45, 0.2, 0.36), (wide * 0.45, 0.6, 0.36), 0.13)))
    start, end = boiler + 0.95, boiler + d.uniform(2.0, 2.6)
    m.add(paint, box((0, (start + end) / 2, 0.72), (wide, end - start, 0.75)))
    m.add((0.03, 0.03, 0.03), ball((0, (start + end) / 2, 1.05), (wide * 0.42, (end - start) * 0.4, 0.25), 8))
    for y in np.linspace(start + 0.2, end - 0.2, 3):
        m.add(BLACK, *(part for x in (-wide * 0.4, wide * 0.4) for part in wheel((x, y, 0.17), 0.17, 0.08, 16)))
    return end
