"""Rifles. They lie along x, their muzzle at -x."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import WOODS, Model
from liftnet.render.classes.primitives import ball, beam, box, cushion, mirrored, ring, rod, slab, smooth_path, tube
from liftnet.render.random_source import Colour, RandomSource


def rifle(d: RandomSource) -> Model:
    """Bolt-action and assault rifles, shotguns, carbines: barrel, receiver, stock, magazine, sight. Muzzle at -x."""
    m, steel, stock = (
        Model(),
        d.colour((0.05, 0.05, 0.055), (0.12, 0.12, 0.13)),
        d.colour(*WOODS, (0.04, 0.04, 0.04), (0.12, 0.14, 0.06)),
    )
    barrel, body, thick = d.uniform(0.4, 0.75), d.uniform(0.22, 0.34), d.uniform(0.022, 0.035)
    rear = body / 2
    kind = d.choice(("hunting", "assault", "assault", "shotgun", "bullpup"))
    m.add(steel, box((0, 0, 0), (body, thick * 1.4, d.uniform(0.055, 0.085))))
    m.add(steel, rod((-rear, 0, 0.012), (-rear - barrel, 0, 0.012), 0.014, d.uniform(0.009, 0.013)))
    m.add(
        steel,
        rod((-rear - barrel, 0, 0.012), (-rear - barrel - d.uniform(0.03, 0.16), 0, 0.012), d.uniform(0.012, 0.024)),
    )
    if kind == "shotgun":
        m.add(steel, rod((-rear, 0, -0.016), (-rear - barrel * 0.85, 0, -0.016), 0.013))
    long = d.uniform(0.35, 0.7) * barrel
    m.add(stock, cushion((-rear - long / 2, 0, -0.004), (long, thick * 1.5, 0.055), 0.7))
    _butt(m, d, kind, (steel, stock), (rear, thick))
    _magazine_and_grip(m, d, kind, (steel, stock), (rear, thick))
    _sights(m, d, steel, (rear, barrel))
    if kind == "hunting":
        m.add(
            steel,
            rod((rear * 0.3, 0, 0.02), (rear * 0.35, -0.06, 0.01), 0.007, sides=8),
            ball((rear * 0.36, -0.065, 0.008), 0.014, 6),
        )
    if d.chance(0.25):
        leg = rod((-rear - barrel * 0.5, 0.01, 0), (-rear - barrel * 0.5, 0.09, -0.16), 0.007, sides=8)
        m.add(steel, *mirrored(leg, axis=1))
    return m


def _butt(m: Model, d: RandomSource, kind: str, colours: tuple[Colour, Colour], sizes: tuple[float, float]) -> None:
    (steel, stock), (rear, thick) = colours, sizes
    butt = d.uniform(0.24, 0.36) * (0.6 if kind == "bullpup" else 1)
    drop = d.uniform(0.02, 0.07)
    if kind in ("hunting", "shotgun"):
        x = np.array([rear - 0.02, rear + butt * 0.3, rear + butt * 0.5, rear + butt])
        low, high = np.c_[x, [-0.035, -0.06, -0.06 - drop, -0.09 - drop]], np.c_[x, [0.02, -0.005, 0.005, -0.01]]
        m.add(stock, _along_x(slab(low, high, thick * 1.3)))
    elif d.chance(0.3):
        m.add(
            steel,
            rod((rear, 0, 0.01), (rear + butt, 0, 0.01), 0.01),
            rod((rear, 0, -0.02), (rear + butt, 0, -0.02 - drop), 0.01),
        )
        m.add(steel, box((rear + butt, 0, -0.02 - drop / 2), (0.018, thick, 0.11)))
    else:
        x = np.array([rear - 0.01, rear + butt * 0.4, rear + butt])
        m.add(
            stock,
            _along_x(slab(np.c_[x, [-0.03, -0.045, -0.08 - drop]], np.c_[x, [0.028, 0.026, 0.024]], thick * 1.4)),
        )


def _magazine_and_grip(
    m: Model, d: RandomSource, kind: str, colours: tuple[Colour, Colour], sizes: tuple[float, float]
) -> None:
    (steel, stock), (rear, thick) = colours, sizes
    if kind != "shotgun":
        size = d.uniform(0.08, 0.2) if kind != "hunting" else 0.05
        at = rear * (-0.4 if kind != "bullpup" else 1.1)
        curve = d.uniform(-0.02, 0.09)
        path = [(at, 0, -0.02), (at - curve * 0.3, 0, -0.03 - size / 2), (at - curve, 0, -0.03 - size)]
        for a, b in pairwise(path):
            m.add(steel, _along_x(beam((0, a[0], a[2]), (0, b[0], b[2]), thick, 0.06)))
    if kind != "hunting":
        grip = rear * 0.7
        m.add(stock, _along_x(beam((0, grip, -0.02), (0, grip + 0.035, -0.13), thick, 0.04)))
    m.add(steel, ring((rear * 0.35, 0, -0.045), 0.026, 0.004, 1))


def _sights(m: Model, d: RandomSource, steel: Colour, sizes: tuple[float, float]) -> None:
    rear, barrel = sizes
    top = d.choice(("scope", "sights", "handle", "scope"))
    if top == "scope":
        long, size = d.uniform(0.16, 0.3), d.uniform(0.014, 0.02)
        m.add(
            steel,
            rod((-long / 2, 0, 0.075), (long / 2, 0, 0.075), size),
            rod((-long / 2 - 0.04, 0, 0.075), (-long / 2, 0, 0.075), size * 1.6),
        )
        m.add(
            steel,
            rod((long / 2, 0, 0.075), (long / 2 + 0.03, 0, 0.075), size * 1.4),
            *mirrored(box((long * 0.3, 0, 0.05), (0.02, 0.015, 0.05))),
        )
    else:
        m.add(
            steel,
            box((-rear - barrel * 0.93, 0, 0.035), (0.012, 0.008, 0.05)),
            box((-rear * 0.5, 0, 0.045), (0.03, 0.014, 0.03)),
        )
    if top == "handle":
        path = [(-rear * 0.7, 0, 0.03), (-rear * 0.5, 0, 0.075), (rear * 0.5, 0, 0.075), (rear * 0.7, 0, 0.03)]
        m.add(steel, tube(smooth_path(path), 0.009, 10))


def _along_x(part: TriangleMesh) -> TriangleMesh:
    """What was made along y, along x."""
    return replace(part, vertices=part.vertices[:, [1, 0, 2]])
