"""What is reconstructed without a network, on balls and boxes whose answers are known."""

import numpy as np
import pytest
from trivial_set import SHAPES, mesh_of, write_set

from liftnet.core.errors import LiftnetError
from liftnet.mesh.voxels import iou, voxelise
from liftnet.reconstruct.cases import Case
from liftnet.reconstruct.references import overlaps, reference


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("references"))


def case(data, name):
    return Case(next(shape for shape in data.all_shapes if shape.shape_id == name), 0)


def made(data, name, case_name):
    return reference(name, data, (), 32)([case(data, case_name)])[0].mesh


def extent(mesh):
    return float(np.abs(mesh.vertices).max())


def test_retrieval_finds_the_training_shape_that_looks_most_alike(data):
    """The test ball is .42 wide: .4 is nearer than .5, and no box has its outline."""
    assert extent(made(data, "retrieval", "ball-t")) == pytest.approx(0.4)
    assert extent(made(data, "retrieval", "box-t")) == pytest.approx(0.2)
    assert len(made(data, "retrieval", "box-t").faces) == 12  # the mesh itself


def test_the_oracle_finds_the_training_shape_that_overlaps_most(data):
    truth = voxelise(mesh_of(SHAPES[5]), 32)
    best = max(
        (given for given in SHAPES if given.split == "train"), key=lambda g: iou(voxelise(mesh_of(g), 32), truth)
    )
    assert extent(made(data, "retrieval_oracle", "box-t")) == pytest.approx(best.extent)


def test_what_retrieval_gives_has_the_points_of_the_outer_surface(data):
    found = reference("retrieval", data, (), 32)([case(data, "ball-t")])[0]
    assert np.linalg.norm(found.surface[0], axis=1) == pytest.approx(0.4, abs=0.01)


def test_the_mean_of_a_class_is_one_of_two_nested_shapes(data):
    """Of two balls, one in the other, the mean has the values 0, .5 and 1: at the best level it is one of them."""
    grid = voxelise(made(data, "class_mean", "ball-t"), 32)
    balls = [voxelise(mesh_of(given), 32) for given in SHAPES[:2]]
    assert any((grid == ball).all() for ball in balls)
    assert (made(data, "class_mean", "box-t").vertices != made(data, "class_mean", "ball-t").vertices[:1]).any()


def test_the_mean_of_all_knows_nothing_of_the_case(data):
    first, second = (made(data, "mean", name) for name in ("ball-t", "box-t"))
    assert (first.vertices == second.vertices).all()


def test_the_mean_lies_at_the_level_with_the_largest_overlap(data):
    grids = np.stack([voxelise(mesh_of(given), 32).ravel() for given in SHAPES if given.split == "train"])
    best = max(overlaps((grids.mean(0) >= level)[None], grids).mean() for level in np.linspace(0.02, 0.98, 97))
    grid = voxelise(made(data, "mean", "box-t"), 32).reshape(1, -1)
    assert overlaps(grid, grids).mean() == pytest.approx(best)


def test_own_voxels_are_those_of_the_shape(data):
    for given in SHAPES:
        assert (voxelise(made(data, "own_voxels", given.name), 32) == voxelise(mesh_of(given), 32)).all()


def test_overlap_is_a_share_of_the_union():
    mine = np.array([[True, True, False, False]])
    others = np.array([[True, False, True, False], [False] * 4, [True, True, False, False]])
    assert overlaps(mine, others).tolist() == [1 / 3, 0, 1]
    assert overlaps(mine & False, others[1:2]).tolist() == [0]


def test_an_unknown_reference_is_refused(data):
    with pytest.raises(LiftnetError, match="own_voxels"):
        reference("nearest", data, (), 32)
