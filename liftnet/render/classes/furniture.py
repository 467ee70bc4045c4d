"""Seats, beds, shelves, cabinets, tables and loudspeakers. They face -y."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.classes.model import (
    BLACK,
    METALS,
    WOODS,
    Model,
    ball,
    beam,
    box,
    cushion,
    lathe,
    mirrored,
    moved,
    plus,
    ring,
    rod,
    slab,
    smooth_path,
    tube,
    turned,
)
from liftnet.render.random_source import Colour, RandomSource

# Chairs, sofas and beds


def chair(d: RandomSource) -> Model:
    """Dining chairs, armchairs, swivel chairs, rocking chairs, stools with a back and cantilevers."""
    m, frame, cover = Model(), d.colour(*WOODS, *METALS), d.colour()
    wide, deep, tall = d.uniform(0.42, 0.62), d.uniform(0.42, 0.58), d.uniform(0.4, 0.5)
    kind = d.choice(("legs", "legs", "legs", "swivel", "rocking", "cantilever", "high", "club"))
    tall = 0.72 if kind == "high" else tall
    middle, size = (0.0, 0.0, tall), (wide, deep, d.uniform(0.03, 0.12))
    m.add(cover, box(middle, size) if d.chance(0.5) else cushion(middle, size))
    back = d.uniform(0.38, 0.7) * (0.6 if kind == "high" else 1)
    lean = d.uniform(0.02, 0.25)
    _back(m, d, frame, cover, (wide, deep / 2 - 0.03, tall, back, lean))
    if kind == "swivel":
        _swivel(m, d, frame, tall, wide)
    elif kind == "cantilever":
        path = [(wide / 2, deep / 2, tall - 0.03), (wide / 2, -deep / 2 + 0.05, tall - 0.03)]
        path += [(wide / 2, -deep / 2 - 0.02, tall - 0.1), (wide / 2, -deep / 2, 0.03), (wide / 2, deep / 2, 0.015)]
        m.add(frame, *mirrored(tube(smooth_path(path), 0.018)), rod((-wide / 2, deep / 2, 0.015), path[-1], 0.018))
    elif kind == "club":
        m.add(cover, cushion((0, 0, tall / 2), (wide * 1.3, deep * 1.1, tall * 0.9)))
        m.pair(cover, cushion((wide * 0.62, 0, tall * 0.75), (0.16, deep * 1.15, tall * 1.3)))
    else:
        _legs(m, d, frame, (wide, deep, tall), d.choice(("straight", "splayed", "turned")))
        if kind == "rocking":
            rocker = [(0, y, 0.9 * y * y - 0.02) for y in np.linspace(-deep * 0.8, deep, 12)]
            m.pair(frame, moved(tube(rocker, 0.025), (wide / 2 - 0.03, 0, 0)))
    if kind != "club" and d.chance(0.4):
        high, reach = tall + d.uniform(0.16, 0.26), wide / 2 + d.uniform(-0.02, 0.03)
        m.pair(frame, box((reach, 0, high), (0.05, deep * 0.95, 0.035)))
        m.pair(frame, beam((reach, -deep * 0.35, tall), (reach, -deep * 0.4, high), 0.035))
    return m


def _back(m: Model, d: RandomSource, frame: Colour, cover: Colour, sizes: tuple[float, ...]) -> None:
    wide, at, low, high, lean = sizes
    kind = d.choice(("panel", "slats", "rungs", "hoop", "cushion", "splat"))
    top = at + lean * high
    if kind in ("panel", "cushion"):
        make = box if kind == "panel" else cushion
        plate = make((0, at, low + high / 2 + 0.02), (wide * d.uniform(0.8, 1.0), d.uniform(0.03, 0.1), high))
        m.add(cover, turned(plate, -np.arctan(lean), 0, (0, at, low)))
        return
    if kind == "hoop":
        hoop = [(-wide * 0.45, at, low), (-wide * 0.47, top - 0.03, low + high * 0.7), (0, top, low + high)]
        hoop += [(wide * 0.47, top - 0.03, low + high * 0.7), (wide * 0.45, at, low)]
        m.add(frame, tube(smooth_path(hoop, 30), 0.018))
    else:
        m.pair(frame, beam((wide * 0.45, at, low - 0.02), (wide * 0.45, top, low + high), 0.04, 0.035))
        m.add(frame, box((0, top, low + high - 0.04), (wide * 0.98, 0.035, d.uniform(0.06, 0.14))))
    if kind == "rungs":
        for share in np.linspace(0.2, 0.8, d.integer(2, 5)):
            m.add(frame, box((0, at + share * (top - at), low + share * high), (wide * 0.9, 0.02, 0.05)))
    elif kind == "splat":
        m.add(frame, beam((0, at, low), (0, top, low + high * 0.95), wide * d.uniform(0.25, 0.45), 0.02))
    else:
        number = d.integer(3, 8)
        for x in np.linspace(-0.36, 0.36, number) * wide:
            reach = 0.94 - (0.6 * (x / wide) ** 2 if kind == "hoop" else 0)
            m.add(frame, rod((x, at, low), (x * 1.05, at + (top - at) * reach, low + high * reach), 0.011, sides=8))


def _legs(m: Model, d: RandomSource, colour: Colour, sizes: tuple[float, float, float], kind: str) -> None:
    wide, deep, tall = sizes
    thick, splay = d.uniform(0.03, 0.055), d.uniform(0.02, 0.09) if kind == "splayed" else 0.0
    for sx in (-1, 1):
        for sy in (-1, 1):
            top = np.array([sx * (wide / 2 - thick), sy * (deep / 2 - thick), tall])
            foot = plus(top, [sx * splay, sy * splay, -tall])
            if kind == "straight":
                m.add(colour, beam(foot, top, thick))
            elif kind == "splayed":
                m.add(colour, rod(foot, top, thick * 0.35, thick * 0.6))
            else:
                profile = [(0, 0.4), (0.1, 0.5), (0.14, 0.3), (0.5, 0.55), (0.75, 0.35), (0.8, 0.6), (1, 0.55)]
                m.add(colour, lathe([(h * tall, r * thick) for h, r in profile], foot))
    if d.chance(0.5):
        level = tall * d.uniform(0.25, 0.5)
        for sx in (-1, 1):
            x = sx * (wide / 2 - thick)
            m.add(colour, beam((x, -deep / 2 + thick, level), (x, deep / 2 - thick, level), 0.02))
        m.add(colour, beam((-wide / 2 + thick, 0, level), (wide / 2 - thick, 0, level), 0.02))


def _swivel(m: Model, d: RandomSource, colour: Colour, tall: float, wide: float) -> None:
    m.add(colour, rod((0, 0, 0.1), (0, 0, tall), 0.03), rod((0, 0, tall * 0.5), (0, 0, tall), 0.045))
    arms = d.choice((4, 5, 5, 6))
    for i in range(arms):
        angle = 2 * np.pi * i / arms + 0.3
        end = np.array([np.cos(angle), np.sin(angle), 0]) * wide * d.uniform(0.52, 0.56)
        m.add(colour, rod((0, 0, 0.11), plus(end, [0, 0, 0.07]), 0.03, 0.02, sides=8))
        m.add((0.03, 0.03, 0.03), ball(plus(end, [0, 0, 0.032]), 0.032, 6))


def sofa(d: RandomSource) -> Model:
    """Sofas of two to four seats, straight or with a chaise, with box, rolled or no arms."""
    m, cover, feet = Model(), d.colour(), d.colour(*WOODS, *METALS)
    seats = d.integer(2, 4)
    each, deep, low = d.uniform(0.5, 0.7), d.uniform(0.75, 0.95), d.uniform(0.06, 0.2)
    wide, seat = seats * each, d.uniform(0.38, 0.46)
    softness = d.uniform(0.2, 0.75)
    m.add(cover, cushion((0, 0, (low + seat - 0.1) / 2), (wide, deep, seat - 0.1 - low), 0.3))
    thick, back = d.uniform(0.16, 0.26), d.uniform(0.68, 0.95)
    plate = cushion((0, deep / 2 - thick / 2, (low + back) / 2), (wide, thick, back - low), softness)
    m.add(cover, plate)
    extra = d.colour() if d.chance(0.3) else cover
    for i in range(seats):
        x = (i + 0.5 - seats / 2) * each
        m.add(cover, cushion((x, -thick / 2, seat - 0.05), (each * 0.98, deep - thick, 0.17), softness))
        pad = cushion((x, deep / 2 - thick - 0.06, seat + 0.22), (each * 0.95, 0.18, back - seat - 0.02), softness)
        m.add(extra, turned(pad, -0.15, 0, (x, deep / 2 - thick, seat)))
    arm = d.choice(("box", "roll", "roll", "none", "box", "slope"))
    reach, top = d.uniform(0.12, 0.26), seat + d.uniform(0.12, 0.26)
    side = wide / 2 + reach / 2
    if arm in ("box", "roll"):
        m.pair(cover, cushion((side, 0, (low + top) / 2), (reach, deep, top - low), softness))
    if arm == "roll":
        m.pair(cover, rod((side + 0.02, -deep / 2, top), (side + 0.02, deep / 2, top), reach * 0.62, sides=20))
    if arm == "slope":
        y = np.linspace(-deep / 2, deep / 2, 8)
        high = top + (back - top) * ((y / deep + 0.5) ** 2)
        m.pair(cover, slab(np.c_[y, np.full(8, low)], np.c_[y, high], reach, x=side))
    if d.chance(0.3):
        x = d.choice((-1, 1)) * (wide - each) / 2
        m.add(cover, cushion((x, -deep * 0.8, (low + seat) / 2), (each, deep * 0.75, seat - low + 0.06), softness))
    if d.chance(0.6):
        m.pair(feet, *(rod((wide * 0.44, y, 0), (wide * 0.44, y, low + 0.05), 0.02, 0.035) for y in (-0.3, 0.3)))
    return m


def bed(d: RandomSource) -> Model:
    """Single, double and bunk beds, four-posters, with panelled or barred heads. The head lies at +y."""
    m, frame, sheet, blanket = Model(), d.colour(*WOODS, *METALS), d.colour((0.7, 0.68, 0.64)), d.colour()
    wide, long, low = d.uniform(0.9, 1.9), d.uniform(1.9, 2.15), d.uniform(0.22, 0.42)
    kind = d.choice(("plain", "plain", "posts", "bunk", "barred"))
    wide = d.uniform(0.85, 1.05) if kind == "bunk" else wide
    levels: tuple[float, ...] = (low, low + d.uniform(0.95, 1.2)) if kind == "bunk" else (low,)
    for level in levels:
        m.add(frame, box((0, 0, level - 0.05), (wide + 0.08, long + 0.06, d.uniform(0.1, 0.2))))
        thick = d.uniform(0.14, 0.28)
        m.add(sheet, cushion((0, 0, level + thick / 2), (wide, long, thick), 0.5))
        cover = d.uniform(0.5, 0.8) * long
        at = (0, (cover - long) / 2 - 0.01, level + thick / 2 + 0.03)
        m.add(blanket, cushion(at, (wide + 0.05, cover, thick + 0.02), 0.5))
        number = 2 if wide > 1.25 else 1
        for i in range(number):
            x = (i + 0.5 - number / 2) * wide / number
            m.add(sheet, ball((x, long / 2 - 0.25, level + thick + 0.06), (0.4 * wide / number, 0.2, 0.1)))
    top = levels[-1] + d.uniform(0.45, 0.9)
    foot = levels[-1] + (d.uniform(0.2, 0.4) if d.chance(0.5) or kind in ("bunk", "posts") else -0.1)
    heights = {1: d.uniform(1.7, 2.1) if kind == "posts" else top, -1: foot}
    heights[-1] = heights[1] if kind == "posts" else foot
    for end, high in heights.items():
        y = end * (long / 2 + 0.04)
        m.pair(frame, beam((wide / 2 + 0.02, y, 0), (wide / 2 + 0.02, y, high), d.uniform(0.05, 0.09)))
        board = min(high, top) if end > 0 else min(high, foot if kind != "posts" else low + 0.3)
        if kind in ("barred", "bunk"):
            m.add(frame, beam((-wide / 2, y, board - 0.03), (wide / 2, y, board - 0.03), 0.045))
            for x in np.linspace(-0.42, 0.42, 9) * wide:
                m.add(frame, rod((x, y, low - 0.1), (x, y, board - 0.03), 0.012, sides=8))
        else:
            m.add(frame, box((0, y, (low + board) / 2 - 0.05), (wide, 0.045, max(board - low + 0.1, 0.05))))
    if kind == "posts":
        high, reach = heights[1], long / 2 + 0.04
        m.pair(frame, beam((wide / 2, -reach, high), (wide / 2, reach, high), 0.05))
        m.pair(frame, beam((-wide / 2, reach, high), (wide / 2, reach, high), 0.05), axis=1)
    if kind == "bunk":
        for z in np.linspace(0.2, levels[1], 5):
            m.add(frame, beam((wide / 2 + 0.08, -long * 0.3, z), (wide / 2 + 0.08, -long * 0.08, z), 0.03))
        for y in (-long * 0.3, -long * 0.08):
            m.add(frame, beam((wide / 2 + 0.08, y, 0), (wide / 2 + 0.08, y, levels[1] + 0.3), 0.035))
    return m


# Bookshelves, cabinets, tables and loudspeakers


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
        m.pair(wood, box((wide / 2 + thick / 2, 0, tall / 2), (thick, deep, tall)))
    else:
        for y, foot in ((-deep / 2, -deep / 2 - (deep * 0.6 if kind == "ladder" else 0)), (deep / 2, deep / 2)):
            m.pair(wood, beam((wide / 2, foot, 0), (wide / 2, y, tall), 0.04))
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
            m.pair(wood, rod((wide * 0.45, y, 0), (wide * 0.43, y, lift + 0.02), 0.02, 0.035))
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
            m.pair(leg, rod(foot, top, bar * 0.5) if round_legs else beam(foot, top, bar))
        if d.chance(0.5) and form == "square":
            m.pair(leg, box((x, 0, tall - thick - 0.04), (0.02, 2 * y, 0.08)))
            m.pair(leg, box((0, y, tall - thick - 0.04), (2 * x, 0.02, 0.08)), axis=1)
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
        m.pair(leg, box((x, 0, (tall - thick) / 2), (0.04, deep * 0.92, tall - thick)))
        m.add(leg, box((0, d.uniform(0, 0.4) * deep, tall * 0.65), (2 * x, 0.025, tall * d.uniform(0.3, 0.65))))
    elif kind == "sled":
        loop = [(x, -y, tall - thick), (x, -y, 0.02), (x, y, 0.02), (x, y, tall - thick)]
        for a, b in pairwise(loop):
            m.pair(leg, beam(a, b, bar))
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
        m.pair(cone, *(ball((wide / 2, y, z), 0.03, 5) for y in (-deep / 2, deep / 2) for z in (0.02, tall - 0.02)))
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
