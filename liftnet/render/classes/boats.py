"""Boats and ships. They move towards -y."""

from __future__ import annotations

import numpy as np

from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import BLACK, GLASS, WHITE, WOODS, Model
from liftnet.render.classes.primitives import ball, beam, box, cushion, lathe, loft, mirrored, moved, plus, rod, slab
from liftnet.render.random_source import Colour, RandomSource


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
        m.add(
            upper,
            box((0, 1.4, deck + 0.35), (wide * 0.85, 0.4, 0.7)),
            box((0, 1.4, deck + 0.66), (wide * 1.05, 0.25, 0.1)),
        )
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
    m.add(
        upper,
        box((0, 0.0, deck + 0.15), (wide * 0.75, 1.3, 0.3), 0.02, 1, 0.9),
        box((0, -0.25, deck + 0.42), (wide * 0.5, 0.5, 0.3), 0.02, 1, 0.85),
    )
    m.add(GLASS, box((0, -0.25, deck + 0.5), (wide * 0.48, 0.51, 0.05)))
    m.add(
        upper,
        rod((0, 0.0, deck + 0.5), (0, 0.0, deck + d.uniform(1.0, 1.5)), 0.04, 0.015),
        beam((-0.2, 0, deck + 0.95), (0.2, 0, deck + 0.95), 0.03),
    )
    m.add(
        upper,
        *(rod((0, y, deck + 0.25), (0, y + 0.08, deck + 0.65), 0.09, 0.07) for y in (0.3, 0.55)[: d.integer(1, 2)]),
    )
    places = [-1.35, -0.95, 1.15, 1.55][: d.integer(2, 4)]
    for y in places:
        turret = deck + (0.1 if y == -1.35 else 0.16)
        way = -1 if y < 0 else 1
        m.add(upper, box((0, y, turret), (wide * 0.42, 0.3, 0.16), 0.03, 2, 0.85))
        m.add(
            upper,
            *mirrored(rod((wide * 0.08, y, turret + 0.03), (wide * 0.08, y + way * 0.5, turret + 0.08), 0.02, 0.015)),
        )
    m.add(upper, *mirrored(moved(ball((0, 0, 0), (0.06, 0.1, 0.06), 6), (wide * 0.35, 0.1, deck + 0.33))))
