"""Displays and telephones, which face -y; lamps; rifles, which lie along x."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import (
    BLACK,
    GLASS,
    METALS,
    WOODS,
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
    turned,
)
from liftnet.render.random_source import Colour, RandomSource

# Displays and telephones


def display(d: RandomSource) -> Model:
    """Flat and curved screens, tubes, laptops and screens on the wall; stands of several kinds."""
    m, body, dark = Model(), d.colour(BLACK, (0.6, 0.6, 0.62), (0.75, 0.73, 0.66)), GLASS
    kind = d.choice(("flat", "flat", "flat", "curved", "tube", "laptop", "wall"))
    wide = d.uniform(0.45, 1.1)
    high = wide * d.choice((0.6, 0.65, 0.75)) * d.uniform(0.9, 1.1)
    rim, lift, thick = d.uniform(0.012, 0.04), d.uniform(0.06, 0.16), d.uniform(0.025, 0.07)
    if kind == "laptop":
        deep = high * d.uniform(0.95, 1.1)
        m.add(body, box((0, 0, 0.012), (wide, deep, 0.025)))
        for row in range(4):
            m.add(dark, box((0, deep * (0.3 - 0.12 * row), 0.028), (wide * 0.85, deep * 0.09, 0.012)))
        m.add(dark, box((0, -deep * 0.32, 0.026), (wide * 0.25, deep * 0.2, 0.006)))
        lid = [
            box((0, deep / 2, high / 2), (wide, 0.015, high)),
            box((0, deep / 2 - 0.008, high / 2), (wide - 2 * rim, 0.006, high - 2 * rim)),
        ]
        angle = -d.uniform(0.05, 0.5)
        for part, colour in zip(lid, (body, dark), strict=True):
            m.add(colour, turned(part, angle, 0, (0, deep / 2, 0)))
        return m
    middle = lift + high / 2
    if kind == "curved":
        x = np.linspace(-wide / 2, wide / 2, 24)
        bow = -d.uniform(0.2, 0.45) * x * x / wide
        front = np.stack([x, bow - 0.02], 1)
        panel = slab(front, np.stack([x, bow + 0.03], 1), high)
        m.add(body, replace(panel, vertices=panel.vertices[:, [1, 2, 0]] + [0, 0, middle]))
        inner = slab(front[1:-1] - [0, 0.004], plus(front[1:-1], [0, 0.01]), high - 2 * rim)
        m.add(dark, replace(inner, vertices=inner.vertices[:, [1, 2, 0]] + [0, 0, middle]))
    else:
        m.add(body, box((0, 0, middle), (wide, thick, high), 0.012, 2))
        m.add(dark, box((0, -thick / 2, middle + rim / 2), (wide - 2 * rim, 0.01, high - 3 * rim)))
    if kind == "tube":
        deep = wide * d.uniform(0.5, 0.75)
        tail = np.array([[-0.48, -0.46, 0.48, 0.46], [-0.45, -0.42, 0.45, 0.42], [-0.25, -0.25, 0.25, 0.25]])
        corner = [np.array([[s[i] * wide, 0, s[j] * high] for i, j in ((0, 1), (2, 1), (2, 3), (0, 3))]) for s in tail]
        rings = [plus(c, [0, y, middle]) for c, y in zip(corner, (0, deep * 0.45, deep), strict=True)]
        m.add(body, loft(np.array(rings)))
        m.add(body, lathe([(0, wide * 0.3), (0.02, wide * 0.3), (lift, 0.1)], (0, deep * 0.3, 0)))
    elif kind == "wall":
        m.add(body, box((0, thick, middle), (wide * 0.3, thick * 2, high * 0.4)))
        m.add(body, beam((0, thick * 2, middle), (0, 0.25, middle), 0.06), box((0, 0.25, middle), (0.18, 0.02, 0.3)))
    else:
        _stand(m, d, body, wide, lift, thick, high)
    return m


def _stand(m: Model, d: RandomSource, colour: Colour, wide: float, lift: float, thick: float, high: float) -> None:
    kind = d.choice(("neck", "neck", "round", "feet", "arch"))
    if kind == "feet":
        for s in (-1, 1):
            m.add(colour, beam((s * wide * 0.33, -0.12, 0.01), (s * wide * 0.33, 0, lift + 0.02), 0.02))
            m.add(colour, beam((s * wide * 0.33, 0.12, 0.01), (s * wide * 0.33, 0, lift + 0.02), 0.02))
        return
    neck = wide * d.uniform(0.08, 0.2)
    m.add(colour, box((0, thick, (lift + high * 0.3) / 2), (neck, 0.025, lift + high * 0.3)))
    m.add(colour, box((0, thick * 0.7, lift + high * 0.3), (neck * 1.5, thick, high * 0.25)))
    if kind == "round":
        m.add(colour, lathe([(0, wide * 0.22), (0.015, wide * 0.22), (0.025, 0.05)]))
    elif kind == "arch":
        m.add(
            colour,
            tube(smooth_path([(-wide * 0.3, -0.1, 0.012), (0, 0.1, 0.02), (wide * 0.3, -0.1, 0.012)], 20), 0.014),
        )
    else:
        m.add(colour, box((0, 0, 0.01), (wide * d.uniform(0.35, 0.6), d.uniform(0.18, 0.28), 0.02)))


def telephone(d: RandomSource) -> Model:
    """Smartphones, phones with keys, folding phones, cordless and desk telephones with a cradle."""
    m, body = Model(), d.colour(BLACK, (0.6, 0.6, 0.6), (0.5, 0.05, 0.04), (0.1, 0.2, 0.35))
    keys = d.colour((0.7, 0.7, 0.7), (0.2, 0.2, 0.2))
    kind = d.choice(("smart", "keys", "keys", "fold", "slide", "cordless", "desk", "desk"))
    wide = d.uniform(0.4, 0.55)
    high, thick = wide * d.uniform(1.8, 2.4), wide * d.uniform(0.12, 0.3)
    soft = d.uniform(0.15, 0.9)
    if kind == "desk":
        _desk_telephone(m, d, body, keys)
    elif kind == "smart":
        m.add(body, box((0, 0, 0), (wide, thick * 0.7, high), thick * 0.35 * soft, 4))
        m.add(GLASS, box((0, -thick * 0.35, 0), (wide * 0.92, 0.012, high * d.uniform(0.76, 0.94))))
        m.add(keys, lathe([(0, 0.03), (0.012, 0.028)], (wide * 0.3, thick * 0.33, high * 0.4), (0, 1, 0)))
        m.add(keys, box((wide / 2, 0, high * 0.2), (0.02, 0.03, high * 0.12)))
    elif kind in ("keys", "cordless"):
        m.add(body, cushion((0, 0, 0), (wide, thick, high), soft))
        m.add(GLASS, box((0, -thick * 0.48, high * 0.24), (wide * 0.78, 0.03, high * d.uniform(0.24, 0.34))))
        _keypad(m, keys, wide * 0.78, (-high * 0.4, high * 0.02), -thick / 2)
        if d.chance(0.5):
            m.add(
                BLACK,
                rod(
                    (wide * 0.35, thick * 0.2, high * 0.45),
                    (wide * 0.35, thick * 0.2, high * d.uniform(0.62, 0.8)),
                    0.035,
                    0.025,
                ),
            )
        if kind == "cordless":
            m.add(body, box((0, thick * 0.2, -high * 0.5), (wide * 1.5, thick * 3, high * 0.18), 0.03, 3, 0.8))
    elif kind == "fold":
        m.add(body, cushion((0, 0, -high * 0.3), (wide, thick * 0.6, high * 0.6), soft))
        _keypad(m, keys, wide * 0.8, (-high * 0.55, -high * 0.15), -thick * 0.3)
        lid = (
            cushion((0, 0, high * 0.3), (wide, thick * 0.6, high * 0.6), soft),
            box((0, -thick * 0.28, high * 0.32), (wide * 0.8, 0.03, high * 0.42)),
        )
        angle = d.uniform(0.2, 0.7)
        for part, colour in zip(lid, (body, GLASS), strict=True):
            m.add(colour, turned(part, angle, 0))
        m.add(body, rod((-wide * 0.46, 0, 0), (wide * 0.46, 0, 0), thick * 0.35))
    else:
        m.add(body, box((0, thick * 0.3, -high * 0.2), (wide, thick * 0.5, high * 0.9), thick * 0.2, 3))
        m.add(body, box((0, -thick * 0.2, high * 0.12), (wide, thick * 0.5, high * 0.8), thick * 0.2, 3))
        m.add(GLASS, box((0, -thick * 0.44, high * 0.14), (wide * 0.88, 0.02, high * 0.66)))
        _keypad(m, keys, wide * 0.8, (-high * 0.62, -high * 0.33), thick * 0.06)
    return m


def _keypad(m: Model, colour: Colour, wide: float, span: tuple[float, float], front: float) -> None:
    for z in np.linspace(span[0], span[1], 5)[:4] + (span[1] - span[0]) / 8:
        for x in (-wide / 3, 0, wide / 3):
            m.add(colour, box((x, front, z), (wide * 0.26, 0.03, (span[1] - span[0]) * 0.17)))


def _desk_telephone(m: Model, d: RandomSource, body: Colour, keys: Colour) -> None:
    wide, deep, rise = d.uniform(0.5, 0.8), d.uniform(0.6, 0.8), d.uniform(0.15, 0.3)
    y = np.linspace(-deep / 2, deep / 2, 8)
    m.add(body, slab(np.c_[y, np.zeros(8)], np.c_[y, 0.08 + rise * (y / deep + 0.5)], wide, 0.9))
    upright = d.chance(0.5)
    slope = np.arctan(rise / deep)
    if d.chance(0.5):
        dial = [lathe([(0, 0.19), (0.03, 0.19), (0.04, 0.07), (0.05, 0)], (0.05, -0.08, 0.06 + rise * 0.4))]
        dial += [
            ball((0.05 + 0.13 * np.cos(a), -0.08 + 0.13 * np.sin(a), 0.095 + rise * 0.4), 0.028, 5)
            for a in np.arange(10) * 0.55
        ]
    else:
        dial = [
            box((0.08 + 0.11 * i, -0.2 + 0.1 * j, 0.1 + rise * 0.4), (0.085, 0.07, 0.04))
            for i in (-1, 0, 1)
            for j in range(4)
        ]
    m.add(keys, *(turned(part, slope, 0, (0, 0, 0.06 + rise * 0.4)) for part in dial))
    handle = [(0, -0.32, 0), (0, -0.3, 0.1), (0, 0, 0.16), (0, 0.3, 0.1), (0, 0.32, 0)]
    parts = [tube(smooth_path(handle, 24), [0.085] * 5 + [0.05] * 14 + [0.085] * 5, 14)]
    place, turn = (
        ((-wide / 2 + 0.05, 0, 0.1 + rise * 0.6), 0.0) if upright else ((0, deep * 0.3, 0.12 + rise), np.pi / 2)
    )
    for part in parts:
        whole = turned(part, slope if upright else 0.0, 0)
        whole = turned(whole, turn, 2)
        m.add(body, replace(whole, vertices=whole.vertices + place))


# Lamps


def lamp(d: RandomSource) -> Model:
    """Table, floor, desk, hanging, arched lamps and chandeliers, with cone, drum, ball, dome or bell shades."""
    m, metal = Model(), d.colour(*METALS, *WOODS)
    cover = d.colour((0.75, 0.68, 0.5), (0.7, 0.7, 0.7), (0.5, 0.15, 0.1))
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
        elbow = (d.uniform(-0.05, 0.1), 0.15, d.uniform(0.28, 0.4))
        head = (0, -d.uniform(0.15, 0.3), d.uniform(0.42, 0.55))
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


# Rifles


def rifle(d: RandomSource) -> Model:
    """Bolt-action and assault rifles, shotguns, carbines: barrel, receiver, stock, magazine, sight. Muzzle at -x."""
    m, steel = Model(), d.colour((0.05, 0.05, 0.055), (0.12, 0.12, 0.13))
    stock = d.colour(*WOODS, (0.04, 0.04, 0.04), (0.12, 0.14, 0.06))
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
        m.add(steel, rod((rear * 0.3, 0, 0.02), (rear * 0.35, -0.06, 0.01), 0.007, sides=8))
        m.add(steel, ball((rear * 0.36, -0.065, 0.008), 0.014, 6))
    if d.chance(0.25):
        leg = rod((-rear - barrel * 0.5, 0.01, 0), (-rear - barrel * 0.5, 0.09, -0.16), 0.007, sides=8)
        m.pair(steel, leg, axis=1)
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
        m.add(steel, rod((rear, 0, 0.01), (rear + butt, 0, 0.01), 0.01))
        m.add(steel, rod((rear, 0, -0.02), (rear + butt, 0, -0.02 - drop), 0.01))
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
        m.add(steel, rod((-long / 2, 0, 0.075), (long / 2, 0, 0.075), size))
        m.add(steel, rod((-long / 2 - 0.04, 0, 0.075), (-long / 2, 0, 0.075), size * 1.6))
        m.add(steel, rod((long / 2, 0, 0.075), (long / 2 + 0.03, 0, 0.075), size * 1.4))
        m.add(steel, *mirrored(box((long * 0.3, 0, 0.05), (0.02, 0.015, 0.05))))
    else:
        m.add(steel, box((-rear - barrel * 0.93, 0, 0.035), (0.012, 0.008, 0.05)))
        m.add(steel, box((-rear * 0.5, 0, 0.045), (0.03, 0.014, 0.03)))
    if top == "handle":
        path = [(-rear * 0.7, 0, 0.03), (-rear * 0.5, 0, 0.075), (rear * 0.5, 0, 0.075), (rear * 0.7, 0, 0.03)]
        m.add(steel, tube(smooth_path(path), 0.009, 10))


def _along_x(part: TriangleMesh) -> TriangleMesh:
    """What was made along y, along x."""
    return replace(part, vertices=part.vertices[:, [1, 0, 2]])
