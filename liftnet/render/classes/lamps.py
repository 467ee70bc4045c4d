"""Lamps that stand, hang or reach over."""

from __future__ import annotations

import numpy as np

from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import METALS, WOODS, Model
from liftnet.render.classes.primitives import ball, lathe, rod, smooth_path, tube
from liftnet.render.random_source import RandomSource


def lamp(d: RandomSource) -> Model:
    """Table, floor, desk, hanging, arched lamps and chandeliers, with cone, drum, ball, dome or bell shades."""
    m, metal, cover = (
        Model(),
        d.colour(*METALS, *WOODS),
        d.colour((0.75, 0.68, 0.5), (0.7, 0.7, 0.7), (0.5, 0.15, 0.1)),
    )
    kind = d.choice(("table", "table", "floor", "floor", "desk", "hanging", "arch", "chandelier"))
    size = d.uniform(0.12, 0.24)
    if kind in ("table", "floor"):
        tall = d.uniform(0.3, 0.5) if kind == "table" else d.uniform(1.0, 1.5)
        base = d.uniform(0.08, 0.16)
        if kind == "table" and d.chance(0.7):
            bulge = [
                (0, base),
                (0.02, base),
                (tall * 0.1, base * 0.5),
                (tall * d.uniform(0.25, 0.55), base * d.uniform(0.4, 1.2)),
            ]
            m.add(metal, lathe([*bulge, (tall * 0.8, base * 0.25), (tall, 0.015)]))
        elif kind == "floor" and d.chance(0.35):
            for angle in 2 * np.pi * np.arange(3) / 3 + 0.5:
                foot = (2.2 * base * np.cos(angle), 2.2 * base * np.sin(angle), 0)
                m.add(metal, rod(foot, (0, 0, tall), 0.015, 0.012))
        else:
            m.add(metal, lathe([(0, base), (0.02, base), (0.04, 0.02)]), rod((0, 0, 0.02), (0, 0, tall), 0.013))
        m.add(cover, _shade(d, (0, 0, tall + size * 0.3), size * (1 if kind == "table" else 1.15)))
    elif kind == "desk":
        elbow, head = (
            (d.uniform(-0.05, 0.1), 0.15, d.uniform(0.28, 0.4)),
            (0, -d.uniform(0.15, 0.3), d.uniform(0.42, 0.55)),
        )
        m.add(metal, lathe([(0, 0.1), (0.025, 0.1), (0.03, 0.02)]), rod((0, 0, 0.02), elbow, 0.01), ball(elbow, 0.02))
        m.add(metal, rod(elbow, head, 0.01))
        m.add(cover, lathe([(0, 0.025), (0.05, 0.03), (0.14, 0.1)], head, (0, -0.4, -1)))
    elif kind == "hanging":
        drop = d.uniform(0.4, 0.9)
        m.add(metal, rod((0, 0, 0), (0, 0, drop), 0.007), lathe([(0, 0.05), (0.03, 0.04), (0.035, 0)], (0, 0, drop)))
        m.add(cover, _shade(d, (0, 0, 0), size))
    elif kind == "arch":
        reach, tall = d.uniform(0.6, 0.9), d.uniform(1.2, 1.5)
        path = [(0, 0, 0), (0, 0, tall * 0.7), (-reach * 0.4, 0, tall), (-reach, 0, tall * 0.8)]
        m.add(metal, tube(smooth_path(path, 30), 0.013), lathe([(0, 0.18), (0.04, 0.17), (0.05, 0.02)]))
        m.add(cover, _shade(d, (-reach, 0, tall * 0.8 - size * 0.5), size, ("dome", "cone", "ball")))
    else:
        arms, drop = d.integer(4, 8), d.uniform(0.35, 0.6)
        m.add(metal, lathe([(0, 0.01), (0.05, 0.06), (0.12, 0.03), (0.2, 0.05), (0.3, 0.012), (drop, 0.012)]))
        for angle in 2 * np.pi * np.arange(arms) / arms:
            way = np.array([np.cos(angle), np.sin(angle), 0])
            arm = np.array([[0, 0, 0.1], [0.14, 0.14, 0.02], [0.28, 0.28, 0.06], [0.32, 0.32, 0.16]])
            arm *= [way[0], way[1], 1]
            m.add(metal, tube(smooth_path(arm, 14), 0.01, 8))
            m.add(cover, ball(0.32 * way + [0, 0, 0.2], (0.045, 0.045, 0.06), 8))
    return m


def _shade(
    d: RandomSource,
    at: tuple[float, float, float],
    size: float,
    kinds: tuple[str, ...] = ("cone", "drum", "ball", "dome", "bell", "pleat"),
) -> TriangleMesh:
    kind = d.choice(kinds)
    if kind == "ball":
        return ball(at, (size * 0.8, size * 0.8, size * d.uniform(0.6, 0.85)), 14)
    high = size * d.uniform(0.9, 1.4)
    narrow = d.uniform(0.3, 0.7) * size
    profiles = {
        "cone": [(0, size * 0.96), (0.01, size), (high, narrow), (high, 0)],
        "drum": [(0, size * 0.9), (0.01, size * 0.95), (high * 0.8, size * 0.95), (high * 0.8, 0)],
        "dome": [(high * np.sin(a) * 0.7, size * np.cos(a)) for a in np.linspace(0, 1.5, 9)],
        "bell": [
            (0, size),
            (high * 0.2, size * 0.72),
            (high * 0.6, size * 0.55),
            (high * 0.9, size * 0.4),
            (high, 0.02),
        ],
        "pleat": [(high * i / 9, size - (size - narrow) * i / 9 - 0.012 * (i % 2)) for i in range(10)],
    }
    return lathe(profiles[kind], (at[0], at[1], at[2] - high * 0.3))
