"""Motorbikes and scooters. They drive towards -y."""

from __future__ import annotations

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.render.classes.model import BLACK, GLASS, LIGHT, METALS, Model
from liftnet.render.classes.primitives import (
    ball,
    box,
    cushion,
    lathe,
    mirrored,
    plus,
    ring,
    rod,
    slab,
    smooth_path,
    tube,
)
from liftnet.render.random_source import Colour, RandomSource


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
    m.add(metal, *mirrored(rod((0.09, front, ahead), plus(head, [0.09, 0, 0]), 0.025)))
    m.add(
        paint,
        tube(_fender(front, ahead, thick, 0.6, 2.3), thick * 0.6, 10),
        tube(_fender(rear, radius, thick, 0.4, 2.2), thick * 0.65, 10),
    )
    bars = {"chopper": 0.35, "sport": -0.02, "dirt": 0.16}.get(kind, d.uniform(0.08, 0.2))
    grip = plus(head, [0.36, 0.14, bars])
    m.add(
        metal,
        *mirrored(
            tube(smooth_path([plus(head, [0.03, 0, 0]), plus(head, [0.18, -0.02, bars * 0.8]), grip], 12), 0.015, 10)
        ),
    )
    m.add(BLACK, *mirrored(rod(grip, plus(grip, [0.1, 0.05, -0.01]), 0.022)))
    m.add(LIGHT, ball(plus(head, [0, -0.12, -0.06]), (0.09, 0.08, 0.09), 8))
    if d.chance(0.6):
        m.add(
            metal,
            *mirrored(
                rod(plus(head, [0.2, 0, bars * 0.8]), plus(head, [0.26, 0.02, bars + 0.14]), 0.008, sides=8),
                ball(plus(head, [0.27, 0.02, bars + 0.16]), (0.06, 0.02, 0.04), 6),
            ),
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
    m.add(metal, *mirrored(rod((0.1, rear, radius), (0.1, rear * 0.35, radius * 1.1), 0.022)))
    m.add(metal, *mirrored(rod((0.12, rear, radius * 1.1), (0.12, rear * 0.75, seat), 0.025)))
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
        m.add(
            paint,
            ball(plus(head, [0, -0.1, -0.08]), (0.2, 0.24, 0.22), 12),
            *mirrored(ball((0.13, front * 0.35, radius * 1.6), (0.08, 0.36, 0.26), 10)),
        )
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
