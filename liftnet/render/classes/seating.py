"""Chairs, sofas and beds. They face -y."""

from __future__ import annotations

import numpy as np

from liftnet.render.classes.model import METALS, WOODS, Model
from liftnet.render.classes.primitives import (
    ball,
    beam,
    box,
    cushion,
    lathe,
    mirrored,
    moved,
    plus,
    rod,
    slab,
    smooth_path,
    tube,
    turned,
)
from liftnet.render.random_source import Colour, RandomSource


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
        m.add(cover, *mirrored(cushion((wide * 0.62, 0, tall * 0.75), (0.16, deep * 1.15, tall * 1.3))))
    else:
        _legs(m, d, frame, (wide, deep, tall), d.choice(("straight", "splayed", "turned")))
        if kind == "rocking":
            rocker = [(0, y, 0.9 * y * y - 0.02) for y in np.linspace(-deep * 0.8, deep, 12)]
            m.add(frame, *mirrored(moved(tube(rocker, 0.025), (wide / 2 - 0.03, 0, 0))))
    if kind != "club" and d.chance(0.4):
        high, reach = tall + d.uniform(0.16, 0.26), wide / 2 + d.uniform(-0.02, 0.03)
        m.add(frame, *mirrored(box((reach, 0, high), (0.05, deep * 0.95, 0.035))))
        m.add(frame, *mirrored(beam((reach, -deep * 0.35, tall), (reach, -deep * 0.4, high), 0.035)))
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
        m.add(frame, *mirrored(beam((wide * 0.45, at, low - 0.02), (wide * 0.45, top, low + high), 0.04, 0.035)))
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
        m.add(cover, *mirrored(cushion((side, 0, (low + top) / 2), (reach, deep, top - low), softness)))
    if arm == "roll":
        m.add(
            cover, *mirrored(rod((side + 0.02, -deep / 2, top), (side + 0.02, deep / 2, top), reach * 0.62, sides=20))
        )
    if arm == "slope":
        y = np.linspace(-deep / 2, deep / 2, 8)
        high = top + (back - top) * ((y / deep + 0.5) ** 2)
        m.add(cover, *mirrored(slab(np.c_[y, np.full(8, low)], np.c_[y, high], reach, x=side)))
    if d.chance(0.3):
        x = d.choice((-1, 1)) * (wide - each) / 2
        m.add(cover, cushion((x, -deep * 0.8, (low + seat) / 2), (each, deep * 0.75, seat - low + 0.06), softness))
    if d.chance(0.6):
        m.add(
            feet,
            *mirrored(*(rod((wide * 0.44, y, 0), (wide * 0.44, y, low + 0.05), 0.02, 0.035) for y in (-0.3, 0.3))),
        )
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
        m.add(frame, *mirrored(beam((wide / 2 + 0.02, y, 0), (wide / 2 + 0.02, y, high), d.uniform(0.05, 0.09))))
        board = min(high, top) if end > 0 else min(high, foot if kind != "posts" else low + 0.3)
        if kind in ("barred", "bunk"):
            m.add(frame, beam((-wide / 2, y, board - 0.03), (wide / 2, y, board - 0.03), 0.045))
            for x in np.linspace(-0.42, 0.42, 9) * wide:
                m.add(frame, rod((x, y, low - 0.1), (x, y, board - 0.03), 0.012, sides=8))
        else:
            m.add(frame, box((0, y, (low + board) / 2 - 0.05), (wide, 0.045, max(board - low + 0.1, 0.05))))
    if kind == "posts":
        high, reach = heights[1], long / 2 + 0.04
        m.add(frame, *mirrored(beam((wide / 2, -reach, high), (wide / 2, reach, high), 0.05)))
        m.add(frame, *mirrored(beam((-wide / 2, reach, high), (wide / 2, reach, high), 0.05), axis=1))
    if kind == "bunk":
        for z in np.linspace(0.2, levels[1], 5):
            m.add(frame, beam((wide / 2 + 0.08, -long * 0.3, z), (wide / 2 + 0.08, -long * 0.08, z), 0.03))
        for y in (-long * 0.3, -long * 0.08):
            m.add(frame, beam((wide / 2 + 0.08, y, 0), (wide / 2 + 0.08, y, levels[1] + 0.3), 0.035))
    return m
