"""Bookshelves, cabinets, tables and loudspeakers. They face -y."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import BLACK, METALS, WOODS, Model
from liftnet.render.classes.primitives import (
    ball,
    beam,
    box,
    cushion,
    lathe,
    mirrored,
    moved,
    ring,
    rod,
    smooth_path,
    tube,
)
from liftnet.render.random_source import Colour, RandomSource


def bookshelf(d: RandomSource) -> Model:
    """Shelves with sides or posts, open or closed at the back, columns, books and boxes, or a ladder's steps."""
    m, wood = Model(), d.colour(*WOODS, (0.7, 0.7, 0.68))
    wide, tall, deep = d.uniform(0.6, 1.7), d.uniform(0.9, 2.1), d.uniform(0.25, 0.4)
    rows, columns, thick = d.integer(3, 6), d.integer(1, 3), d.uniform(0.02, 0.045)
    kind = d.choice(("case", "case", "case", "posts", "ladder", "stagger"))
    base = d.uniform(0.02, 0.15)
    levels = base + (tall - base - thick) * np.linspace(0, 1, rows + 1)
    depth = deep * (np.linspace(1.5, 0.7, rows + 1) if kind == "ladder" else np.ones(rows + 1))
    for z, own in zip(levels, depth, strict=True):
        m.add(wood, box((0, (deep - own) / 2, z + thick / 2), (wide, own, thick)))
    if kind in ("case", "stagger"):
        m.add(wood, *mirrored(box((wide / 2 + thick / 2, 0, tall / 2), (thick, deep, tall))))
    else:
        for y, foot in ((-deep / 2, -deep / 2 - (deep * 0.6 if kind == "ladder" else 0)), (deep / 2, deep / 2)):
            m.add(wood, *mirrored(beam((wide / 2, foot, 0), (wide / 2, y, tall), 0.04)))
    if d.chance(0.6) and kind != "ladder":
        m.add(wood, box((0, deep / 2 - 0.008, tall / 2), (wide, 0.016, tall - base)))
    for row in range(rows):
        low, high = levels[row] + thick, levels[row + 1]
        edges = np.linspace(-wide / 2, wide / 2, columns + 1)
        if kind == "stagger":
            edges[1:-1] += (0.5 - row % 2) * wide / (columns + 1) * 0.6
        for x in edges[1:-1]:
            m.add(wood, box((x, (deep - depth[row + 1]) / 2, (low + high) / 2), (thick, depth[row + 1], high - low)))
        for left, right in pairwise(edges):
            _filling(m, d, (left + thick, right - thick), (low, high), depth[row + 1], (deep - depth[row + 1]) / 2)
    return m


def _filling(
    m: Model, d: RandomSource, x: tuple[float, float], z: tuple[float, float], deep: float, middle: float
) -> None:
    kind = d.choice(("books", "books", "some", "box", "ball", "empty"))
    room = z[1] - z[0]
    if kind in ("books", "some"):
        at, end = x[0], x[0] + (x[1] - x[0]) * (0.97 if kind == "books" else d.uniform(0.3, 0.7))
        while at < end - 0.06:
            thick, high = d.uniform(0.025, 0.06), room * d.uniform(0.6, 0.92)
            size = (thick, deep * d.uniform(0.55, 0.8), high)
            m.add(d.colour(), box((at + thick / 2, middle + 0.02, z[0] + high / 2), size))
            at += thick + 0.003
    elif kind == "box":
        size = ((x[1] - x[0]) * d.uniform(0.4, 0.9), deep * 0.8, room * d.uniform(0.4, 0.85))
        m.add(d.colour(), box(((x[0] + x[1]) / 2, middle, z[0] + size[2] / 2), size))
    elif kind == "ball":
        radius = min(room, x[1] - x[0], deep) * d.uniform(0.25, 0.42)
        m.add(d.colour(), ball(((x[0] + x[1]) / 2, middle, z[0] + radius), radius))


def cabinet(d: RandomSource) -> Model:
    """Chests of drawers, sideboards, wardrobes and mixed fronts; on legs, a plinth or the floor; some open doors."""
    m, wood, metal = Model(), d.colour(*WOODS, (0.7, 0.7, 0.68), (0.25, 0.35, 0.4)), d.colour(*METALS)
    kind = d.choice(("drawers", "sideboard", "wardrobe", "mixed"))
    wide = {"drawers": d.uniform(0.6, 1.2), "sideboard": d.uniform(1.2, 2.0)}.get(kind, d.uniform(0.7, 1.3))
    tall = {"wardrobe": d.uniform(1.6, 2.2), "sideboard": d.uniform(0.5, 0.9)}.get(kind, d.uniform(0.8, 1.3))
    deep, lift = d.uniform(0.4, 0.6), d.uniform(0.0, 0.22)
    m.add(wood, box((0, 0, lift + tall / 2), (wide, deep, tall), 0.012))
    over = d.uniform(0.0, 0.04)
    m.add(wood, box((0, -over / 2, lift + tall + 0.015), (wide + 2 * over, deep + over, 0.035)))
    if lift > 0.06:
        for y in (-deep * 0.42, deep * 0.42):
            m.add(wood, *mirrored(rod((wide * 0.45, y, 0), (wide * 0.43, y, lift + 0.02), 0.02, 0.035)))
    columns = {"drawers": d.integer(1, 2), "sideboard": d.integer(2, 4), "wardrobe": d.integer(2, 3)}.get(kind, 2)
    knob, gap = d.choice(("knob", "bar", "upright", "cup")), 0.012
    front = d.colour(*WOODS, (0.7, 0.7, 0.68)) if d.chance(0.3) else wood
    for column in range(columns):
        drawers = {"drawers": d.integer(3, 6), "wardrobe": 1}.get(kind, d.choice((1, 1, 3, 4)))
        x, each = (column + 0.5 - columns / 2) * wide / columns, wide / columns - 2 * gap
        for row in range(drawers):
            high = tall / drawers - 2 * gap
            z = lift + (row + 0.5) * tall / drawers
            pull = d.uniform(0.05, 0.3) if drawers > 1 and d.chance(0.2) else 0.02
            m.add(front, box((x, -deep / 2 - pull / 2 + 0.005, z), (each, pull, high)))
            inner = (column < columns / 2) - (column >= columns / 2)
            where = (x + (inner * each * 0.42 if drawers == 1 else 0), -deep / 2 - pull, z)
            m.add(metal, *_handle(knob if drawers > 1 else d.choice(("knob", "upright")), where, each))
            if drawers == 1 and d.chance(0.4):
                m.add(wood, box((x, -deep / 2 - 0.022, z), (each * 0.7, 0.015, high * 0.8), 0.006))
    return m


def _handle(kind: str, at: tuple[float, float, float], wide: float) -> list[TriangleMesh]:
    x, y, z = at
    if kind == "bar":
        half = wide * 0.22
        ends = [rod((x + s * half, y, z), (x + s * half, y - 0.04, z), 0.006, sides=8) for s in (-1, 1)]
        return [rod((x - half, y - 0.04, z), (x + half, y - 0.04, z), 0.009, sides=10), *ends]
    if kind == "upright":
        return [
            tube(
                smooth_path([(x, y, z - 0.1), (x, y - 0.045, z - 0.06), (x, y - 0.045, z + 0.06), (x, y, z + 0.1)]),
                0.01,
                10,
            )
        ]
    if kind == "cup":
        return [cushion((x, y - 0.015, z + 0.02), (min(0.12, wide * 0.4), 0.04, 0.04))]
    return [lathe([(0, 0.008), (0.015, 0.008), (0.02, 0.022), (0.04, 0.018), (0.045, 0.0)], at, (0, -1, 0))]


def table(d: RandomSource) -> Model:
    """Round, square, oval and desk tables on legs, a pedestal, trestles, side panels or a sled."""
    m, wood, leg = Model(), d.colour(*WOODS, (0.7, 0.72, 0.72)), d.colour(*WOODS, *METALS)
    wide, deep, tall = d.uniform(0.7, 2.0), d.uniform(0.6, 1.0), d.choice((d.uniform(0.65, 0.8), d.uniform(0.35, 0.5)))
    thick, form = d.uniform(0.02, 0.07), d.choice(("square", "square", "square", "round", "oval"))
    if form == "square":
        m.add(wood, box((0, 0, tall - thick / 2), (wide, deep, thick)))
    else:
        wide = deep if form == "round" else wide
        profile = [(-thick, 0.0), (-thick, 0.47), (-thick * 0.6, 0.5), (0, 0.5), (0, 0.0)]
        plate = lathe(profile, (0, 0, tall))
        m.add(wood, replace(plate, vertices=plate.vertices * [wide, deep, 1]))
    kind = d.choice(
        ("legs", "legs", "legs", "pedestal", "trestle", "panels", "sled", "desk" if form == "square" else "legs")
    )
    inset = 0.08 if form == "square" else 0.42  # a corner of the inset rectangle lies within a round top
    x, y = wide / 2 - inset * wide / 2 - 0.02, deep / 2 - inset * deep / 2 - 0.02
    bar = d.uniform(0.035, 0.08)
    if kind == "legs" or (form != "square" and kind in ("panels", "sled")):
        splay = d.choice((0.0, 0.0, d.uniform(0.03, 0.1)))
        round_legs = d.chance(0.5)
        for sy in (-1, 1):
            foot, top = (x + splay, sy * (y + splay), 0), (x, sy * y, tall - thick)
            m.add(leg, *mirrored(rod(foot, top, bar * 0.5) if round_legs else beam(foot, top, bar)))
        if d.chance(0.5) and form == "square":
            m.add(leg, *mirrored(box((x, 0, tall - thick - 0.04), (0.02, 2 * y, 0.08))))
            m.add(leg, *mirrored(box((0, y, tall - thick - 0.04), (2 * x, 0.02, 0.08)), axis=1))
        if d.chance(0.25):
            m.add(wood, box((0, 0, tall * 0.3), (2 * x, 2 * y, 0.02)))
    elif kind == "pedestal":
        base = min(wide, deep) * d.uniform(0.28, 0.4)
        turned_profile = [
            (0, base),
            (0.03, base),
            (0.06, 0.05),
            (tall * 0.4, d.uniform(0.04, 0.1)),
            (tall - thick, 0.07),
        ]
        m.add(leg, lathe(turned_profile))
    elif kind == "trestle":
        for s in (-1, 1):
            top = (s * x * 0.8, 0, tall - thick)
            m.add(leg, beam((s * x * 0.8, -y, 0), top, 0.06), beam((s * x * 0.8, y, 0), top, 0.06))
        m.add(leg, beam((-x * 0.8, 0, tall * 0.5), (x * 0.8, 0, tall * 0.5), 0.05))
    elif kind == "panels":
        m.add(leg, *mirrored(box((x, 0, (tall - thick) / 2), (0.04, deep * 0.92, tall - thick))))
        m.add(leg, box((0, d.uniform(0, 0.4) * deep, tall * 0.65), (2 * x, 0.025, tall * d.uniform(0.3, 0.65))))
    elif kind == "sled":
        loop = [(x, -y, tall - thick), (x, -y, 0.02), (x, y, 0.02), (x, y, tall - thick)]
        for a, b in pairwise(loop):
            m.add(leg, *mirrored(beam(a, b, bar)))
    else:
        m.add(leg, *(beam((-x, s * y, 0), (-x, s * y, tall - thick), bar) for s in (-1, 1)))
        m.add(wood, box((x * 0.72, 0, (tall - thick) / 2 + 0.03), (wide * 0.25, deep * 0.9, tall - thick - 0.06)))
        for row in range(3):
            z = 0.09 + (row + 0.5) * (tall - thick - 0.1) / 3
            m.add(wood, box((x * 0.72, -deep * 0.46, z), (wide * 0.23, 0.02, (tall - 0.1) / 3 - 0.03)))
            m.add(d.colour(*METALS), *_handle("bar", (x * 0.72, -deep * 0.47, z), wide * 0.2))
    return m


def speaker(d: RandomSource) -> Model:
    """Tower, bookshelf and guitar cabinets, balls and cylinders, with one to four cones and ports."""
    m, body, cone = Model(), d.colour(*WOODS, BLACK, (0.6, 0.6, 0.6)), d.colour(BLACK, (0.1, 0.1, 0.11))
    kind = d.choice(("tower", "tower", "bookshelf", "bookshelf", "guitar", "ball", "can"))
    if kind == "ball":
        m.add(body, ball((0, 0, 0.32), 0.3, 16), lathe([(0, 0.2), (0.03, 0.2), (0.05, 0.08)]))
        _cone(m, d, cone, (0, -0.24, 0.32), 0.19)
        return m
    if kind == "can":
        tall, radius = d.uniform(0.25, 0.6), d.uniform(0.09, 0.16)
        m.add(body, lathe([(0, radius * 0.8), (0.02, radius), (tall * 0.85, radius), (tall, radius * 0.7)]))
        for z in np.linspace(0.1, 0.8, d.integer(6, 12)) * tall:
            m.add(cone, moved(ring((0, 0, 0), radius, 0.008, 2), (0, 0, z)))
        m.add(d.colour(*METALS), lathe([(0, radius * 0.5), (0.015, radius * 0.45)], (0, 0, tall)))
        return m
    wide, tall, deep = {
        "tower": (d.uniform(0.2, 0.32), d.uniform(0.8, 1.3), d.uniform(0.25, 0.42)),
        "bookshelf": (d.uniform(0.2, 0.3), d.uniform(0.3, 0.5), d.uniform(0.2, 0.35)),
        "guitar": (d.uniform(0.6, 0.8), d.uniform(0.5, 0.8), d.uniform(0.28, 0.36)),
    }[kind]
    m.add(body, box((0, 0, tall / 2), (wide, deep, tall), d.uniform(0.004, 0.04), 3, d.choice((1.0, 1.0, 0.85))))
    front = -deep / 2
    if kind == "guitar":
        for x in (-wide / 4, wide / 4):
            for z in (tall * 0.28, tall * 0.72) if tall > 0.6 else (tall / 2,):
                _cone(m, d, cone, (x, front, z), min(wide, tall) * 0.2)
        m.add(
            cone,
            *mirrored(*(ball((wide / 2, y, z), 0.03, 5) for y in (-deep / 2, deep / 2) for z in (0.02, tall - 0.02))),
        )
        return m
    z, number = tall * 0.93, d.integer(2, 4) if kind == "tower" else 2
    radii = [wide * 0.17, *(wide * d.uniform(0.33, 0.42) for _ in range(number - 1))]
    for radius in radii:
        z -= radius * 1.12
        if z - radius < 0.03:
            break
        _cone(m, d, cone, (0, front, z), radius)
        z -= radius * 1.12
    if z > 0.12:
        m.add(BLACK, ring((0, front, z - 0.04), wide * 0.14, 0.012, 1))
    if kind == "tower" and d.chance(0.6):
        m.add(cone, box((0, 0, 0.012), (wide * 1.25, deep * 1.15, 0.03)))
    return m


def _cone(m: Model, d: RandomSource, colour: Colour, at: tuple[float, float, float], radius: float) -> None:
    """A driver: rim, sunk-looking diaphragm that bulges in its middle, on a front that faces -y."""
    m.add(d.colour(*METALS), ring(at, radius, radius * 0.09, 1))
    profile = [(0, radius), (0.012, radius * 0.95), (0.02, radius * 0.8), (0.006, radius * 0.4), (0.03, radius * 0.3)]
    m.add(colour, lathe([*profile, (0.045, radius * 0.15), (0.048, 0.0)], at, (0, -1, 0)))
