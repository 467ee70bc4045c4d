"""Families of flowing, pierced and rounded sculptures. z is up and the front looks along -y."""

from __future__ import annotations

import numpy as np

from liftnet.mesh.isosurface import Field
from liftnet.render.random_source import ShapeParams
from liftnet.render.sdf import (
    bend,
    box,
    capsule,
    chain,
    cylinder,
    ellipsoid,
    intersect,
    place,
    rotation,
    smooth_min,
    sphere,
    stretch,
    subtract,
    torus,
    twist,
    union,
    vec,
)


def reclining(k: ShapeParams) -> Field:
    """A lying figure of blended masses, propped on an arm, knees raised, often pierced (after Moore)."""
    b, side = k.bulk, k.sign()
    chest, hips = k.around(-0.5, 0.0, 0.25, spread=0.08), k.around(0.2, 0.0, -0.15, spread=0.06)
    knee = k.around(0.75, -0.15, k.uniform(0.15, 0.5), spread=0.08)
    foot = k.around(1.15, -0.15, -0.35, spread=0.08)
    far_knee = k.around(0.7, 0.25, k.uniform(-0.1, 0.3), spread=0.08)
    far_foot = k.around(1.2, 0.3, -0.35, spread=0.06)
    elbow, head = k.around(-0.85, -0.2, -0.35, spread=0.06), chest + k.around(-0.08, 0.0, 0.55, spread=0.08)
    hand = k.around(-0.35, -0.45, -0.4, spread=0.08)
    shoulder = chest + np.array([-0.15, 0.0, 0.12])
    body = union(
        ellipsoid(chest, np.array([0.28, 0.33, 0.4]) * b, rotation(roll=0.6)),
        chain(np.array([chest, (chest + hips) / 2, hips]), np.array([0.24, 0.15, 0.25]) * b, k.blend),
        chain(np.array([hips, knee, foot]), np.array([0.24, 0.16, 0.11]) * b, k.blend),
        chain(np.array([hips, far_knee, far_foot]), np.array([0.24, 0.16, 0.11]) * b, k.blend),
        chain(np.array([shoulder, elbow, hand]), np.array([0.16, 0.11, 0.09]) * b, k.blend),
        capsule(chest, head, 0.13 * b, 0.1 * b),
        ellipsoid(head, np.array([0.13, 0.16, 0.17]) * (0.8 + 0.3 * b)),
        blend=k.blend + 0.06,
    )
    holes = [capsule(chest + np.array([0.05, -1, 0]), chest + np.array([0.1, 1, -0.05]), k.uniform(0.07, 0.17))]
    if k.chance(0.6):
        holes.append(capsule(hips + np.array([0.3, -1, 0.05]), hips + np.array([0.3, 1, 0.1]), k.uniform(0.05, 0.13)))
    pierced = subtract(body, *holes, blend=0.12) if k.chance(0.75) else body
    base = box((0.1, 0, -0.56), (1.15, 0.5, 0.1), 0.04)
    return (
        stretch(union(pierced, base, blend=0.05), (side, 1, 1))
        if side > 0
        else _mirror(union(pierced, base, blend=0.05))
    )


def _mirror(field: Field) -> Field:
    return lambda p: field(p * np.array([[-1], [1], [1]], np.float32))


def pierced_ovoid(k: ShapeParams) -> Field:
    """An upright or lying ovoid, hollowed and pierced, sometimes cut flat (after Hepworth)."""
    radii = np.array([k.uniform(0.55, 0.85), k.uniform(0.3, 0.6), k.uniform(0.75, 1.05)])
    body = bend(ellipsoid((0, 0, 0), radii), k.uniform(-0.25, 0.25))
    tools = []
    for _ in range(1 + k.chance(0.55)):
        at = k.around(0, 0, 0, spread=0.3) * np.array([1, 0, 1.5])
        turn = rotation(yaw=k.uniform(-0.5, 0.5), pitch=k.uniform(-0.3, 0.3))
        inner, outer = k.uniform(0.12, 0.24), k.uniform(0.28, 0.45)
        through = k.chance(0.75)
        axis = turn @ np.array([0, 1, 0])
        tools.append(capsule(at - axis * 1.2, at, outer * 1.6, inner))
        tools.append(capsule(at, at + axis * 1.2, inner, outer) if through else sphere(at, inner))
    form = subtract(body, *tools, blend=0.06 + 0.4 * k.blend)
    if k.chance(0.4):
        cut = box((0, -1.0 - radii[1] * k.uniform(0.3, 0.7), 0), (2, 1, 2), turn=rotation(yaw=k.uniform(-0.6, 0.6)))
        form = subtract(form, cut, blend=0.02)
    if k.chance(0.4):
        form = place(form, rotation(roll=k.uniform(0.9, 1.4) * k.sign()))
    return form


def biomorph(k: ShapeParams) -> Field:
    """Swelling buds grown from each other (after Arp)."""
    at, radius = np.zeros(3), k.uniform(0.4, 0.55) * k.bulk
    parts = [ellipsoid(at, radius * k.rng.uniform(0.75, 1.25, 3))]
    heading = k.rng.normal(size=3) * vec(1, 0.8, 0.4) + vec(0, 0, 0.7)
    for _ in range(int(k.rng.integers(3, 6))):
        heading = heading / np.linalg.norm(heading) + k.rng.normal(size=3) * 0.7
        step = heading / np.linalg.norm(heading)
        last, at = at, np.clip(at + step * radius * k.uniform(0.9, 1.3), -0.95, 0.95)
        radius = float(np.clip(radius * k.uniform(0.55, 1.05), 0.16, 0.5))
        turn = rotation(k.uniform(-1, 1), k.uniform(-1, 1), k.uniform(-1, 1))
        parts.append(ellipsoid(at, radius * k.rng.uniform(0.7, 1.3, 3), turn))
        parts.append(capsule(last, at, radius * 0.7))
    form = union(*parts, blend=0.12 + k.blend)
    if k.chance(0.35):
        dent = at * 0.3 + np.array([k.uniform(-0.3, 0.3), -0.6, 0.1])
        form = subtract(form, sphere(dent, k.uniform(0.25, 0.4)), blend=0.15)
    return form


def ovoid(k: ShapeParams) -> Field:
    """A smooth egg with the least of a face: a brow line, a nose, a cut plane (after Brancusi)."""
    radii = np.array([k.uniform(0.5, 0.65), k.uniform(0.5, 0.65), k.uniform(0.7, 0.9)])
    egg = ellipsoid((0, 0, 0), radii)
    taper = k.uniform(-0.25, 0.25)
    body: Field = lambda p: egg(  # noqa: E731
        np.stack([p[0] * (1 + np.float32(taper) * p[2]), p[1] * (1 + np.float32(taper) * p[2]), p[2]])
    )
    front, brow = -radii[1], k.uniform(0.05, 0.2)
    nose = capsule((0, front * 0.93, brow), (0, front - 0.08, brow - 0.3), 0.05, 0.1)
    sockets = [
        capsule((s * 0.12, front - 0.1, brow - 0.06), (s * 0.5, front + 0.1, brow - 0.02), 0.13) for s in (-1, 1)
    ]
    form = union(subtract(body, *sockets, blend=0.05), nose, blend=0.05)
    if k.chance(0.6):
        mouth = capsule((-0.12, front + 0.02, brow - 0.45), (0.12, front + 0.02, brow - 0.45), 0.05)
        form = subtract(form, mouth, blend=0.04)
    if k.chance(0.35):
        slab = box((0.9 * k.sign(), 0, 0.1), (0.45, 2, 2), turn=rotation(k.uniform(-0.4, 0.4)))
        form = subtract(form, slab, blend=0.02)
    if k.chance(0.5):
        return place(form, rotation(yaw=k.uniform(-0.3, 0.3), pitch=k.uniform(-0.3, 0.1), roll=1.35 * k.sign()))
    foot = cylinder((0, 0, -radii[2] - 0.1), k.uniform(0.2, 0.35), 0.25, 0.02)
    return union(place(form, rotation(k.uniform(-0.5, 0.5), k.uniform(-0.2, 0.2))), foot, blend=0.05)


def ring_form(k: ShapeParams) -> Field:
    """Rings and loops: one thick ring, linked rings or a knotted band."""
    kind = int(k.rng.integers(3))
    thick = k.uniform(0.14, 0.24) * k.bulk
    if kind == 0:
        ring = torus((0, 0, 0), 0.65, thick, rotation(yaw=k.uniform(-0.6, 0.6)))
        uneven = place(ring, None, (0, 0, 0))
        core = ellipsoid((0.5 * k.sign(), 0, 0.4), (0.35, thick * 1.6, 0.42))
        return union(stretch(uneven, (1, k.uniform(0.9, 1.7), 1.15)), core, blend=0.2)
    if kind == 1:
        first = torus((-0.3, 0, -0.1), 0.5, thick * 0.8, rotation(yaw=0.5))
        second = torus((0.35, 0, 0.15), 0.5, thick * 0.8, rotation(yaw=-0.9, pitch=0.5))
        return union(first, second, box((0, 0, -0.68), (0.6, 0.4, 0.1), 0.03), blend=k.blend * 0.5)
    t = np.linspace(0, 2 * np.pi, 37)
    turns, bulge = 3, k.uniform(0.22, 0.34)
    reach = 0.6 + bulge * np.cos(turns * t)
    points = np.stack([reach * np.cos(2 * t), 1.1 * bulge * np.sin(turns * t), reach * np.sin(2 * t)], 1)
    return chain(points, np.full(37, thick * 0.65))


def vessel(k: ShapeParams) -> Field:
    """A hollow shell, open to the front, with a form inside (after Moore's helmets and Hepworth's shells)."""
    radii = np.array([k.uniform(0.65, 0.85), k.uniform(0.5, 0.75), k.uniform(0.75, 0.95)])
    wall = k.uniform(0.1, 0.18)
    outer, inner = ellipsoid((0, 0, 0), radii), ellipsoid((0, 0, 0), radii - wall)
    turn = rotation(yaw=k.uniform(-0.4, 0.4), pitch=k.uniform(-0.25, 0.25))
    opening = ellipsoid(turn @ np.array([0, -radii[1], k.uniform(-0.1, 0.2)]), (0.45, 0.5, k.uniform(0.45, 0.7)), turn)
    shell = subtract(outer, inner, opening, blend=0.05)
    if k.chance(0.5):
        shell = subtract(shell, capsule((0.2, 0, 0.1), (1.2 * k.sign(), 0.1, 0.3), 0.14), blend=0.06)
    within = union(
        capsule((0, 0.05, -0.7), (k.uniform(-0.12, 0.12), 0, 0.15), 0.15, 0.09),
        sphere((k.uniform(-0.1, 0.1), -0.1, 0.3), k.uniform(0.14, 0.22)),
        blend=0.12,
    )
    return union(shell, within, blend=0.04)


def bird(k: ShapeParams) -> Field:
    """A slender soaring form on a small foot (after Brancusi)."""
    lean, thick = k.uniform(-0.28, 0.28), k.uniform(0.16, 0.27) * k.bulk
    t = np.linspace(0, 1, 9)
    spine = np.stack([lean * np.sin(2.4 * t), k.uniform(-0.3, 0.3) * t**2, -0.85 + 1.9 * t], 1)
    swell = thick * (0.35 + 1.1 * np.sin(np.pi * t**0.8) ** 1.2) * (1 - 0.35 * t)
    body = stretch(chain(spine, swell, 0.08), (1, k.uniform(0.65, 1.0), 1))
    parts = [body, cylinder((0, 0, -1.0), 0.26, 0.12, 0.02)]
    if k.chance(0.6):
        top = spine[-2]
        parts.append(capsule(top, top + np.array([0.12 * k.sign(), -0.4, -0.05]), 0.1, 0.03))
    if k.chance(0.5):
        for s in (-1, 1):
            parts.append(
                ellipsoid(spine[4] + np.array([s * 0.22, 0.12, 0]), (0.3, 0.06, 0.55), rotation(s * -0.5, 0.3))
            )
    return union(*parts, blend=0.1)


def two_forms(k: ShapeParams) -> Field:
    """Two upright stones that answer each other on one base, one before the other."""
    parts = []
    for s in (-1, 1):
        radii = np.array([k.uniform(0.22, 0.36), k.uniform(0.18, 0.34), k.uniform(0.5, 0.85)]) * [k.bulk, k.bulk, 1]
        stone = intersect(
            bend(ellipsoid((0, 0, 0), radii), k.uniform(-0.4, 0.4)),
            box((0, 0, 0), radii * [0.93, k.uniform(0.55, 0.95), 0.97], 0.06),
            blend=0.08,
        )
        if k.chance(0.7):
            stone = subtract(stone, capsule((0, -1, 0.15), (0.1, 1, 0.25), k.uniform(0.08, 0.16)), blend=0.07)
        turn = rotation(yaw=k.uniform(-0.9, 0.9))
        parts.append(place(stone, turn, (s * 0.42, s * k.uniform(0.0, 0.35), radii[2] - 0.75)))
    return union(*parts, box((0, 0, -0.8), (0.95, 0.6, 0.1), 0.03), blend=0.03)


def flame(k: ShapeParams) -> Field:
    """Twisting leaves that rise from one root and lean apart."""
    parts = [ellipsoid((0, 0, -0.75), (0.5, 0.4, 0.22))]
    for i in range(int(k.rng.integers(3, 6))):
        angle = 2.4 * i + k.uniform(-0.5, 0.5)
        tip = np.array([0.65 * np.cos(angle), 0.5 * np.sin(angle), k.uniform(0.35, 1.0)])
        middle = np.array([0.15 * np.cos(angle), 0.15 * np.sin(angle), -0.2])
        parts.append(chain(np.array([[0, 0, -0.75], middle, tip]), np.array([0.24, 0.2, 0.06]) * k.bulk, k.blend))
    flat = stretch(union(*parts, blend=k.blend + 0.05), (1, k.uniform(0.7, 1.1), 1))
    return twist(flat, k.uniform(0.5, 1.4) * k.sign())


def hollow_cluster(k: ShapeParams) -> Field:
    """A body eaten out by many bubbles."""
    body = ellipsoid((0, 0, 0), (k.uniform(0.6, 0.9), k.uniform(0.5, 0.7), k.uniform(0.7, 0.95)))
    holes = k.rng.normal(size=(9, 3))
    holes *= np.array([0.8, 0.65, 0.85]) / np.linalg.norm(holes, axis=1, keepdims=True)
    holes[:, 1] = -np.abs(holes[:, 1]) * k.rng.choice([1, 1, -1], 9)
    sizes = k.rng.uniform(0.18, 0.42, 9)

    def bubbles(p: np.ndarray) -> np.ndarray:
        value = np.full(p.shape[1], 9.0, np.float32)
        for hole, size in zip(holes, sizes, strict=True):
            value = smooth_min(value, sphere(hole, float(size))(p), 0.03)
        return value

    return subtract(body, bubbles, blend=0.04 + 0.3 * k.blend)
