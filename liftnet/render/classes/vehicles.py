"""Cars, buses, motorbikes and trains. They drive towards -y."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import (
    BLACK,
    GLASS,
    LIGHT,
    METALS,
    Model,
    ball,
    beam,
    box,
    cushion,
    lathe,
    loft,
    mirrored,
    plus,
    ring,
    rod,
    slab,
    smooth_path,
    tube,
)
from liftnet.render.random_source import Colour, RandomSource

# Cars and buses


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
        m.pair(d.colour(), cushion((wide * 0.2, 0.1 * long, belt + 0.1), (0.45, 0.16, 0.5)))
    if kind == "pickup":
        m.add(BLACK, box((0, 0.3 * long, belt), (wide * 0.8, long * 0.32, 0.03)))
        m.pair(paint, box((wide * 0.42, 0.3 * long, belt + 0.06), (0.08, long * 0.38, 0.18)))
    m.pair(LIGHT, ball((wide * 0.36, -long * 0.485, hood * tall - 0.12), (0.13, 0.1, 0.08), 8))
    m.pair((0.5, 0.02, 0.02), box((wide * 0.38, long * 0.495, belt * 0.85), (0.2, 0.06, 0.1)))
    m.add(
        d.colour(BLACK, paint),
        cushion((0, -long * 0.49, low + 0.1), (wide * 0.96, 0.16, 0.18)),
        cushion((0, long * 0.49, low + 0.1), (wide * 0.96, 0.16, 0.18)),
    )
    m.pair(paint, ball((wide / 2 + 0.06, front * long + 0.1, belt + 0.04), (0.1, 0.06, 0.07), 6))
    if d.chance(0.25):
        m.pair(d.colour(BLACK), rod((0.4, 0, tall), (0.4, long * 0.3, tall), 0.025))
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
    m.pair(LIGHT, ball((wide * 0.38, -long / 2, base + 0.45), (0.16, 0.08, 0.14), 8))
    m.pair(
        BLACK,
        beam((wide / 2 + 0.18, start - 0.15, tall * 0.62), (wide / 2 + 0.18, start - 0.15, tall * 0.78), 0.2, 0.06),
    )
    m.pair(
        BLACK, rod((wide / 2 - 0.1, start, tall * 0.8), (wide / 2 + 0.18, start - 0.15, tall * 0.78), 0.025, sides=8)
    )
    m.add(BLACK, box((0, -long / 2, base + 0.15), (wide, 0.16, 0.25)))
    m.add(BLACK, box((0, long / 2, base + 0.15), (wide, 0.16, 0.25)))
    axles = [start + d.uniform(1.0, 2.2) if not bonnet else -long / 2 + bonnet * 0.7, long / 2 - d.uniform(1.6, 2.6)]
    if kind in ("coach", "double") and d.chance(0.5):
        axles.append(axles[1] + 2.1 * radius)
    _wheels(m, d, axles, wide / 2 - 0.12, radius, 0.3)
    return m


# Motorbikes and scooters


def motorbike(d: RandomSource) -> Model:
    """Road bikes, choppers, sport bikes with a fairing, scooters and dirt bikes."""
    m, paint, metal, leather = Model(), d.colour(), d.colour(*METALS), d.colour(BLACK, (0.15, 0.06, 0.03))
    kind = d.choice(("road", "chopper", "sport", "scooter", "dirt"))
    radius = {"scooter": d.uniform(0.2, 0.25)}.get(kind, d.uniform(0.29, 0.34))
    base = {"chopper": d.uniform(1.6, 1.9), "scooter": d.uniform(1.15, 1.3)}.get(kind, d.uniform(1.3, 1.5))
    front, rear, thick = -base / 2, base / 2, {"dirt": 0.09, "scooter": 0.1}.get(kind, d.uniform(0.11, 0.17))
    ahead = radius * (1.15 if kind == "dirt" else 1.0)
    for y, size in ((front, ahead), (rear, radius)):
        m.add(BLACK, ring((0, y, size), size - thick / 2, thick / 2, 0))
        m.add(metal, lathe([(-0.08, 0.04), (-0.05, 0.06), (0.05, 0.06), (0.08, 0.04)], (0, y, size), (1, 0, 0)))
        if kind in ("scooter", "sport"):
            m.add(
                metal,
                lathe(
                    [(-0.02, 0.03), (-0.025, size - thick), (0.025, size - thick), (0.02, 0.03)],
                    (0, y, size),
                    (1, 0, 0),
                ),
            )
        else:
            for angle in np.arange(0, np.pi, np.pi / 8):
                way = np.array([0, np.cos(angle), np.sin(angle)]) * (size - thick * 0.6)
                m.add(metal, rod(plus((0, y, size), way), plus((0, y, size), -way), 0.006, sides=6))
    rake = {"chopper": d.uniform(0.55, 0.7), "scooter": 0.25}.get(kind, d.uniform(0.35, 0.5))
    high = d.uniform(0.85, 1.0)
    head = np.array([0, front + rake * (high - ahead), high])
    m.pair(metal, rod((0.09, front, ahead), plus(head, [0.09, 0, 0]), 0.025))
    m.add(paint, tube(_fender(front, ahead, thick, 0.6, 2.3), thick * 0.6, 10))
    m.add(paint, tube(_fender(rear, radius, thick, 0.4, 2.2), thick * 0.65, 10))
    bars = {"chopper": 0.35, "sport": -0.02, "dirt": 0.16}.get(kind, d.uniform(0.08, 0.2))
    grip = plus(head, [0.36, 0.14, bars])
    m.pair(
        metal,
        tube(smooth_path([plus(head, [0.03, 0, 0]), plus(head, [0.18, -0.02, bars * 0.8]), grip], 12), 0.015, 10),
    )
    m.pair(BLACK, rod(grip, plus(grip, [0.1, 0.05, -0.01]), 0.022))
    m.add(LIGHT, ball(plus(head, [0, -0.12, -0.06]), (0.09, 0.08, 0.09), 8))
    if d.chance(0.6):
        m.pair(
            metal,
            rod(plus(head, [0.2, 0, bars * 0.8]), plus(head, [0.26, 0.02, bars + 0.14]), 0.008, sides=8),
            ball(plus(head, [0.27, 0.02, bars + 0.16]), (0.06, 0.02, 0.04), 6),
        )
    if kind == "scooter":
        _scooter(m, d, paint, leather, (front, rear, radius), head)
    else:
        _engine(m, d, kind, (paint, metal, leather), (front, rear, radius), head)
    return m


def _fender(y: float, radius: float, thick: float, start: float, end: float) -> FloatArray:
    angle = np.linspace(start, end, 14)
    reach = radius + thick * 0.12
    return np.stack([0 * angle, y + reach * np.cos(angle), radius + reach * np.sin(angle)], 1)


def _scooter(
    m: Model, d: RandomSource, paint: Colour, leather: Colour, at: tuple[float, float, float], head: FloatArray
) -> None:
    front, rear, radius = at
    foot = radius * 1.1
    shield = smooth_path(
        [(head[1] - 0.05, head[2]), (front + 0.2, radius * 2.2), (front + 0.3, foot), (0.1, foot)], 24
    )
    m.add(paint, slab(shield - [0.0, 0.06], plus(shield, [0.05, 0.02]), d.uniform(0.34, 0.46)))
    m.add(paint, cushion((0, rear - 0.12, radius * 2.1), (0.36, rear * 1.3, radius * 2), 0.9))
    m.add(leather, cushion((0, rear - 0.15, radius * 3.2), (0.3, rear * 1.25, 0.12), 0.9))
    if d.chance(0.5):
        m.add(d.colour(), cushion((0, rear + 0.25, radius * 3.6), (0.34, 0.3, 0.28), 0.5))


def _engine(
    m: Model,
    d: RandomSource,
    kind: str,
    colours: tuple[Colour, Colour, Colour],
    at: tuple[float, float, float],
    head: FloatArray,
) -> None:
    paint, metal, leather = colours
    front, rear, radius = at
    seat = radius * 2 + (0.3 if kind == "dirt" else 0.04 if kind == "chopper" else 0.16)
    m.add(metal, tube([head, (0, 0.05, seat - 0.1), (0, rear * 0.5, radius * 1.2), (0, rear, radius)], 0.025, 10))
    m.add(
        metal, tube([head - [0, 0, 0.1], (0, front * 0.35, radius * 0.9), (0, rear * 0.4, radius * 0.75)], 0.025, 10)
    )
    m.pair(metal, rod((0.1, rear, radius), (0.1, rear * 0.35, radius * 1.1), 0.022))
    m.pair(metal, rod((0.12, rear, radius * 1.1), (0.12, rear * 0.75, seat), 0.025))
    m.add(metal, cushion((0, -0.02, radius * 1.15), (0.28, 0.42, radius * 0.9), 0.5))
    for lean in (-0.45, 0.35) if d.chance(0.6) else (-0.2,):
        for step in np.linspace(0.1, 0.3, 5):
            m.add(metal, box((0, lean * step - 0.02, radius * 1.3 + step), (0.22, 0.2, 0.02)))
    m.add(metal, rod((0.16, -0.1, radius), (0.18, rear + 0.25, radius * d.uniform(0.9, 1.4)), 0.03, 0.05))
    m.add(paint, cushion((0, head[1] * 0.35, seat + 0.1), (d.uniform(0.22, 0.34), 0.55, 0.26), 0.9))
    m.add(leather, cushion((0, rear * 0.6, seat + 0.02), (0.26, rear * 1.15, 0.12), 0.9))
    if kind in ("sport", "road"):
        m.add(paint, ball((0, rear * 1.05, seat + 0.08), (0.12, 0.28, 0.09), 8))
    if kind == "sport":
        m.add(paint, ball(plus(head, [0, -0.1, -0.08]), (0.2, 0.24, 0.22), 12))
        m.add(paint, *mirrored(ball((0.13, front * 0.35, radius * 1.6), (0.08, 0.36, 0.26), 10)))
        m.add(GLASS, ball(plus(head, [0, -0.05, 0.08]), (0.14, 0.16, 0.16), 8))
    if kind == "chopper" and d.chance(0.6):
        m.add(
            metal,
            tube(
                smooth_path(
                    [
                        (-0.12, rear * 1.1, seat),
                        (-0.1, rear * 1.25, seat + 0.5),
                        (0.1, rear * 1.25, seat + 0.5),
                        (0.12, rear * 1.1, seat),
                    ],
                    20,
                ),
                0.014,
                10,
            ),
        )


# Trains


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
            m.add(own, cushion_tank((start + end) / 2, long, wide))
            m.add(own, lathe([(0, 0.15), (0.5, 0.15)], (0, (start + end) / 2, 0.8)))
        elif box_kind == "open":
            m.pair(own, box((wide / 2, (start + end) / 2, 0.6), (0.06, long, 0.5)))
            m.add(own, *(box((0, y, 0.6), (wide, 0.06, 0.5)) for y in (start, end)))
            m.add(
                (0.04, 0.04, 0.04),
                *(
                    ball((0, y, 0.55), (wide * 0.45, 0.4, d.uniform(0.2, 0.4)), 6)
                    for y in np.linspace(start + 0.5, end - 0.5, 3)
                ),
            )
        else:
            m.add(own, box((0, (start + end) / 2, 0.85), (wide, long, 0.95)))
            m.add(own, box((0, (start + end) / 2, 0.85), (wide * 1.04, long * 0.3, 0.8)))
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
        m.pair(BLACK, box((wide * 0.42, middle, 0.24), (0.06, 0.8, 0.12)))


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
    m.pair(LIGHT, ball((wide * 0.3, start + 0.02, base + 0.14), 0.07, 6))
    if kind == "tram" or d.chance(0.5):
        y = (start + end) / 2
        m.add(BLACK, rod((0, y, tall), (0, y + 0.3, tall + 0.25), 0.02))
        m.add(BLACK, rod((0, y + 0.3, tall + 0.25), (0, y, tall + 0.5), 0.02))
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
    m.add(paint, box((0, boiler + 0.35, 0.95), (wide, 0.75, 1.0)))
    m.add(paint, box((0, boiler + 0.35, 1.52), (wide * 1.15, 1.0, 0.08), 0.03, 3))
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
    m.pair(d.colour(*METALS), beam((wide * 0.5, 0.45, large), (wide * 0.5, places[-1], large * 0.8), 0.04, 0.06))
    m.pair(dark, rod((wide * 0.45, 0.2, 0.36), (wide * 0.45, 0.6, 0.36), 0.13))
    start, end = boiler + 0.95, boiler + d.uniform(2.0, 2.6)
    m.add(paint, box((0, (start + end) / 2, 0.72), (wide, end - start, 0.75)))
    m.add((0.03, 0.03, 0.03), ball((0, (start + end) / 2, 1.05), (wide * 0.42, (end - start) * 0.4, 0.25), 8))
    for y in np.linspace(start + 0.2, end - 0.2, 3):
        m.add(BLACK, *(part for x in (-wide * 0.4, wide * 0.4) for part in wheel((x, y, 0.17), 0.17, 0.08, 16)))
    return end
