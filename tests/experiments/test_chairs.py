"""Chairs of boxes: closed, as large as their boxes, and changed as an edit says."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from liftnet.experiments.drkfs.shapes import Chair, chair_of, surface_of_boxes
from liftnet.mesh.mesh import normalising


def solid(mesh):
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def pieces(mesh, height):
    """Connected outlines of a horizontal slice: legs, bars, slats."""
    return len(solid(mesh).section([0, 1, 0], [0, height, 0]).discrete)


def test_overlapping_boxes_have_the_volume_and_the_area_of_their_union():
    boxes = np.array([[[0, 0, 0], [2, 1, 1]], [[1, 0, 0], [2, 3, 1]], [[1.5, 2, 0.5], [4, 3, 1]]], float)
    body = solid(surface_of_boxes(boxes, 0.3))
    assert body.is_watertight
    assert body.volume == pytest.approx(2 + 2 + 1)
    assert body.area == pytest.approx(10 + 8 + 7 - 2 * 0.5 * 1)
    assert body.edges_unique_length.max() <= 0.3 * np.sqrt(2) + 1e-9


@pytest.mark.parametrize("number", range(12))
def test_random_chairs_are_closed_and_have_four_legs(number):
    chair = chair_of(0, number)
    body = solid(chair.mesh())
    assert body.is_watertight
    assert body.body_count == 1
    assert body.volume > 0
    assert pieces(chair.mesh(), -0.3 * chair.leg_height) == 4
    assert pieces(chair.mesh(), chair.seat + 0.3 * chair.back_height) == (chair.slats + 2 if chair.slats else 1)
    assert chair == chair_of(0, number) != chair_of(1, number)


def test_edits_change_what_they_say():
    chair = Chair()
    volume = solid(chair.mesh()).volume
    leg = chair.leg_width**2 * chair.leg_height
    removed = replace(chair, missing_legs=(1,))
    assert pieces(removed.mesh(), -0.2) == 3
    assert solid(removed.mesh()).volume == pytest.approx(volume - leg)
    changed = chair.with_legs(thicker=1.5, longer=1.2)
    assert pieces(changed.mesh(), -0.2) == 4
    # legs stand flush with the seat, so thicker ones keep their axis and reach beyond it
    assert solid(changed.mesh()).volume == pytest.approx(volume + 4 * leg * (1.5**2 * 1.2 - 1))
    assert changed.mesh().vertices[:, 1].min() == pytest.approx(-1.2 * chair.leg_height)
    bent = replace(chair, leg_bend=0.3, back_bend=0.2)
    assert solid(bent.mesh()).is_watertight
    assert solid(bent.mesh()).volume == pytest.approx(volume, rel=0.02)  # a shear keeps volume
    assert np.ptp(bent.mesh().vertices[:, 0]) == pytest.approx(chair.width + 2 * 0.3 * chair.leg_height)
    assert bent.mesh().vertices[:, 2].min() == pytest.approx(-chair.depth / 2 - 0.2 * chair.back_height)


def test_bars_stand_where_they_should():
    chair = Chair(bar_height=0.15, bar_width=0.02)
    body = solid(chair.mesh())
    assert body.is_watertight
    assert body.euler_number == 2 - 2 * 4  # a ring on four legs below a seat closes four loops
    assert pieces(chair.mesh(), 0.15 - chair.leg_height) == 2  # the ring's outer and inner outline
    assert pieces(chair.mesh(), 0.15 - chair.leg_height + 0.02) == 4
    assert solid(replace(chair, bar_height=None).mesh()).euler_number == 2


def test_an_edited_chair_stays_where_the_reference_lies():
    chair = Chair()
    reference = chair.mesh()
    frame = normalising(reference)
    placed = frame.mesh(reference)
    assert np.linalg.norm(placed.vertices, axis=1).max() == pytest.approx(0.5)
    shorter = frame.mesh(chair.with_legs(longer=0.7).mesh())
    assert shorter.vertices[:, 1].max() == pytest.approx(placed.vertices[:, 1].max())
    assert shorter.vertices[:, 1].min() > placed.vertices[:, 1].min()
