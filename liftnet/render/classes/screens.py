"""Displays and telephones. They face -y."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from liftnet.render.classes.model import BLACK, GLASS, Model
from liftnet.render.classes.primitives import (
    ball,
    beam,
    box,
    cushion,
    lathe,
    loft,
    plus,
    rod,
    slab,
    smooth_path,
    tube,
    turned,
)
from liftnet.render.random_source import Colour, RandomSource


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
        outline = (
            [(u, v - 0.02) for u, v in zip(x, bow, strict=True)],
            [(u, v + 0.03) for u, v in zip(x, bow, strict=True)],
        )
        panel = slab(np.array(outline[0]), np.array(outline[1]), high)
        m.add(body, replace(panel, vertices=panel.vertices[:, [1, 2, 0]] + [0, 0, middle]))
        inner = slab(
            np.array(outline[0])[1:-1] - [0, 0.004], plus(np.array(outline[0])[1:-1], [0, 0.01]), high - 2 * rim
        )
        m.add(dark, replace(inner, vertices=inner.vertices[:, [1, 2, 0]] + [0, 0, middle]))
    else:
        m.add(body, box((0, 0, middle), (wide, thick, high), 0.012, 2))
        m.add(dark, box((0, -thick / 2, middle + rim / 2), (wide - 2 * rim, 0.01, high - 3 * rim)))
    if kind == "tube":
        deep = wide * d.uniform(0.5, 0.75)
        tail = np.array([[-0.48, -0.46, 0.48, 0.46], [-0.45, -0.42, 0.45, 0.42], [-0.25, -0.25, 0.25, 0.25]])
        corner = [
            np.array(
                [
                    [s[0] * wide, 0, s[1] * high],
                    [s[2] * wide, 0, s[1] * high],
                    [s[2] * wide, 0, s[3] * high],
                    [s[0] * wide, 0, s[3] * high],
                ]
            )
            for s in tail
        ]
        rings = [plus(c, [0, y, middle]) for c, y in zip(corner, (0, deep * 0.45, deep), strict=True)]
        m.add(
            body,
            loft(np.array(rings)),
            lathe([(0, wide * 0.3), (0.02, wide * 0.3), (lift, 0.1)], (0, deep * 0.3, 0)),
        )
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
    m, body, keys = (
        Model(),
        d.colour(BLACK, (0.6, 0.6, 0.6), (0.5, 0.05, 0.04), (0.1, 0.2, 0.35)),
        d.colour((0.7, 0.7, 0.7), (0.2, 0.2, 0.2)),
    )
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
