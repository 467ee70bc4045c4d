"""Losses of the networks whose output is a mesh or points, beside formulas by hand; each learns four simple shapes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mesh_shapes import batch_of, simple_meshes

from liftnet.core.errors import LiftnetError
from liftnet.drkfs import DRKFS, MetricSettings
from liftnet.mesh.batch import Meshes
from liftnet.mesh.mesh import TriangleMesh, sample_surface
from liftnet.mesh.regularisers import flatten_loss, laplacian_loss
from liftnet.mesh.templates import edges_of, hinges_of, icosphere, neighbours
from liftnet.models.image_encoder import ImageEncoder
from liftnet.models.reconstruction import ReconstructionNetwork, network_from
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.reconstruction_networks.atlasnet import AtlasNet, PatchDecoder
from liftnet.models.reconstruction_networks.pixel2mesh import SMALL, Deformed, Pixel2Mesh
from liftnet.models.reconstruction_networks.shape_generator import ShapeGenerator
from liftnet.reconstruct.objectives import (
    chamfer,
    pixel2mesh,
    pixel2mesh_regularity,
    shaded,
    silhouettes_nmr,
    silhouettes_softras,
)
from liftnet.reconstruct.objectives._views import foldedness, one_minus_iou, rendered, roughness
from liftnet.shape.distances import chamfer_l2, nearest

VIEW_LOSSES = [silhouettes_nmr, silhouettes_softras, shaded]


class Said(ReconstructionNetwork):
    """A network whose prediction is its surfaces."""

    def __init__(self, frame="object"):
        super().__init__()
        self.frame = frame

    def forward(self, views):
        raise NotImplementedError

    def surfaces(self, prediction):
        return prediction


@pytest.fixture(scope="module")
def batch():
    return batch_of(simple_meshes())


@pytest.fixture(scope="module")
def truths():
    return [(torch.tensor(mesh.vertices).float(), torch.tensor(mesh.faces)) for mesh in simple_meshes()]


def generator():
    return torch.Generator().manual_seed(0)


def square(low, high, side=16):
    image = torch.zeros(1, 1, side, side)
    image[..., low:high, low:high] = 1
    return image


def test_silhouettes_that_are_the_same_have_no_loss_and_disjoint_ones_all_of_it():
    assert float(one_minus_iou(square(2, 8), square(2, 8))) == pytest.approx(0, abs=1e-6)
    assert float(one_minus_iou(square(0, 5), square(6, 16))) == 1
    assert float(one_minus_iou(square(0, 8), square(4, 12))) == pytest.approx(1 - 16 / (2 * 64 - 16), abs=1e-6)
    nothing = torch.zeros(1, 1, 16, 16)
    assert float(one_minus_iou(nothing, nothing)) == 1  # what is not there is not right either


def test_the_loss_of_a_shape_is_the_mean_of_its_views():
    shown, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    each = torch.stack([one_minus_iou(shown[:, [view]], target[:, [view]]) for view in range(3)])
    assert torch.allclose(one_minus_iou(shown, target), each.mean(0), atol=1e-6)


@pytest.mark.parametrize("images", ["coverage", "shaded"])
def test_cameras_and_light_are_those_of_drkfs(batch, truths, images):
    metric = DRKFS(
        MetricSettings(image_size=64, sigma=(2 * 0.4 / 64) ** 2, shaded=images == "shaded"),
        detector=torch.nn.Identity(),
        descriptor=torch.nn.Identity(),
    )
    meshes = Meshes(*zip(*truths, strict=True))
    expected = metric.render(meshes.vertices, meshes.faces)[:, batch.cameras[0]]
    assert torch.equal(getattr(rendered(truths, batch, 64, 0.4), images), expected)


@pytest.mark.parametrize("module", VIEW_LOSSES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_true_shape_has_the_least_loss_and_others_the_more_the_farther_they_are(batch, truths, module):
    """Without the Laplacian, which is that of the few long edges of boxes here."""
    losses = []
    for size in (1, 0.9, 0.7):
        said = [(vertices * size, faces) for vertices, faces in truths]
        terms = module.loss(Said(), said, batch, generator())
        losses.append(terms.get("squared", terms["loss"]))
    assert losses[0].shape == (4,)
    assert bool((losses[0] < losses[1]).all())
    assert bool((losses[1] < losses[2]).all())


@pytest.mark.parametrize("module", VIEW_LOSSES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_what_is_said_in_the_cameras_frame_is_turned_back(batch, truths, module):
    turns = batch.views.rotation
    in_view = [(vertices @ turn.T, faces) for (vertices, faces), turn in zip(truths, turns, strict=True)]
    expected = module.loss(Said(), truths, batch, generator())["loss"]
    assert torch.allclose(module.loss(Said("view"), in_view, batch, generator())["loss"], expected, atol=1e-4)
    assert not torch.allclose(module.loss(Said(), in_view, batch, generator())["loss"], expected, atol=1e-2)


@pytest.mark.parametrize("module", VIEW_LOSSES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_small_shape_is_told_to_grow(batch, truths, module):
    size = torch.tensor(0.8, requires_grad=True)
    said = [(vertices * size, faces) for vertices, faces in truths]
    module.loss(Said(), said, batch, generator())["loss"].mean().backward()
    assert float(size.grad) < 0


@pytest.mark.parametrize("module", VIEW_LOSSES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_shape_without_faces_has_a_finite_loss_and_the_others_keep_theirs(batch, truths, module):
    nothing = (torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    whole = module.loss(Said(), truths, batch, generator())["loss"]
    some = module.loss(Said(), [truths[0], nothing, *truths[2:]], batch, generator())["loss"]
    assert bool(some.isfinite().all())
    seen = module is not shaded  # the Laplacian of the box that is gone outweighs what is not seen
    assert not seen or float(some[1]) > float(whole[1])
    assert torch.allclose(some[[0, 2, 3]], whole[[0, 2, 3]], atol=1e-5)


def test_softras_adds_its_regularisers_with_its_weights(batch, truths):
    terms = silhouettes_softras.loss(Said(), truths, batch, generator())
    for number, (vertices, faces) in enumerate(truths):
        rough = laplacian_loss(vertices[None], neighbours(edges_of(faces), len(vertices)))
        folded = flatten_loss(vertices[None], hinges_of(faces))
        expected = 1 - terms["iou"][number] + 0.005 * rough + 0.0005 * folded
        assert float(terms["loss"][number]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("measure", [roughness, foldedness])
def test_shapes_with_the_same_faces_are_measured_as_one_by_one(measure):
    _, faces = icosphere(1)
    shapes = [torch.randn(42, 3) for _ in range(3)]
    together = measure([(vertices, faces) for vertices in shapes])
    apart = measure([(vertices, faces.clone()) for vertices in shapes])
    assert torch.allclose(together, apart, rtol=1e-5)


@torch.no_grad()
def test_chamfer_is_the_formula_on_the_points_that_are_drawn(batch):
    network = network_from(NetworkSettings(architecture="atlasnet")).eval()
    codes, random = network(batch.views), generator()
    found = chamfer.loss(network, codes, batch, random)["loss"]
    random = generator()
    points = network.sampled(codes, random)
    known = batch.points[torch.arange(4)[:, None], torch.randint(2000, (4, 1000), generator=random)]
    distances = torch.cdist(points.double(), known.double()) ** 2
    expected = distances.amin(2).mean(1) + distances.amin(1).mean(1)
    assert torch.allclose(found.double(), expected, rtol=1e-4)


@pytest.mark.parametrize(("loss", "kind"), [(chamfer, "AtlasNet"), (pixel2mesh, "Pixel2Mesh")])
def test_another_network_is_refused_in_plain_words(batch, truths, loss, kind):
    with pytest.raises(LiftnetError, match=f"is for networks of the kind {kind}, not Said"):
        loss.loss(Said(), truths, batch, generator())


@pytest.fixture(scope="module")
def pixel_network():
    torch.manual_seed(0)
    return network_from(NetworkSettings(architecture="pixel2mesh"))


def undeformed(network, batch):
    """What Pixel2Mesh would say if nothing moved."""
    with torch.no_grad():
        vertices, parts = network(batch.views).before[0], []
        for number in range(3):
            parts.append(vertices)
            vertices = torch.cat([vertices, vertices[:, network.mesh(number).edges].mean(2)], 1)
    return Deformed(tuple(parts), tuple(parts))


def test_what_does_not_deform_has_neither_laplacian_nor_move(pixel_network, batch):
    terms = pixel2mesh.loss(pixel_network, undeformed(pixel_network, batch), batch, generator())
    assert (float(terms["laplacian"].max()), float(terms["move"].max())) == (0, 0)
    assert float(terms["chamfer"].min()) > 0


def test_moving_all_of_a_mesh_costs_only_in_the_later_steps(pixel_network, batch):
    still = undeformed(pixel_network, batch)
    for number, expected in enumerate((0, 1, 1)):
        after = list(still.after)
        after[number] = after[number] + torch.tensor([0.1, 0.0, 0.0])
        terms = pixel2mesh.loss(pixel_network, Deformed(still.before, tuple(after)), batch, generator())
        assert torch.allclose(terms["move"], torch.full((4,), expected * 100 * 0.57**2 * 0.01), rtol=1e-4)
        assert float(terms["laplacian"].max()) < 1e-6


def test_regularity_is_the_five_terms_without_those_that_know_the_shape(pixel_network, batch):
    prediction = pixel_network(batch.views)
    five = pixel2mesh.loss(pixel_network, prediction, batch, generator())
    three = pixel2mesh_regularity.loss(pixel_network, prediction, replace(batch, points=torch.empty(0)), generator())
    assert {*three} == {"loss", "edge", "laplacian", "move"}
    assert torch.allclose(three["loss"], five["loss"] - five["chamfer"] - five["normal"], rtol=1e-4, atol=1e-4)


def test_the_five_terms_are_their_formulas(pixel_network, batch):
    """Beside numpy and a k-d tree, on one step of one shape."""
    mesh, random = pixel_network.mesh(0), np.random.default_rng(0)
    before, after = (random.normal(size=(42, 3)) for _ in range(2))
    points = random.normal(size=(50, 3))
    normals = random.normal(size=(50, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    target = pixel2mesh.Target(torch.tensor(points)[None], torch.tensor(normals)[None])
    first, then = torch.tensor(before)[None], torch.tensor(after)[None]
    found = pixel2mesh.distance_terms(then, mesh, target) | pixel2mesh.regularity_terms(first, then, mesh)
    squared = ((0.57 * after[:, None] - 0.57 * points) ** 2).sum(2)
    ends = after[mesh.edges.numpy()]
    along = ends[:, 1] - ends[:, 0]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    cosines = [np.abs((along * normals[squared.argmin(1)][mesh.edges[:, end]]).sum(1)).mean() for end in (0, 1)]
    graph = np.zeros((42, 42))
    graph[mesh.edges[:, 0], mesh.edges[:, 1]] = graph[mesh.edges[:, 1], mesh.edges[:, 0]] = 1
    moved = 0.57 * (after - before)
    bent = moved - graph @ moved / graph.sum(1, keepdims=True)
    expected = {
        "chamfer": 3000 * (squared.min(0).mean() + 0.55 * squared.min(1).mean()),
        "edge": 300 * ((0.57 * (ends[:, 1] - ends[:, 0])) ** 2).sum(1).mean(),
        "normal": 0.5 * np.mean(cosines),
        "laplacian": 1500 * (bent**2).sum(1).mean(),
        "move": 100 * (moved**2).sum(1).mean(),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-5)


def test_points_and_normals_are_turned_as_the_camera_is(pixel_network, batch):
    """The same shape in another frame of its own, seen by the same camera, has the same loss."""
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator()))[0]
    turn = turn * torch.linalg.det(turn)
    views = replace(batch.views, rotation=batch.views.rotation @ turn.T)
    turned = replace(batch, views=views, points=batch.points @ turn.T, normals=batch.normals @ turn.T)
    still = undeformed(pixel_network, batch)
    one, other = (pixel2mesh.loss(pixel_network, still, each, generator())["loss"] for each in (batch, turned))
    assert torch.allclose(one, other, rtol=1e-4)


def distances(network, batch):
    """1,000 times the Chamfer distance of each shape."""
    network.eval()
    with torch.no_grad():
        surfaces = network.object_surfaces(network(batch.views), batch.views)
    network.train()
    found = []
    for (vertices, faces), known in zip(surfaces, batch.points, strict=True):
        mesh = TriangleMesh(vertices.double().numpy(), faces.numpy())
        found.append(1000 * chamfer_l2(nearest(sample_surface(mesh, 2000, 0).points, known.double().numpy())))
    return np.array(found)


def tiny_encoder():
    return ImageEncoder(4, (8, 16, 32), 64, 32)


TINY = {
    "shape_generator": lambda: ShapeGenerator(tiny_encoder(), 64),
    "atlasnet": lambda: AtlasNet(tiny_encoder(), 4, 64, PatchDecoder(32, (32, 32)), 16),
    "pixel2mesh": lambda: Pixel2Mesh(
        replace(SMALL, stages=((8, 3, 1), (8, 3, 1), (16, 3, 1), (16, 3, 1)), seen=3, hidden=32, pairs=1)
    ),
}


@pytest.mark.parametrize(
    ("architecture", "loss", "rate", "steps"),
    [
        ("shape_generator", silhouettes_softras, 3e-3, 80),
        ("atlasnet", chamfer, 1e-3, 100),
        ("pixel2mesh", pixel2mesh, 3e-3, 100),
    ],
)
def test_two_shapes_are_learnt_in_a_hundred_steps_at_most(architecture, loss, rate, steps):
    """The tall and the flat box, from one picture each, by networks of few channels."""
    meshes, bound = simple_meshes()[1:3], 7
    torch.manual_seed(0)
    network = TINY[architecture]()
    batches = [batch_of(meshes, cameras) for cameras in ((1, 9), (4, 15))]
    pair = batches[0].points.double().numpy()
    assert 1000 * chamfer_l2(nearest(*pair)) > 2.5 * bound  # saying the other one is no answer
    assert distances(network, batches[0]).min() > 1.5 * bound
    optimiser, random = torch.optim.Adam(network.parameters(), rate), generator()
    for step in range(steps):
        batch = batches[step % 2]
        optimiser.zero_grad()
        loss.loss(network, network(batch.views), batch, random)["loss"].mean().backward()
        optimiser.step()
    assert distances(network, batches[0]).max() < bound
