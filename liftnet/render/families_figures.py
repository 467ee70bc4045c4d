"""Families of heads, torsos, figures and animals, blended from simple bodies. z is up, the front looks along -y."""

from __future__ import annotations

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.mesh.isosurface import Field
from liftnet.render.random_source import ShapeParams
from liftnet.render.sdf import (
    box,
    capsule,
    chain,
    cylinder,
    ellipsoid,
    lumps,
    place,
    rotation,
    sphere,
    subtract,
    torus,
    union,
    vec,
)


def head(k: ShapeParams) -> Field:
    """A portrait on its neck: skull, jaw, brow, sunk eyes, nose, lips, ears and hair."""
    wide, deep = k.uniform(0.44, 0.54), k.uniform(0.52, 0.64)
    jaw_z, chin = k.uniform(-0.5, -0.38), k.uniform(-0.42, -0.3)
    nose_out, brow_z = k.uniform(0.1, 0.24), k.uniform(0.08, 0.2)
    face = -deep + 0.04
    skull = ellipsoid((0, 0.05, 0.2), (wide, deep, 0.6))
    jaw = ellipsoid((0, -0.14, jaw_z + 0.12), (wide * k.uniform(0.66, 0.86), 0.42, 0.36))
    chin_ball = ellipsoid((0, chin - 0.06, jaw_z - 0.12), (0.16, 0.12, 0.11))
    neck = capsule((0, 0.12, -0.3), (0, 0.2, -1.0), k.uniform(0.24, 0.34), k.uniform(0.26, 0.36))
    brow = capsule((-0.24, face + 0.05, brow_z), (0.24, face + 0.05, brow_z), 0.075)
    skin = union(skull, jaw, chin_ball, neck, brow, blend=0.1 + 0.4 * k.blend)
    sockets = [ellipsoid((s * 0.19, face - 0.04, brow_z - 0.14), (0.14, 0.14, 0.1)) for s in (-1, 1)]
    skin = subtract(skin, *sockets, blend=0.06)
    nose = chain(
        np.array([[0, face, brow_z - 0.02], [0, face - nose_out, brow_z - 0.32], [0, face, brow_z - 0.38]]),
        np.array([0.045, k.uniform(0.065, 0.1), 0.06]),
        0.02,
    )
    eyes = [ellipsoid((s * 0.19, face + 0.1, brow_z - 0.14), (0.1, 0.08, 0.06)) for s in (-1, 1)]
    mouth_z = brow_z - 0.55
    lips = [
        ellipsoid((0, face + 0.05, mouth_z + 0.035), (0.15, 0.09, 0.035)),
        ellipsoid((0, face + 0.06, mouth_z - 0.035), (0.12, 0.09, 0.04)),
    ]
    ears = [torus((s * wide, 0.08, 0.05), 0.09, 0.035, rotation(yaw=s * 1.2)) for s in (-1, 1)]
    whole = union(skin, nose, *eyes, *lips, *ears, blend=0.04)
    whole = union(whole, _hair(k, wide, deep), *_shoulders(k), blend=0.03 + 0.2 * k.blend)
    return place(whole, rotation(yaw=k.uniform(-0.4, 0.4)), (0, 0, 0.1), 0.95)


def _hair(k: ShapeParams, wide: float, deep: float) -> Field:
    cap = ellipsoid((0, 0.14, 0.3), (wide + 0.06, deep + 0.02, 0.58))
    cut = box((0, -1.0 + k.uniform(0.42, 0.62) - deep * 0.35, 0.0), (2, 0.72, k.uniform(0.45, 0.6)))
    locks = subtract(lumps(cap, k.rng, k.uniform(0.02, 0.07), k.uniform(14, 24)), cut, blend=0.08)
    extra = int(k.rng.integers(4))
    if extra == 1:
        return union(locks, sphere((0, deep * 0.95, 0.45), k.uniform(0.18, 0.28)), blend=0.05)
    if extra == 2:
        sides = [capsule((s * wide, 0.15, 0.3), (s * wide * 0.95, 0.2, -0.5), 0.16, 0.12) for s in (-1, 1)]
        return union(locks, *sides, blend=0.1)
    return locks


def _shoulders(k: ShapeParams) -> list[Field]:
    if k.chance(0.5):
        return [capsule((-0.45, 0.2, -1.1), (0.45, 0.2, -1.1), 0.2), box((0, 0.2, -1.25), (0.4, 0.28, 0.1), 0.03)]
    return [box((0, 0.15, -1.05), (0.36, 0.36, 0.12), 0.03)]


def mask_head(k: ShapeParams) -> Field:
    """A long, simplified head of planes: a wedge nose, slit or hollow eyes, on a tall neck."""
    wide, deep, tall = k.uniform(0.3, 0.45), k.uniform(0.3, 0.45), k.uniform(0.6, 0.8)
    form = ellipsoid((0, 0, 0.2), (wide, deep, tall))
    if k.chance(0.5):
        form = union(form, box((0, 0.05, 0.2), (wide * 0.8, deep * 0.8, tall * 0.85), 0.1), blend=0.1)
    front = -deep
    hollow = k.uniform(0.1, 0.16)
    eyes = [ellipsoid((s * wide * 0.45, front + 0.02, 0.3), (wide * 0.32, hollow, 0.09)) for s in (-1, 1)]
    cheeks = [ellipsoid((s * wide * 0.75, front, -0.05), (0.16, 0.16, 0.3)) for s in (-1, 1)]
    nose = chain(np.array([[0, front + 0.05, 0.45], [0, front - k.uniform(0.1, 0.22), 0.0]]), np.array([0.05, 0.075]))
    lips = capsule((-0.08, front + 0.1, -0.2), (0.08, front + 0.1, -0.2), 0.06)
    neck = capsule((0, 0.08, -0.3), (k.uniform(-0.1, 0.1), 0.12, -1.0), 0.18, 0.24)
    carved = subtract(form, *eyes, *cheeks, blend=0.05)
    base = box((0, 0.1, -1.05), (0.38, 0.34, 0.12), 0.02)
    whole = union(carved, nose, lips, neck, blend=0.05 + 0.3 * k.blend)
    return place(union(whole, base, blend=0.02), rotation(k.uniform(-0.4, 0.4), k.uniform(-0.12, 0.12)))


def torso(k: ShapeParams) -> Field:
    """A body without head and limbs, weight on one leg."""
    b, sway, turn = k.bulk, k.uniform(0.04, 0.16) * k.sign(), k.uniform(-0.4, 0.4)
    chest_turn, hip_turn = rotation(yaw=turn, roll=sway), rotation(yaw=-turn * 0.5, roll=-sway)
    chest, hips = np.array([sway * 0.6, 0, 0.38]), np.array([-sway * 0.5, 0, -0.35])
    female = k.chance(0.55)
    shoulder, hip = (0.36, 0.38) if female else (0.45, 0.31)
    parts: list[Field] = [
        ellipsoid(chest, np.array([shoulder, 0.24, 0.36]) * b, chest_turn),
        ellipsoid((chest + hips) / 2, np.array([0.25, 0.18, 0.3]) * b),
        ellipsoid(hips, np.array([hip, 0.26, 0.28]) * b, hip_turn),
        capsule(chest + vec(0, 0.02, 0.3), chest + vec(0, -0.02, 0.55), 0.13 * b, 0.11 * b),
    ]
    for s in (-1, 1):
        joint = chest + chest_turn @ np.array([s * shoulder * 0.85, 0, 0.2])
        reach = k.around(s * 0.3, k.uniform(-0.5, 0.15), -0.15, spread=0.12)
        parts.append(capsule(joint, joint + reach * k.uniform(0.4, 1.0), 0.13 * b, 0.1 * b))
        thigh = hips + hip_turn @ np.array([s * 0.18, 0, -0.1])
        step = np.array([s * 0.03, k.uniform(-0.3, 0.1), -k.uniform(0.35, 0.65)])
        parts.append(capsule(thigh, thigh + step, 0.19 * b, 0.15 * b))
        muscle = chest + chest_turn @ np.array([s * 0.16, -0.19 * b, 0.06])
        parts.append(sphere(muscle, 0.14 * b) if female else ellipsoid(muscle, (0.17, 0.08, 0.12)))
        parts.append(sphere(hips + hip_turn @ np.array([s * 0.16, 0.16, -0.08]), 0.19 * b))
    body = union(*parts, blend=0.06 + 0.6 * k.blend)
    groove = capsule(chest + vec(0, -0.3, 0.1), hips + vec(0, -0.3, 0.1), 0.05)
    navel = sphere((chest + hips) / 2 + vec(0, -0.2, -0.1), 0.03)
    return subtract(body, groove, navel, blend=0.05)


def figure(k: ShapeParams) -> Field:
    """A standing or striding person, arms raised, folded or held forward."""
    b = k.bulk * 0.85
    lean, stride = k.uniform(-0.08, 0.08), k.uniform(0.0, 0.32)
    hips, chest, neck = np.array([0, 0, -0.05]), np.array([lean, 0, 0.35]), np.array([lean * 1.3, 0, 0.6])
    head_at = neck + k.around(0, -0.04, 0.2, spread=0.04)
    parts: list[Field] = [
        ellipsoid(chest, np.array([0.22, 0.16, 0.24]) * b),
        capsule(chest, hips, 0.15 * b, 0.17 * b),
        ellipsoid(hips, np.array([0.22, 0.17, 0.17]) * b),
        capsule(neck - vec(0, 0, 0.08), head_at, 0.075 * b),
        ellipsoid(head_at, np.array([0.11, 0.13, 0.15]) * (0.5 + 0.6 * b)),
        capsule(head_at - vec(0, 0.1, -0.02), head_at - vec(0, 0.15, 0.03), 0.025, 0.035),
    ]
    for s in (-1, 1):
        foot = np.array([s * 0.14, -s * stride + 0.02, -1.0])
        knee = (hips + foot) / 2 + vec(s * 0.04, -0.08 - k.uniform(0, 0.1), 0.03)
        leg = np.array([hips + vec(s * 0.11, 0, -0.05), knee, foot])
        parts.append(chain(leg, np.array([0.145, 0.1, 0.065]) * b, 0.05))
        parts.append(capsule(foot, foot + vec(0, -0.16, -0.03), 0.065 * b, 0.045 * b))
        parts.append(chain(_arm(k, chest, s), np.array([0.095, 0.075, 0.055]) * b, 0.04))
    if k.chance(0.35):
        parts.append(_robe(k, hips, chest))
    base = box((0, 0, -1.1), (0.42, 0.45, 0.06), 0.02)
    return union(union(*parts, blend=0.03 + 0.4 * k.blend), base, blend=0.03)


def _arm(k: ShapeParams, chest: FloatArray, s: int) -> FloatArray:
    shoulder = chest + vec(s * 0.22, 0, 0.15)
    pose = int(k.rng.integers(5))
    if pose == 0:  # raised
        elbow, hand = shoulder + vec(s * 0.22, -0.05, 0.2), shoulder + vec(s * 0.15, -0.1, 0.5)
    elif pose == 1:  # held forward
        elbow, hand = shoulder + vec(s * 0.1, -0.22, -0.15), shoulder + vec(0, -0.55, -0.02)
    elif pose == 2:  # folded before the body
        elbow, hand = shoulder + vec(s * 0.12, -0.08, -0.32), chest + vec(-s * 0.08, -0.27, -0.05)
    elif pose == 3:  # hand on the hip
        elbow, hand = shoulder + vec(s * 0.26, 0.1, -0.28), chest + vec(s * 0.22, -0.06, -0.42)
    else:  # stretched to the side
        elbow, hand = shoulder + vec(s * 0.32, 0.0, 0.0), shoulder + vec(s * 0.6, -0.12, k.uniform(-0.2, 0.25))
    return np.array([shoulder, elbow + k.around(0, 0, 0, spread=0.04), hand + k.around(0, 0, 0, spread=0.05)])


def _robe(k: ShapeParams, hips: FloatArray, chest: FloatArray) -> Field:
    skirt = capsule(chest - vec(0, 0, 0.15), (0, 0, -1.0), 0.18 * k.bulk, k.uniform(0.3, 0.4))
    waves = int(k.rng.integers(6, 11))

    def folds(p: FloatArray) -> FloatArray:
        angle = np.arctan2(p[1], p[0])
        deep = np.clip(np.float32(0.1) - p[2], 0, 1) * np.float32(0.05)
        cloth = np.float32(0.8) * (skirt(p) + deep * np.sin(np.float32(waves) * angle + 2 * p[2]))
        return np.maximum(cloth, np.float32(-1.1) - p[2])

    return folds


def seated(k: ShapeParams) -> Field:
    """A person on a block, knees forward, hands on them or around them."""
    b = k.bulk * 0.9
    hips, chest = np.array([0, 0.1, -0.25]), np.array([k.uniform(-0.06, 0.06), k.uniform(-0.1, 0.15), 0.25])
    head_at = chest + k.around(0, -0.1, 0.48, spread=0.05)
    parts: list[Field] = [
        chain(np.array([hips, (hips + chest) / 2, chest]), np.array([0.23, 0.18, 0.2]) * b, 0.1),
        capsule(chest - vec(0.17, 0, -0.12), chest + vec(0.17, 0, 0.12), 0.13 * b),
        capsule(chest, head_at, 0.09 * b),
        ellipsoid(head_at, np.array([0.14, 0.17, 0.18]) * (0.5 + 0.6 * b)),
        capsule(head_at - vec(0, 0.14, 0), head_at - vec(0, 0.2, 0.05), 0.03, 0.04),
    ]
    for s in (-1, 1):
        knee = k.around(s * k.uniform(0.15, 0.32), -0.5, k.uniform(-0.25, 0.0), spread=0.05)
        foot = np.array([knee[0], k.uniform(-0.6, -0.35), -0.85])
        parts.append(chain(np.array([hips + vec(s * 0.12, 0, 0), knee, foot]), np.array([0.17, 0.13, 0.08]) * b, 0.06))
        parts.append(capsule(foot, foot - vec(0, 0.16, 0.04), 0.075 * b, 0.05 * b))
        hand = knee + vec(0, 0.0, 0.12) if k.chance(0.6) else head_at + vec(s * 0.06, -0.18, -0.15)
        elbow = chest + vec(s * 0.34, -0.18, -0.2)
        parts.append(
            chain(np.array([chest + vec(s * 0.22, 0, 0.1), elbow, hand]), np.array([0.1, 0.08, 0.06]) * b, 0.04)
        )
    seat = (
        box((0, 0.22, -0.66), (0.38, 0.34, 0.27), 0.03)
        if k.chance(0.6)
        else cylinder((0, 0.2, -0.66), 0.38, 0.27, 0.03)
    )
    floor = box((0, -0.1, -0.96), (0.5, 0.72, 0.07), 0.02)
    return union(union(*parts, blend=0.03 + 0.5 * k.blend), seat, floor, blend=0.03)


def mother_and_child(k: ShapeParams) -> Field:
    """A bust that bends over a small figure held before it."""
    b, side = k.bulk, k.sign()
    head_at = np.array([side * 0.12, -0.1, 0.62])
    child = np.array([-side * 0.18, -0.42, 0.1])
    parts: list[Field] = [
        ellipsoid((0, 0.1, -0.3), np.array([0.5, 0.36, 0.65]) * b),
        capsule((-0.36, 0.08, 0.18), (0.36, 0.08, 0.18), 0.18 * b),
        capsule((0, 0.05, 0.2), head_at, 0.13),
        ellipsoid(head_at, (0.21, 0.25, 0.27), rotation(yaw=side * 0.3, pitch=0.3)),
        capsule(head_at + vec(-side * 0.05, -0.23, 0), head_at + vec(-side * 0.07, -0.3, -0.1), 0.03, 0.05),
    ]
    for s in (-1, 1):
        elbow = np.array([s * 0.52, -0.22, -0.28])
        parts.append(
            chain(
                np.array([[s * 0.4, 0.05, 0.15], elbow, child + vec(0, -0.08, -0.35)]),
                np.array([0.15, 0.12, 0.09]) * b,
                0.06,
            )
        )
    young = union(
        sphere(child + vec(0, -0.03, 0.15), 0.16),
        ellipsoid(child + vec(0, 0, -0.2), (0.19, 0.17, 0.28)),
        capsule(child + vec(0.1, -0.05, -0.35), child + vec(0.16, -0.3, -0.4), 0.08),
        capsule(child + vec(-0.1, -0.05, -0.35), child + vec(-0.12, -0.25, -0.5), 0.08),
        blend=0.05,
    )
    whole = union(union(*parts, blend=0.08 + 0.5 * k.blend), young, blend=0.04)
    return lambda p: np.maximum(whole(p), np.float32(-0.72) - p[2])


def animal(k: ShapeParams) -> Field:
    """A beast on four legs: bull, horse, hound or bear by its proportions."""
    b, long, leg = k.bulk, k.uniform(0.45, 0.7), k.uniform(0.35, 0.65)
    heavy = k.uniform(0.2, 0.34) * b
    rear, front = np.array([long, 0, 0.1]), np.array([-long, 0, 0.15])
    head_at = front + vec(-k.uniform(0.25, 0.45), k.uniform(-0.25, 0.1), k.uniform(0.0, 0.5))
    muzzle = head_at + vec(-0.25, -0.05, -k.uniform(0.05, 0.2))
    parts: list[Field] = [
        chain(np.array([rear, (rear + front) / 2 - vec(0, 0, 0.03), front]), np.array([1.0, 0.9, 1.1]) * heavy, 0.1),
        capsule(front, head_at, heavy * 0.75, heavy * 0.5),
        capsule(head_at, muzzle, heavy * 0.52, heavy * 0.3),
        chain(np.array([rear + vec(heavy, 0, 0.1), rear + vec(heavy + 0.2, 0, -0.1)]), np.array([0.06, 0.04])),
    ]
    for joint, knee_shift in ((rear, 0.06), (front, -0.04)):
        for s in (-1, 1):
            hip = joint + vec(0, s * heavy * 0.55, -0.05)
            foot = hip + vec(k.uniform(-0.18, 0.18), s * 0.03, -leg - 0.15)
            knee = (hip + foot) / 2 + vec(knee_shift, 0, 0)
            parts.append(chain(np.array([hip, knee, foot]), np.array([heavy * 0.6, heavy * 0.38, heavy * 0.27]), 0.04))
    crown = int(k.rng.integers(3))
    for s in (-1, 1):
        tip = head_at + ([0.0, s * 0.35, 0.3] if crown == 0 else [0.06, s * 0.14, 0.22])
        parts.append(
            capsule(head_at + vec(0.02, s * heavy * 0.35, heavy * 0.3), tip, 0.06, 0.02 if crown == 0 else 0.04)
        )
    base = box((0, 0, 0.1 - leg - 0.3), (long + 0.3, heavy * 1.5, 0.07), 0.02)
    whole = union(union(*parts, blend=0.04 + 0.5 * k.blend), base, blend=0.03)
    return place(whole, rotation(yaw=k.uniform(0.2, 1.0) * k.sign()), (0.1, 0, 0.1), 0.9)


def hand(k: ShapeParams) -> Field:
    """An open or closing hand rising from the wrist."""
    palm = box((0, 0, -0.15), (0.36, 0.15, 0.38), 0.13)
    parts: list[Field] = [palm, capsule((0, 0.02, -0.4), (0, 0.05, -1.0), 0.2, 0.24)]
    curl = k.uniform(0.1, 1.0)
    for i, length in enumerate((0.3, 0.36, 0.34, 0.26)):
        x = -0.28 + 0.185 * i
        bend_i = curl * k.uniform(0.7, 1.3)
        points, angle = [np.array([x, 0, 0.15])], 0.1
        for part in (1.0, 0.75, 0.6):
            angle += bend_i * 0.75
            spread = (i - 1.5) * 0.08
            points.append(points[-1] + length * part * np.array([spread, -np.sin(angle), np.cos(angle)]))
        parts.append(chain(np.array(points), np.array([0.1, 0.09, 0.08, 0.065]) * k.bulk, 0.02))
    thumb = np.array([[0.3, -0.02, -0.35], [0.5, -0.15, -0.1], [0.45, -0.32, 0.12]])
    parts.append(chain(thumb, np.array([0.13, 0.1, 0.075]) * k.bulk, 0.02))
    open_hand = union(*parts, blend=0.05)
    whole: Field = lambda p: np.maximum(open_hand(p), np.float32(-1.0) - p[2])  # noqa: E731
    return place(whole, rotation(yaw=k.uniform(-0.6, 0.6)), (0, 0.1, 0.05), 0.95)
