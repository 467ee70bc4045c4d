"""Airplanes, boats and ships. They move towards -y."""

from __future__ import annotations

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import (
    BLACK,
    GLASS,
    WHITE,
    WOODS,
    Model,
    ball,
    beam,
    box,
    cushion,
    lathe,
    loft,
    mirrored,
    moved,
    plus,
    rod,
    slab,
    wing,
)
from liftnet.render.classes.vehicles import wheel
from liftnet.render.random_source import Colour, RandomSource

# Airplanes


def airplane(d: RandomSource) -> Model:
    """Airliners, fighters, propeller planes, biplanes, gliders."""
    m, skin, trim = Model(), d.colour(WHITE, WHITE, (0.4, 0.45, 0.42), (0.6, 0.6, 0.62)), d.colour()
    kind = d.choice(("liner", "liner", "liner", "fighter", "fighter", "propeller", "biplane", "glider"))
    if kind == "fighter":
        _fighter(m, d, skin)
        return m
    long = d.uniform(3.2, 4.2)
    radius = {"liner": d.uniform(0.19, 0.27), "glider": d.uniform(0.1, 0.14)}.get(kind, d.uniform(0.2, 0.26))
    slim = {"glider": 0.25, "biplane": 0.45, "propeller": 0.4}.get(kind, 0.3)
    shares = np.array([0, 0.015, 0.05, 0.12, 0.2, 0.6, 0.75, 0.88, 0.97, 1.0])
    sizes = np.array([0.02, 0.35, 0.68, 0.93, 1, 1, 0.55 + slim * 0.9, 0.3 + slim * 0.5, 0.12 + slim * 0.2, 0.03])
    if kind in ("propeller", "biplane"):
        sizes[:3] = 0.5, 0.72, 0.85
    m.add(skin, _fuselage(np.interp(np.linspace(0, 1, 40), shares, shares), shares, sizes, long, radius))
    span = {"liner": d.uniform(1.5, 2.1), "glider": d.uniform(2.3, 2.9)}.get(kind, d.uniform(1.5, 1.9))
    sweep = d.uniform(0.4, 1.0) if kind == "liner" else d.uniform(-0.05, 0.15)
    chord = {"liner": d.uniform(0.7, 0.95), "glider": 0.35}.get(kind, d.uniform(0.5, 0.65))
    tip = chord * (d.uniform(0.25, 0.4) if kind == "liner" else d.uniform(0.6, 1.0))
    at, lift = -0.08 * long, span * d.uniform(0.03, 0.12)
    height = d.choice((-0.55, -0.55, 0.8)) * radius if kind != "biplane" else -0.6 * radius
    root, end = (0, at, height), (span, at + sweep, height + lift)
    paint = skin if d.chance(0.6) else trim
    m.pair(paint, wing(root, end, chord, tip, 0.12 * chord))
    if kind == "liner":
        _jets(m, d, trim, (radius, span, at, sweep, height, lift))
        if d.chance(0.5):
            m.pair(trim, wing(end, (span + 0.03, end[1] + 0.1, end[2] + 0.22), tip, tip * 0.5, 0.03))
        for y in np.linspace(-0.33, 0.25, 22) * long:
            m.pair(GLASS, box((radius * 0.97, y, radius * 0.22), (0.03, 0.035, 0.05), 0.004))
        m.add(GLASS, ball((0, -long * 0.465, radius * 0.42), (radius * 0.5, 0.11, radius * 0.22), 8))
    else:
        if kind == "biplane":
            gap = d.uniform(0.55, 0.75)
            m.pair(
                paint,
                wing((0, at - 0.1, height + gap), (span * 1.05, at - 0.05, height + gap + 0.05), chord, tip, 0.07),
            )
            for x in (0.25, span * 0.75):
                m.pair(
                    d.colour(*WOODS),
                    *(
                        rod((x, at + y, height), (x, at + y - 0.05, height + gap), 0.015, sides=8)
                        for y in (-0.15, 0.15)
                    ),
                )
        m.add(GLASS, ball((0, -0.17 * long, radius * 0.9), (radius * 0.6, 0.34, radius * 0.6), 10))
        if kind != "glider":
            _propellers(
                m,
                d,
                long,
                radius,
                [(0.0, -long / 2, 0.0)]
                if kind == "biplane" or d.chance(0.6)
                else [(s * span * 0.35, at - chord * 0.75, height + 0.03) for s in (-1, 1)],
                skin,
            )
            m.add(BLACK, *(part for x in (-0.35, 0.35) for part in wheel((x, at - 0.2, -radius - 0.3), 0.13, 0.08)))
            m.pair(skin, beam((0.35, at - 0.2, -radius - 0.3), (0.1, at - 0.1, -radius * 0.6), 0.04))
    _tail(m, d, kind, (trim if d.chance(0.5) else skin, skin), (long, radius, chord))
    return m


def _fuselage(at: FloatArray, shares: FloatArray, sizes: FloatArray, long: float, radius: float) -> TriangleMesh:
    size = np.interp(at, shares, sizes) * radius
    rise = np.where(at > 0.6, (at - 0.6) ** 2 * 2.2 * radius, 0)
    angle = 2 * np.pi * np.arange(24) / 24
    circle = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], 1)
    centre = np.stack([0 * at, (at - 0.5) * long, rise], 1)
    return loft(centre[:, None] + size[:, None, None] * circle)


def _jets(m: Model, d: RandomSource, colour: Colour, sizes: tuple[float, ...]) -> None:
    radius, span, at, sweep, height, lift = sizes
    size, long = radius * d.uniform(0.42, 0.55), d.uniform(0.45, 0.65)
    places = d.choice(((0.33,), (0.33,), (0.28, 0.55), ()))
    profile = [
        (0, size * 0.75),
        (0.02, size * 0.95),
        (long * 0.3, size),
        (long * 0.8, size * 0.8),
        (long, size * 0.55),
    ]
    for share in places:
        where = (span * share, at + sweep * share - 0.5, height + lift * share - size * 1.15)
        m.pair(colour, lathe(profile, where, (0, 1, 0)))
        m.pair(BLACK, lathe([(-0.004, size * 0.7), (0.01, size * 0.7)], where, (0, 1, 0)))
        m.pair(colour, box((where[0], where[1] + long * 0.55, where[2] + size), (0.04, long * 0.7, size * 0.9)))
    if not places:
        m.pair(
            colour,
            lathe(profile, (radius * 1.45, 0.9, radius * 0.5), (0, 1, 0)),
            box((radius, 1.15, radius * 0.5), (radius, 0.3, 0.04)),
        )


def _propellers(
    m: Model, d: RandomSource, long: float, radius: float, places: list[tuple[float, float, float]], skin: Colour
) -> None:
    blades, reach, phase = d.integer(2, 4), d.uniform(0.38, 0.55), d.uniform(0, 3)
    for x, y, z in places:
        if x:
            m.add(skin, lathe([(0, 0.06), (0.05, 0.11), (0.4, 0.12), (0.75, 0.02)], (x, y, z), (0, 1, 0)))
        m.add(BLACK, lathe([(-0.14, 0.0), (-0.08, 0.05), (0.02, 0.075)], (x, y, z), (0, 1, 0)))
        for angle in phase + 2 * np.pi * np.arange(blades) / blades:
            tip = np.array([x + reach * np.cos(angle), y - 0.04, z + reach * np.sin(angle)])
            m.add(BLACK, beam((x, y - 0.04, z), tip, 0.055, 0.02))


def _tail(
    m: Model, d: RandomSource, kind: str, colours: tuple[Colour, Colour], sizes: tuple[float, float, float]
) -> None:
    long, radius, chord = sizes
    end, size = long * 0.43, chord * d.uniform(0.5, 0.65) if kind != "glider" else 0.3
    high, back = (
        d.uniform(0.5, 0.75) * (0.75 if kind != "liner" else 1),
        d.uniform(0.2, 0.45) if kind == "liner" else 0.12,
    )
    base = radius * 0.45
    m.add(colours[0], wing((0, end - 0.1, base), (0, end + back, base + high), size * 1.2, size * 0.6, 0.06))
    level = base + high if d.chance(0.3) or kind == "glider" else base
    y = end + (back if level > base else 0)
    m.pair(
        colours[1], wing((0, y, level), (d.uniform(0.55, 0.8), y + back * 0.7, level + 0.04), size, size * 0.5, 0.05)
    )


def _fighter(m: Model, d: RandomSource, skin: Colour) -> None:
    long, radius = d.uniform(2.8, 3.4), d.uniform(0.16, 0.22)
    shares = np.array([0, 0.05, 0.15, 0.3, 0.45, 0.8, 0.97, 1.0])
    sizes = np.array([0.03, 0.22, 0.5, 0.85, 1.0, 1.0, 0.75, 0.6])
    m.add(skin, _fuselage(np.linspace(0, 1, 40), shares, sizes, long, radius))
    m.add(GLASS, ball((0, -0.2 * long, radius * 0.75), (radius * 0.55, 0.36, radius * 0.6), 10))
    m.pair(skin, cushion((radius * 0.95, 0.0, -radius * 0.1), (radius * 0.9, long * 0.4, radius * 1.1), 0.5))
    span, chord, sweep = d.uniform(0.9, 1.25), d.uniform(1.0, 1.5), d.uniform(0.35, 0.7)
    m.pair(skin, wing((0, 0.1, 0), (span, 0.1 + sweep, -0.02), chord, chord * d.uniform(0.1, 0.35), 0.07))
    m.pair(skin, wing((0, long * 0.4, 0), (0.6, long * 0.4 + 0.25, 0), 0.5, 0.25, 0.04))
    if d.chance(0.3):
        m.pair(skin, wing((0, -long * 0.22, 0.04), (0.5, -long * 0.22 + 0.2, 0.06), 0.35, 0.12, 0.03))
    fin, lean = (long * 0.36, radius * 0.5), d.uniform(0.0, 0.25)
    if d.chance(0.5):
        m.add(skin, wing((0, *fin), (0, fin[0] + 0.35, fin[1] + 0.6), 0.65, 0.25, 0.05))
    else:
        m.pair(skin, wing((radius, *fin), (radius + lean, fin[0] + 0.25, fin[1] + 0.5), 0.55, 0.25, 0.05))
    nozzles = (0,) if d.chance(0.5) else (-radius * 0.6, radius * 0.6)
    m.add(
        BLACK,
        *(
            lathe([(0, radius * 0.6), (0.2, radius * 0.5), (0.2, 0)], (x, long * 0.49, 0.03), (0, 1, 0))
            for x in nozzles
        ),
    )
    for x in (span * 0.45, span * 0.7)[: d.integer(0, 2)]:
        missile = lathe([(0, 0.0), (0.06, 0.04), (0.6, 0.04), (0.62, 0)], (x, -0.1 + sweep * 0.3, -0.12), (0, 1, 0))
        m.pair(WHITE, missile, box((x, 0.2 + sweep * 0.3, -0.06), (0.02, 0.3, 0.1)))


# Boats and ships


def watercraft(d: RandomSource) -> Model:
    """Sailing boats, motor boats, cargo ships, liners, warships, rowing boats."""
    m, paint, upper = Model(), d.colour(), d.colour(WHITE, WHITE, (0.45, 0.47, 0.5))
    kind = d.choice(("sail", "sail", "motor", "cargo", "liner", "war", "rowing", "tall"))
    slender = {"rowing": 0.3, "motor": 0.3, "sail": 0.28, "tall": 0.24}.get(kind, d.uniform(0.13, 0.18))
    wide, deep = 4 * slender * d.uniform(0.9, 1.1), d.uniform(0.28, 0.42) * (0.75 if kind == "rowing" else 1)
    m.add(paint, _hull(d, wide, deep, kind))
    deck = deep
    if kind == "rowing":
        m.add(d.colour(*WOODS), *(box((0, y, deck + 0.02), (wide * 0.9, 0.2, 0.04)) for y in (-0.6, 0.1, 0.8)))
        for s in (-1, 1):
            blade = (s * (wide / 2 + 1.0), -0.1, 0.05)
            m.add(
                d.colour(*WOODS),
                rod((s * 0.2, 0.1, deck + 0.15), blade, 0.025),
                beam(blade, (s * (wide / 2 + 1.4), -0.15, -0.05), 0.14, 0.02),
            )
    elif kind in ("sail", "tall"):
        _rig(m, d, kind, deck)
        m.add(upper, cushion((0, 0.3, deck + 0.06), (wide * 0.5, 1.0, 0.24), 0.5))
    elif kind == "motor":
        m.add(
            upper,
            slab(
                np.array([[-0.7, deck], [0.9, deck], [1.1, deck]]),
                np.array([[-0.2, deck + 0.4], [0.6, deck + 0.45], [0.9, deck + 0.1]]),
                wide * 0.7,
                0.85,
            ),
        )
        m.add(
            GLASS,
            slab(
                np.array([[-0.48, deck + 0.16], [0.6, deck + 0.2]]),
                np.array([[-0.26, deck + 0.34], [0.5, deck + 0.36]]),
                wide * 0.68,
                0.9,
            ),
        )
        if d.chance(0.5):
            m.add(
                upper,
                box((0, 0.2, deck + 0.75), (wide * 0.6, 0.8, 0.04)),
                *mirrored(
                    *(rod((wide * 0.25, y, deck + 0.3), (wide * 0.25, y, deck + 0.75), 0.015) for y in (-0.1, 0.5))
                ),
            )
        m.add(BLACK, cushion((0, 2.05, deck * 0.7), (0.25, 0.3, 0.5), 0.5))
    elif kind == "cargo":
        m.add(upper, box((0, 1.4, deck + 0.35), (wide * 0.85, 0.4, 0.7)))
        m.add(upper, box((0, 1.4, deck + 0.66), (wide * 1.05, 0.25, 0.1)))
        m.add(d.colour(), lathe([(0, 0.1), (0.5, 0.09)], (0, 1.66, deck + 0.2)))
        for y in np.arange(-1.4, 1.1, 0.29):
            for x in (-0.3, 0, 0.3):
                for level in range(d.integer(0, 3)):
                    m.add(
                        d.colour(),
                        box((x * wide * 0.95, y, deck + 0.08 + 0.15 * level), (wide * 0.27, 0.27, 0.145), 0.004),
                    )
    else:
        _decks(m, d, kind, upper, wide, deck)
    return m


def _hull(d: RandomSource, wide: float, deep: float, kind: str) -> TriangleMesh:
    """A hull 4 long with its bow at -y: wide at the deck, narrow at the keel, raised at the bow."""
    share = np.linspace(0, 1, 32)
    stern, full = {"rowing": 0.35, "sail": 0.6, "tall": 0.7}.get(kind, d.uniform(0.7, 0.95)), d.uniform(0.45, 0.7)
    plan = np.minimum(
        np.sin(np.minimum(share / full, 1) * np.pi / 2) ** 0.8,
        1 - (1 - stern) * np.maximum(share - 0.55, 0) ** 1.5 / 0.3,
    )
    plan = np.maximum(plan, 0.01)
    sheer = deep * (1 + d.uniform(0.1, 0.5) * (1 - share) ** 3 + 0.1 * share**4)
    keel = deep * 0.9 * np.exp(-share * 12)
    flat = {"sail": 0.25, "tall": 0.3, "rowing": 0.35}.get(kind, d.uniform(0.5, 0.8))
    rings = []
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        half = wide / 2 * plan * (flat + (1 - flat) * level**0.6)
        rings.append((half, keel + (sheer - keel) * level))
    y = 4 * share - 2 - 0.25 * (1 - share) ** 6
    right = [np.stack([half, y, z], 1) for half, z in rings]
    left = [np.stack([-half, y, z], 1) for half, z in reversed(rings)]
    return loft(np.stack(right + left, 1))


def _rig(m: Model, d: RandomSource, kind: str, deck: float) -> None:
    wood, cloth = d.colour(*WOODS, (0.7, 0.7, 0.7)), d.colour((0.75, 0.72, 0.62), (0.5, 0.1, 0.06), (0.7, 0.7, 0.72))
    masts = (
        (d.uniform(-0.4, 0.0),)
        if kind == "sail" and d.chance(0.7)
        else (-0.8, 0.6)
        if kind == "sail"
        else (-1.1, 0.0, 1.1)
    )
    for number, y in enumerate(masts):
        tall = d.uniform(3.0, 4.2) * (0.75 if number and kind == "sail" else 1) * (0.75 if kind == "tall" else 1)
        m.add(wood, rod((0, y, deck - 0.1), (0, y, deck + tall), 0.035, 0.02))
        if kind == "tall":
            for low, high in ((0.12, 0.4), (0.44, 0.68), (0.71, 0.9)):
                half = 0.75 * (1.1 - 0.6 * low)
                m.add(wood, rod((-half, y, deck + high * tall), (half, y, deck + high * tall), 0.02))
                rows = np.linspace(low, high, 8)
                bulge = 0.16 * np.sin(np.linspace(0, np.pi, 8))
                curve = np.stack([y - 0.04 - bulge, deck + rows * tall], 1)
                m.add(cloth, slab(curve - [0.01, 0], plus(curve, [0.012, 0]), half * 1.85))
            continue
        boom = d.uniform(1.2, 1.7) * (0.6 if len(masts) > 1 else 1)
        m.add(wood, rod((0, y, deck + 0.35), (0, y + boom, deck + 0.35), 0.025))
        m.add(
            cloth,
            _sail(
                (y + 0.03, deck + 0.4), (y + 0.03, deck + tall * 0.96), (y + boom, deck + 0.4), d.uniform(0.05, 0.2)
            ),
        )
        if number == 0:
            m.add(
                cloth,
                _sail(
                    (y - 0.08, deck + 0.25), (y - 0.04, deck + tall * 0.8), (-1.95, deck + 0.2), d.uniform(0.05, 0.2)
                ),
            )
    if kind == "tall":
        m.add(wood, rod((0, -1.9, deck + 0.1), (0, -2.7, deck + 0.4), 0.03, 0.015))


def _sail(
    foot: tuple[float, float], head: tuple[float, float], clew: tuple[float, float], belly: float
) -> TriangleMesh:
    """A thin triangle in the plane y, z that bulges to one side."""
    rows = np.linspace(0, 1, 10)
    luff = np.array(foot) + rows[:, None] * (np.array(head) - foot)
    leech = np.array(clew) + rows[:, None] * (np.array(head) - clew)
    columns = []
    for share in np.linspace(0, 1, 8):
        points = luff + share * (leech - luff)
        out = belly * np.sin(np.pi * share) * np.sin(np.pi * np.minimum(rows * 0.9 + 0.1, 1))
        columns.append(np.c_[out, points])
    sheet = np.array(columns).swapaxes(0, 1)
    return loft(np.concatenate([sheet - [0.008, 0, 0], sheet[:, ::-1] + [0.008, 0, 0]], 1))


def _decks(m: Model, d: RandomSource, kind: str, upper: Colour, wide: float, deck: float) -> None:
    if kind == "liner":
        low, high, front, rear = deck, deck, -1.1, 1.5
        for _ in range(d.integer(2, 4)):
            high = low + 0.17
            m.add(upper, box((0, (front + rear) / 2, (low + high) / 2), (wide * 0.86, rear - front, high - low), 0.03))
            m.add(GLASS, box((0, (front + rear) / 2, (low + high) / 2), (wide * 0.88, (rear - front) * 0.92, 0.05)))
            low, front, rear = high, front + d.uniform(0.05, 0.2), rear - d.uniform(0.1, 0.35)
        funnel = d.colour()
        for y in np.linspace(-0.4, 0.6, d.integer(1, 4)):
            m.add(funnel, rod((0, y, low - 0.05), (0, y + 0.1, low + 0.5), 0.1))
        return
    m.add(upper, box((0, 0.0, deck + 0.15), (wide * 0.75, 1.3, 0.3), 0.02, 1, 0.9))
    m.add(upper, box((0, -0.25, deck + 0.42), (wide * 0.5, 0.5, 0.3), 0.02, 1, 0.85))
    m.add(GLASS, box((0, -0.25, deck + 0.5), (wide * 0.48, 0.51, 0.05)))
    m.add(upper, rod((0, 0.0, deck + 0.5), (0, 0.0, deck + d.uniform(1.0, 1.5)), 0.04, 0.015))
    m.add(upper, beam((-0.2, 0, deck + 0.95), (0.2, 0, deck + 0.95), 0.03))
    m.add(
        upper,
        *(rod((0, y, deck + 0.25), (0, y + 0.08, deck + 0.65), 0.09, 0.07) for y in (0.3, 0.55)[: d.integer(1, 2)]),
    )
    places = [-1.35, -0.95, 1.15, 1.55][: d.integer(2, 4)]
    for y in places:
        turret = deck + (0.1 if y == -1.35 else 0.16)
        way = -1 if y < 0 else 1
        m.add(upper, box((0, y, turret), (wide * 0.42, 0.3, 0.16), 0.03, 2, 0.85))
        m.pair(upper, rod((wide * 0.08, y, turret + 0.03), (wide * 0.08, y + way * 0.5, turret + 0.08), 0.02, 0.015))
    m.pair(upper, moved(ball((0, 0, 0), (0.06, 0.1, 0.06), 6), (wide * 0.35, 0.1, deck + 0.33)))
