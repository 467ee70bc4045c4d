"""Families of carved, built and stacked sculptures. z is up and the front looks along -y."""

from __future__ import annotations

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.isosurface import Field
from liftnet.render.random_source import ShapeParams
from liftnet.render.sdf import (
    box,
    capsule,
    column,
    convex,
    cylinder,
    ellipsoid,
    place,
    rotation,
    sphere,
    subtract,
    torus,
    twist,
    union,
    vec,
)


def rhomboid_column(k: ShapeParams) -> Field:
    """Stacked double pyramids (after Brancusi's endless column), square to octagonal, sometimes twisted."""
    sides, number = int(k.rng.choice([4, 4, 6, 8])), k.uniform(2.0, 4.0)
    small, large = k.uniform(0.14, 0.22), k.uniform(0.3, 0.42)
    phase = k.uniform(0, 1)

    def section(angle: FloatArray, height: FloatArray) -> FloatArray:
        saw = np.abs(2 * np.mod(height * np.float32(number / 2) + np.float32(phase), 1) - 1)
        corner = np.mod(angle, np.float32(2 * np.pi / sides)) - np.float32(np.pi / sides)
        return (
            (np.float32(small) + np.float32(large - small) * saw) * np.float32(np.cos(np.pi / sides)) / np.cos(corner)
        )

    shaft = column(section, -0.95, k.uniform(0.7, 1.1))
    form = twist(shaft, k.uniform(0.5, 1.2) * k.sign()) if k.chance(0.35) else shaft
    return union(form, box((0, 0, -1.0), (0.48, 0.48, 0.1), 0.02))


def twisted_column(k: ShapeParams) -> Field:
    """A fluted or lobed shaft that turns as it rises, its width swelling."""
    lobes, depth = int(k.rng.integers(2, 7)), k.uniform(0.12, 0.35)
    width, swell, phase = k.uniform(0.34, 0.5) * k.bulk, k.uniform(0.0, 0.4), k.uniform(0, 6)

    def section(angle: FloatArray, height: FloatArray) -> FloatArray:
        profile = 1 + np.float32(swell) * np.sin(np.float32(2.6) * height + np.float32(phase))
        return np.float32(width) * profile * (1 + np.float32(depth) * np.cos(np.float32(lobes) * angle))

    shaft = twist(column(section, -0.9, 0.95), k.uniform(0.6, 2.0) * k.sign())
    return union(shaft, cylinder((0, 0, -0.95), width * 1.45, 0.09, 0.02), blend=0.04)


def totem(k: ShapeParams) -> Field:
    """Unlike parts stacked on one axis: drums, balls, blocks, rings, faces."""
    parts: list[Field] = []
    height, top = -1.1, k.uniform(0.8, 1.1)
    while height < top:
        size = k.uniform(0.14, 0.26)
        at, wide = (0, 0, height + size), k.uniform(0.22, 0.5) * k.bulk
        turn = rotation(yaw=k.uniform(-0.8, 0.8))
        kind = int(k.rng.integers(6))
        if kind == 0:
            parts.append(cylinder(at, wide, size, 0.03))
        elif kind == 1:
            parts.append(box(at, (wide, wide * k.uniform(0.5, 1), size), 0.03, turn))
        elif kind == 2:
            parts.append(ellipsoid(at, (wide, wide * 0.8, size * 1.1), turn))
        elif kind == 3:
            parts.append(union(torus(at, size * 0.7, size * 0.35, turn), cylinder(at, 0.08, size)))
        elif kind == 4:
            wings = box(at, (wide * 1.5, 0.1, size * 0.6), 0.04, rotation(k.uniform(-0.5, 0.5)))
            parts.append(union(box(at, (0.2, 0.22, size), 0.03), wings))
        else:
            parts.append(_mask_block(at, wide * 0.8, size * 1.15))
        height += 2 * size - 0.02
    return union(*parts, blend=min(k.blend, 0.05))


def _mask_block(at: tuple[float, float, float], wide: float, size: float) -> Field:
    x, y, z = at
    front = y - wide * 0.8
    eyes = [sphere((x + s * wide * 0.4, front, z + size * 0.3), wide * 0.24) for s in (-1, 1)]
    mouth = capsule((x - wide * 0.4, front, z - size * 0.5), (x + wide * 0.4, front, z - size * 0.5), size * 0.16)
    nose = box((x, front - 0.03, z), (wide * 0.13, wide * 0.22, size * 0.45), 0.03)
    return union(subtract(box(at, (wide, wide * 0.8, size), 0.05), *eyes, mouth, blend=0.02), nose, blend=0.02)


def stone_stack(k: ShapeParams) -> Field:
    """Faceted boulders balanced on each other."""
    parts: list[Field] = []
    height, radius = -1.0, k.uniform(0.42, 0.55)
    for _ in range(int(k.rng.integers(2, 5))):
        directions = k.rng.normal(size=(14, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        flat = k.uniform(0.6, 1.0)
        offsets = radius * k.rng.uniform(0.75, 1.0, 14) * (1 - (1 - flat) * np.abs(directions[:, 2]))
        shift = (k.uniform(-0.14, 0.14), k.uniform(-0.14, 0.14), height + radius * flat * 0.8)
        parts.append(place(convex(directions, offsets, 0.02 + 0.3 * k.blend), None, shift))
        height += radius * flat * 1.6
        radius *= k.uniform(0.62, 0.95)
    return union(*parts, blend=0.03)


def carved_block(k: ShapeParams) -> Field:
    """A block from which a head or a body half emerges, the rest left rough and carved with hollows."""
    half = np.array([k.uniform(0.5, 0.75), k.uniform(0.3, 0.5), k.uniform(0.65, 0.95)])
    block = box((0, 0.15, 0), half, 0.05, rotation(yaw=k.uniform(-0.25, 0.25)))
    front = 0.15 - half[1]
    corner = box(k.around(0.6 * k.sign(), front, 0.8, spread=0.1), (0.35, 0.3, 0.4), turn=rotation(0.5, 0.4, 0.3))
    niche = ellipsoid((0, front, 0), (half[0] * k.uniform(0.55, 0.8), k.uniform(0.25, 0.5), half[2] * 0.75))
    x, z = k.uniform(-0.1, 0.1), k.uniform(0.15, 0.35)
    emerging = union(
        ellipsoid((x, front + 0.02, z), (0.2, 0.24, 0.27)),
        capsule((x, front - 0.2, z + 0.06), (x, front - 0.28, z - 0.06), 0.03, 0.05),
        capsule((x, front + 0.1, z), (x, front + 0.15, -0.2), 0.12),
        ellipsoid((x, front + 0.12, -0.35), (half[0] * 0.55, 0.25, 0.3)),
        capsule((x + 0.3, front, -0.2), (x - k.uniform(-0.2, 0.25), front - 0.18, k.uniform(-0.5, 0.0)), 0.1, 0.07),
        blend=k.blend * 0.7,
    )
    return union(subtract(block, corner, niche, blend=0.03), emerging, blend=0.04)


def relief(k: ShapeParams) -> Field:
    """An upright slab with raised and sunk forms."""
    wide, tall, deep = k.uniform(0.65, 0.95), k.uniform(0.65, 0.95), k.uniform(0.1, 0.18)
    slab = box((0, 0.1, 0), (wide, deep, tall), 0.03)
    front = 0.1 - deep
    raised: list[Field] = []
    sunk: list[Field] = []
    for _ in range(int(k.rng.integers(6, 11))):
        x, z = k.uniform(-0.75, 0.75) * wide, k.uniform(-0.75, 0.75) * tall
        size, angle = k.uniform(0.1, 0.28), k.uniform(0, np.pi)
        kind = int(k.rng.integers(5))
        if kind == 0:
            raised.append(ellipsoid((x, front, z), (size, k.uniform(0.06, 0.28), size)))
        elif kind == 1:
            sunk.append(ellipsoid((x, front, z), (size, k.uniform(0.08, 0.16), size * k.uniform(0.6, 1.4))))
        elif kind == 2:
            dx, dz = 0.4 * np.cos(angle), 0.4 * np.sin(angle)
            raised.append(capsule((x - dx, front, z - dz), (x + dx, front - k.uniform(0, 0.2), z + dz), 0.07, 0.11))
        elif kind == 3:
            raised.append(box((x, front, z), (size, k.uniform(0.05, 0.25), size), 0.02, rotation(roll=angle)))
        else:
            raised.append(torus((x, front, z), size, 0.06))
    body = subtract(union(slab, *raised, blend=k.blend * 0.5), *sunk, blend=0.03)
    return place(body, rotation(pitch=k.uniform(-0.12, 0.05))) if k.chance(0.5) else body


def figure_relief(k: ShapeParams) -> Field:
    """A slab with one or two figures in high relief."""
    slab = box((0, 0.15, 0), (0.75, 0.12, 0.95), 0.04)
    bodies = []
    for x in (-0.3, 0.3) if k.chance(0.5) else (k.uniform(-0.15, 0.15),):
        lean, out = k.uniform(-0.12, 0.12), k.uniform(0.05, 0.16)
        y = 0.03 - out
        hip, neck = np.array([x, y, -0.1]), np.array([x + lean, y, 0.42])
        limbs = [
            ellipsoid((x + lean, y - 0.03, 0.62), (0.12, 0.14, 0.15)),
            capsule(neck - vec(0, 0, 0.1), hip, 0.19, 0.15),
            capsule(hip + vec(0.08, 0, 0), k.around(x + 0.12, y, -0.8, spread=0.06), 0.12, 0.07),
            capsule(hip - vec(0.08, 0, 0), k.around(x - 0.12, y, -0.8, spread=0.06), 0.12, 0.07),
        ]
        for s in (-1, 1):
            elbow = k.around(x + s * 0.3, y - 0.05, k.uniform(0.0, 0.5), spread=0.05)
            limbs.append(capsule(neck + vec(s * 0.16, 0, -0.05), elbow, 0.07))
            limbs.append(capsule(elbow, elbow + k.around(-s * 0.1, -0.15, 0.1, spread=0.2), 0.06, 0.05))
        bodies.append(union(*limbs, blend=0.04 + 0.5 * k.blend))
    frame = subtract(box((0, 0.05, 0), (0.8, 0.16, 1.0), 0.03), box((0, -0.2, 0), (0.68, 0.3, 0.88), 0.05))
    return union(slab, *bodies, *([frame] if k.chance(0.5) else []), blend=0.04)


def slabs(k: ShapeParams) -> Field:
    """Thin cut plates slotted into each other (after Noguchi's interlocking pieces)."""
    parts: list[Field] = [box((0, 0, -0.92), (0.6, 0.45, 0.07), 0.02)]
    for i in range(int(k.rng.integers(3, 6))):
        wide, tall, thin = k.uniform(0.25, 0.6), k.uniform(0.4, 0.85), k.uniform(0.05, 0.1)
        turn = rotation(yaw=k.uniform(0, np.pi), roll=k.uniform(-0.5, 0.5))
        plate = box((0, 0, 0), (wide, thin, tall), 0.02) if k.chance(0.5) else _leaf(wide, thin, tall)
        if k.chance(0.6):
            hole = k.around(0, 0, 0.1, spread=0.15)
            plate = subtract(plate, capsule(hole - vec(0, 1, 0), hole + vec(0, 1, 0), k.uniform(0.1, 0.2)), blend=0.01)
        shift = k.around(0, 0, 0.0 if i else -0.1, spread=0.25)
        parts.append(place(plate, turn, shift))
    return union(*parts, blend=0.01)


def _leaf(wide: float, thin: float, tall: float) -> Field:
    leaf = ellipsoid((0, 0, 0), (wide, 1.0, tall))
    plate = box((0, 0, 0), (2, thin, 2))
    return lambda p: np.maximum(leaf(p), plate(p))


def stepped_block(k: ShapeParams) -> Field:
    """Blocks grown out of each other at right angles, with slots and stairs."""
    solids: list[Field] = [box((0, 0, -0.45), (0.6, 0.45, 0.5), 0.02)]
    for _ in range(int(k.rng.integers(4, 8))):
        half = k.rng.uniform(0.12, 0.42, 3)
        solids.append(box(k.around(0, -0.1, 0.25, spread=0.45), half, 0.02))
    cuts = []
    for _ in range(int(k.rng.integers(2, 5))):
        half = k.rng.uniform(0.07, 0.25, 3) * np.array([1, 2.5, 1])
        cuts.append(box(k.around(0, -0.3, 0, spread=0.5), half, 0.01))
    body = subtract(union(*solids), *cuts)
    return place(body, rotation(yaw=k.uniform(-0.5, 0.5)))


def arch(k: ShapeParams) -> Field:
    """A gate: legs and lintel cut from a thick wall, with an inner stone."""
    wide, tall, deep = k.uniform(0.6, 0.8), k.uniform(0.75, 0.95), k.uniform(0.2, 0.4)
    wall = box((0, 0, 0), (wide, deep, tall), 0.05)
    gate_x, gate_w = k.uniform(-0.15, 0.15), k.uniform(0.22, 0.36)
    gate = capsule((gate_x, -1, 0.1), (gate_x, 1, 0.1), gate_w)
    below = box((gate_x, 0, -0.5), (gate_w, 2, 0.6))
    opening = union(gate, below)
    form = subtract(wall, opening, blend=0.04)
    dents = [sphere(k.around(0.5 * s, -deep - 0.1, 0.3, spread=0.25), k.uniform(0.18, 0.3)) for s in (-1, 1)]
    form = subtract(form, *dents, blend=0.04)
    stone = ellipsoid((gate_x, k.uniform(-0.3, 0.1), -tall + 0.3), (gate_w * 0.7, 0.2, 0.36))
    return union(form, stone, blend=0.05)
