"""DR-KFS as a loss: unbiased over views, nothing for the truth, and a word for each output that has no views."""

from dataclasses import replace

import numpy as np
import pytest
import shapes_to_learn as toys
import torch

from liftnet.data.reconstruction_set import ReconstructionSet
from liftnet.drkfs import Target
from liftnet.mesh.batch import Meshes
from liftnet.mesh.reading import load_mesh
from liftnet.models.reconstruction import Views
from liftnet.reconstruct.objectives import ShapeBatch
from liftnet.reconstruct.objectives import drkfs as objective
from liftnet.reconstruct.settings import RenderingSettings
from liftnet.reconstruct.targets import ShapeTargets
from liftnet.reconstruct.weighted_losses import WeightedLosses


class Given(toys.Ball):
    """Says the meshes that it is given."""

    def __init__(self, surfaces):
        super().__init__()
        self.given = surfaces

    def surfaces(self, prediction):
        return [(vertices + 0 * prediction.sum(), faces) for vertices, faces in self.given]


@pytest.fixture(scope="module")
def known(small_set, tmp_path_factory):
    """Targets of two shapes, and the shapes as surfaces."""
    data = ReconstructionSet.open(small_set)
    targets = ShapeTargets(data, tmp_path_factory.mktemp("targets"), RenderingSettings(precision="float32"))
    shapes = data.shapes("train")[::4]
    targets.prepare(shapes, frozenset({"targets"}), 1)
    meshes = Meshes.of(*(load_mesh(data.mesh_file(shape)) for shape in shapes))
    return targets, shapes, list(zip(meshes.vertices, meshes.faces, strict=True))


def batch_of(known, cameras, rotation=None):
    targets, shapes, _ = known
    count = len(shapes)
    turn = torch.eye(3).expand(count, 3, 3) if rotation is None else rotation
    views = Views(torch.zeros(count, 4, 32, 32), turn, torch.full((count,), 2.0), torch.full((count,), 0.27))
    joined = Target.joined([targets.target(shape) for shape in shapes])
    numbers = torch.as_tensor(cameras).expand(count, -1)
    return ShapeBatch(views, cameras=numbers, targets=joined, metric=targets.metric)


def terms(network, batch):
    return objective.loss(network, torch.zeros(1, requires_grad=True), batch, torch.Generator())


def swapped(known):
    return Given(known[2][::-1])


def test_the_truth_costs_nothing_and_another_shape_does(known):
    found = terms(Given(known[2]), batch_of(known, [3, 17]))
    assert found["loss"].max() < 2e-3  # what half precision of the targets leaves
    assert terms(swapped(known), batch_of(known, [3, 17]))["loss"].min() > 20 * found["loss"].max()
    assert found["left_out"].tolist() == [0, 0]


def test_the_mean_over_all_draws_of_a_view_is_the_whole_score(known):
    """Beside the metric itself, with targets that were not kept."""
    targets, _, surfaces = known
    truth = targets.metric.prepare(Meshes(*zip(*surfaces, strict=True)))
    with torch.no_grad():
        whole = targets.metric(Meshes(*zip(*surfaces[::-1], strict=True)), truth)
        single = torch.stack([terms(swapped(known), batch_of(known, [view]))["loss"] for view in range(25)])
    assert torch.allclose(single.mean(0), whole, rtol=2e-3)
    assert single.std(0).min() > 0.01 * whole.max()


def test_shapes_in_the_cameras_frame_are_turned_back(known):
    turn = torch.tensor([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).expand(2, 3, 3)
    seen = Given([(vertices @ turn[0].T, faces) for vertices, faces in known[2]])
    seen.frame = "view"
    assert terms(seen, batch_of(known, [3, 17], turn))["loss"].max() < 2e-3
    seen.frame = "object"
    assert terms(seen, batch_of(known, [3, 17], turn))["loss"].max() > 0.1


NOTHING = (torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))


def test_an_output_without_faces_is_left_out_and_leads_back_to_the_weights(known):
    network = Given([NOTHING, known[2][0]])
    prediction = torch.zeros(1, requires_grad=True)
    found = objective.loss(network, prediction, batch_of(known, [3]), torch.Generator())
    assert found["left_out"].tolist() == [1, 0]
    assert found["loss"][0] == 0
    assert found["loss"][1] > 0.01
    alone = objective.loss(Given([NOTHING] * 2), prediction, batch_of(known, [3]), torch.Generator())
    alone["loss"].mean().backward()
    assert prediction.grad == 0


def test_a_mesh_of_too_many_faces_is_not_drawn(known, monkeypatch):
    monkeypatch.setattr(objective, "MOST_FACES", len(known[2][1][1]))
    assert len(known[2][0][1]) > len(known[2][1][1])
    found = terms(Given(known[2]), batch_of(known, [3]))
    assert found["left_out"].tolist() == [1, 0]


def test_vertices_that_are_not_finite_make_that_shape_nan(known):
    broken = known[2][0][0].clone()
    broken[0, 0] = float("nan")
    found = terms(Given([(broken, known[2][0][1]), known[2][1]]), batch_of(known, [3]))
    assert found["loss"].isnan().tolist() == [True, False]


def test_of_a_prediction_that_is_not_finite_no_loss_is_asked(known, monkeypatch):
    monkeypatch.setattr(toys, "nearest_points", lambda *_: pytest.fail("asked"))
    toys.use_ball(monkeypatch)
    network = Given(known[2])
    network.surfaces = lambda prediction: pytest.fail("asked")
    prediction = {"grid": [torch.full((2, 3), float("inf"), requires_grad=True)], "faces": known[2][0][1]}
    found = WeightedLosses({"drkfs": 1, "vertices": 1}).terms(
        network, prediction, batch_of(known, [3]), torch.Generator()
    )
    assert list(found) == ["loss"]
    assert found["loss"].isnan().tolist() == [True, True]
    found["loss"].mean().backward()  # so that the loop can see it and leave the step out


def test_a_batch_without_targets_is_refused(known):
    with pytest.raises(ValueError, match="needs a batch with targets"):
        terms(Given(known[2]), replace(batch_of(known, [3]), targets=None))


def test_what_drkfs_leaves_out_the_networks_own_loss_learns(known, monkeypatch):
    toys.use_ball(monkeypatch)
    network = Given([NOTHING, known[2][0]])
    losses = WeightedLosses.of(network, {"drkfs": 2.0})
    assert losses.needs == {"cameras", "targets", "points"}
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 50, 3)).astype(np.float32))
    batch = replace(batch_of(known, [3]), points=points)
    prediction = network(batch.views)
    found = losses.terms(network, prediction, batch, torch.Generator())
    own = toys.nearest_points(network, prediction, batch, None)["loss"]
    assert torch.allclose(found["loss"], torch.stack([own[0], 2 * found["drkfs"][1]]))
    assert found["drkfs_left_out"].tolist() == [1, 0]


def test_a_sum_that_has_the_own_loss_does_not_count_it_twice(known, monkeypatch):
    toys.use_ball(monkeypatch)
    network = Given([NOTHING, known[2][0]])
    losses = WeightedLosses.of(network, {"drkfs": 2.0, "vertices": 0.5})
    assert losses.instead == {}
    batch = replace(batch_of(known, [3]), points=torch.zeros(2, 5, 3))
    found = losses.terms(network, network(batch.views), batch, torch.Generator())
    assert torch.allclose(found["loss"], 2 * found["drkfs"] + 0.5 * found["vertices"])
