"""DR-KFS as a whole: zero where it must be, invariant where it must be, its gradient, its modes."""

import math

import pytest
import torch
import torch.nn.functional as F
import trimesh

from liftnet.drkfs import DRKFS, Meshes, MetricSettings, Options
from liftnet.drkfs.metric import chunked
from liftnet.models import PatchDescriptor, PointDetector
from liftnet.models.patch_descriptors import folded, hardnet

REFERENCE = Options(backend="reference")


def descriptor(**options):
    torch.manual_seed(0)
    network = hardnet()
    for layer in network.features:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.fill_(-0.1)  # as trained networks do, it tells an even patch from nothing
    return PatchDescriptor(folded(network), **options)


def metric(options=REFERENCE, **settings):
    detector = PointDetector().randomise(0, deviation=0.05)
    settings = MetricSettings(**{"image_size": 64, "views": 2, "sigma": 1e-4, **settings})
    return DRKFS(settings, detector=detector, descriptor=descriptor(), options=options)


def aligned(align):
    return metric(Options(backend="reference", align=align))


def ball(*stretch, subdivisions=2, dtype=torch.float32):
    mesh = trimesh.creation.icosphere(subdivisions, 0.5)
    return Meshes(torch.tensor(mesh.vertices * (stretch or 1.0), dtype=dtype), torch.tensor(mesh.faces))


def box(*extents):
    mesh = trimesh.creation.box(extents)
    return Meshes(torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces))


def parts(meshes):
    """The vertices and the faces of a single mesh."""
    (vertices,), (faces,) = meshes.vertices, meshes.faces
    return vertices, faces


def joined(*meshes):
    return Meshes([parts(mesh)[0] for mesh in meshes], [parts(mesh)[1] for mesh in meshes])


@pytest.fixture(scope="module")
def compare():
    return metric()


def test_equal_meshes_score_zero_and_their_gradient_is_zero(compare):
    vertices, faces = parts(ball(1, 0.7, 0.9))
    given = vertices.clone().requires_grad_()
    score = compare(Meshes(given, faces), compare.prepare(Meshes(vertices, faces)))
    score.backward()
    assert score.shape == (1,)
    assert float(score.detach()) == 0
    assert not given.grad.any()


def test_the_order_of_vertices_and_faces_does_not_matter(compare):
    vertices, faces = parts(ball(1, 0.7, 0.9))
    order = torch.randperm(len(vertices), generator=torch.Generator().manual_seed(0))
    turned = torch.argsort(order)[faces].flip(0).roll(1, 1)
    target = compare.prepare(Meshes(vertices, faces))
    differing = compare(box(1, 1, 1), target)
    assert float(compare(Meshes(vertices[order], turned), target)) < 1e-4 * float(differing)


def described(compare, target):
    """Each patch of each view on its own: its descriptor and weight by (view, row, column)."""
    return {
        (view, y, x): (compare.descriptor(patch[None])[0], float(patch.mean()))
        for view in range(2)
        for y in range(3)
        for x in range(3)
        for patch in [target.maps[0, view, 16 * y : 16 * y + 32, 16 * x : 16 * x + 32]]
    }


def test_the_score_is_the_formula_written_out(compare):
    """Views to maps to patches to descriptors to the two-way minimum, one patch after the other."""
    targets = [compare.prepare(mesh) for mesh in (box(1, 0.6, 0.8), ball(1, 0.6, 0.8))]
    patches = [described(compare, target) for target in targets]
    total = 0.0
    for own, other in (patches, patches[::-1]):
        for (view, y, x), (features, weight) in own.items():
            near = [other[n] for n in other if n[0] == view and abs(n[1] - y) <= 1 and abs(n[2] - x) <= 1]
            total += weight * min(float((features - candidate).square().mean()) for candidate, _ in near)
    assert float(compare.compare_images(targets[0].views, targets[1])) == pytest.approx(total, rel=1e-4)
    assert total > 1e-4


def test_it_is_symmetric_in_images_and_grows_with_the_difference(compare):
    views = [compare.prepare(ball(1, height, 1)) for height in (1.0, 0.9, 0.5)]
    forth, back = (compare.compare_images(views[a].views, views[b]) for a, b in ((0, 2), (2, 0)))
    torch.testing.assert_close(forth, back)
    assert 0 < float(compare.compare_images(views[0].views, views[1])) < float(forth)


def test_placement_matters_as_align_says():
    vertices, faces = parts(ball(1, 0.7, 0.9))
    shape, smaller = Meshes(vertices, faces), Meshes(vertices * 0.8, faces)
    place = torch.tensor([5.0, -2.0, 1.0])
    moved, moved_smaller = Meshes(3 * vertices + place, faces), Meshes(3 * vertices * 0.8 + place, faces)
    apart = aligned("none")(smaller, aligned("none").prepare(shape))
    assert float(apart) > 2e-4
    assert float(aligned("target")(smaller, aligned("target").prepare(shape))) > 2e-4
    for align in ("target", "each"):
        together = aligned(align)
        assert float(together(moved, together.prepare(moved))) == 0
        torch.testing.assert_close(
            together(moved_smaller, together.prepare(moved)),
            together(smaller, together.prepare(shape)),
            atol=1e-4,
            rtol=1e-2,
        )
    assert float(aligned("each")(moved, aligned("each").prepare(shape))) < 1e-3 * float(apart)
    with pytest.raises(ValueError, match="align must be one of"):
        aligned("both")


@pytest.mark.parametrize("align", ["target", "each"])
def test_the_gradient_to_the_vertices_is_the_derivative(align):
    """Central differences along random directions and single coordinates, in float64."""
    compare = metric(Options(backend="reference", align=align, views_at_once=2)).double()
    target = compare.prepare(ball(1, 0.8, 0.9, subdivisions=1, dtype=torch.float64))
    vertices, faces = parts(ball(0.9, 0.9, 0.8, subdivisions=1, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    vertices += 0.01 * torch.randn(vertices.shape, generator=generator, dtype=torch.float64)  # one farthest vertex
    vertices = vertices.requires_grad_()
    (gradient,) = torch.autograd.grad(compare(Meshes(vertices, faces), target), vertices)
    directions = [torch.randn(vertices.shape, generator=generator, dtype=torch.float64) for _ in range(4)]
    strongest = int(gradient.abs().argmax())
    directions.append(F.one_hot(torch.tensor(strongest), vertices.numel()).view_as(vertices).double())
    step = 1e-9  # so small that almost no ReLU, match or triangle's reach changes in between
    for direction in directions:
        with torch.no_grad():
            up, down = (compare(Meshes(vertices + s * step * direction, faces), target)[0] for s in (1, -1))
        expected = (gradient * direction).sum()
        torch.testing.assert_close((up - down) / (2 * step), expected, rtol=1e-4, atol=1e-6 * float(gradient.norm()))


@pytest.mark.parametrize("shaded", [True, False])
def test_how_a_surface_is_divided_into_triangles_hardly_matters(shaded):
    """A plate, which has no back that would cover the edges that its triangles share."""
    compare = metric(shaded=shaded)
    plate = trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [1, 0.9, 0.5], [0, 0.9, 0.5]], [[0, 1, 2], [0, 2, 3]], process=False
    )
    fine, longer = plate.subdivide().subdivide(), plate.copy().apply_scale([1, 1.05, 1])
    coarse, fine, longer = (
        Meshes(torch.tensor(m.vertices, dtype=torch.float32), torch.tensor(m.faces)) for m in (plate, fine, longer)
    )
    target = compare.prepare(coarse)
    assert float(compare(fine, target)) < 0.02 * float(compare(longer, target))


def test_targets_prepared_together_are_those_prepared_alone(compare):
    targets = [ball(1, 0.7, 0.9), box(0.5, 0.5, 1)]
    together = compare.prepare(joined(*targets))
    assert (len(together), repr(together)) == (2, "Target(2 views of 64 px of 2 shapes)")
    for number, mesh in enumerate(targets):
        alone = compare.prepare(mesh)
        for name in ("views", "maps", "features", "weights"):
            torch.testing.assert_close(getattr(together, name)[number], getattr(alone, name)[0])


def test_batches_are_the_single_scores_and_so_are_their_gradients(compare):
    shapes, targets = [box(1, 0.5, 0.7), ball(1, 0.6, 0.6)], [ball(1, 0.7, 0.9), box(0.5, 0.5, 1)]
    given = [parts(shape)[0].clone().requires_grad_() for shape in shapes]
    faces = [parts(shape)[1] for shape in shapes]
    together = compare(Meshes(given, faces), compare.prepare(joined(*targets)))
    single = torch.cat(
        [compare(Meshes(v, f), compare.prepare(t)) for v, f, t in zip(given, faces, targets, strict=True)]
    )
    assert together.shape == (2,)
    torch.testing.assert_close(together, single)
    weights = torch.tensor([1.0, -2.0])
    gradients = [torch.autograd.grad((scores * weights).sum(), given) for scores in (together, single)]
    torch.testing.assert_close(*gradients)
    with pytest.raises(ValueError, match="as many"):
        Meshes(given, faces[:1])
    with pytest.raises(ValueError, match="one target, or as many as the 1 shapes"):
        compare(shapes[0], compare.prepare(joined(*targets)))


def test_all_shapes_of_a_batch_can_have_one_target(compare):
    shapes, target = [box(1, 0.5, 0.7), ball(1, 0.6, 0.6), ball()], compare.prepare(ball(1, 0.7, 0.9))
    single = torch.cat([compare(shape, target) for shape in shapes])
    torch.testing.assert_close(compare(joined(*shapes), target), single)


def test_the_views_add_up(compare):
    shape, target = box(1, 0.5, 0.7), compare.prepare(ball(1, 0.7, 0.9))
    by_view = [compare(shape, target, views=torch.tensor([view])) for view in range(2)]
    torch.testing.assert_close(sum(by_view), compare(shape, target))
    found = compare.differences(shape, target)
    assert found.score == pytest.approx(float(compare(shape, target)), rel=1e-5)
    torch.testing.assert_close(found.by_view(), torch.cat(by_view))
    assert found.views.shape == found.target_views.shape == (2, 64, 64)
    assert found.distances[0].shape == found.weights[1].shape == (2, 3, 3)


@pytest.mark.parametrize("views_at_once", [1, 2, 7])
def test_memory_is_bounded_without_changing_anything(views_at_once):
    images, others = (torch.rand(1, 5, 48, 48, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    scores = []
    for at_once in (5, views_at_once):
        given = images.clone().requires_grad_()
        compare = metric(Options(views_at_once=at_once))
        score = compare.compare_images(given, compare.prepare_images(others))
        score.backward()
        scores.append((score.detach(), given.grad))
    torch.testing.assert_close(*scores)
    both = others.clone().requires_grad_()
    given = images.clone().requires_grad_()
    score = metric().compare_both(given, both)
    score.backward()  # also to the second images
    assert float(both.grad.norm()) > 0
    torch.testing.assert_close((score.detach(), given.grad), scores[0])


def test_parts_differentiate_like_the_whole():
    images = torch.rand(5, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: chunked(lambda part, at: part.pow(3).sum(1), x, 2), images)
    with pytest.raises(ValueError, match="at least one"):
        chunked(lambda part, at: part.sum(1), images, 0)


def test_silhouettes_do_not_see_the_shading():
    ridge, faces = parts(box(1, 1, 1))
    vertices = torch.cat([ridge, ridge * 0.3])  # a box within the box, unseen, and a dent in shading alone
    inner = torch.cat([faces, faces + 8])
    shaded, outlines = (metric(shaded=s) for s in (True, False))
    turned = ridge.flip(1)  # the same box
    cube = Meshes(ridge, faces)
    assert float(outlines(Meshes(vertices, inner), outlines.prepare(cube))) < 1e-6
    assert float(outlines(Meshes(turned, faces), outlines.prepare(cube))) < 1e-6
    flat = shaded.prepare(cube).views, outlines.prepare(cube).views
    assert float((flat[0] - flat[1]).abs().max()) > 0.05


def test_views_that_show_nothing_are_equal_and_give_no_nan(compare):
    blank = torch.zeros(1, 2, 64, 64, requires_grad=True)
    score = compare.compare_images(blank, compare.prepare_images(torch.zeros(1, 2, 64, 64)))
    score.backward()
    assert float(score.detach()) == 0
    assert not blank.grad.any()
    vertices, faces = parts(ball())
    away = vertices + torch.tensor([50.0, 0.0, 0.0])  # outside of every view
    target = aligned("none").prepare(ball())
    away.requires_grad_()
    score = aligned("none")(Meshes(away, faces), target)
    score.backward()
    assert math.isfinite(float(score.detach()))
    assert float(score.detach()) > 0
    assert bool(away.grad.isfinite().all())
    degenerate = vertices.clone()
    degenerate[1] = degenerate[0]  # faces without area
    degenerate.requires_grad_()
    compare(Meshes(degenerate, faces), compare.prepare(box(1, 1, 1))).backward()
    assert bool(degenerate.grad.isfinite().all())


def test_what_cannot_be_compared_is_refused(compare):
    vertices, faces = parts(ball())
    target = compare.prepare(ball())
    for wrong, message in (((vertices * torch.nan, faces), "finite"), ((vertices, faces[:0]), "without faces")):
        with pytest.raises(ValueError, match=message):
            Meshes(*wrong)
    with pytest.raises(ValueError, match="cannot be compared"):
        compare.compare_both(torch.zeros(1, 2, 64, 64), torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="needs views"):
        compare.compare_images(torch.zeros(1, 3, 64, 64), target)
    with pytest.raises(ValueError, match="one target, or as many"):
        compare.compare_images(torch.zeros(1, 2, 64, 64), compare.prepare(joined(ball(), ball())))


def test_bfloat16_is_close_to_float32(compare):
    rounded = metric()
    rounded.descriptor = descriptor(precision="bfloat16")
    shape, target = box(1, 0.5, 0.7), ball(1, 0.7, 0.9)
    results = []
    for compares in (compare, rounded):
        vertices, faces = parts(shape)
        given = vertices.clone().requires_grad_()
        score = compares(Meshes(given, faces), compares.prepare(target))
        score.backward()
        results.append((float(score.detach()), given.grad.flatten()))
    assert results[1][0] == pytest.approx(results[0][0], rel=0.02)
    assert float(F.cosine_similarity(results[0][1], results[1][1], dim=0)) > 0.98


def test_the_state_dict_carries_the_networks(compare):
    other = metric()
    other.detector.randomise(9)
    shape, target = box(1, 0.5, 0.7), ball(1, 0.7, 0.9)
    wanted = compare(shape, compare.prepare(target))
    assert not torch.equal(other(shape, other.prepare(target)), wanted)
    other.load_state_dict(compare.state_dict())
    assert torch.equal(other(shape, other.prepare(target)), wanted)
    assert not any(parameter.requires_grad for parameter in other.parameters())
    assert not other.train().training


def test_a_step_against_the_gradient_lowers_the_score(compare):
    target = compare.prepare(ball(1, 0.6, 0.8))
    vertices, faces = parts(ball(1, 0.7, 0.7))
    vertices.requires_grad_()
    score = compare(Meshes(vertices, faces), target)
    score.backward()
    with torch.no_grad():
        step = 1e-3 * vertices.grad / vertices.grad.abs().max()
        assert float(compare(Meshes(vertices - step, faces), target)) < float(score)


def test_closer_patches_forgive_a_shift_of_half_their_distance():
    """A bar that has moved by 4 px is found again among patches 4 px apart, not among those 16 px apart."""
    images = torch.zeros(1, 1, 96, 96)
    images[..., 40:46, 24:72] = 0.8
    scores = []
    for stride in (16, 4):
        compare = metric(stride=stride)
        scores.append(float(compare.compare_images(images.roll(4, 2), compare.prepare_images(images))))
    assert scores[1] < 0.3 * scores[0]


def test_the_packages_own_weights_are_the_default_and_tell_shapes_apart():
    compare = DRKFS(MetricSettings(image_size=64, views=2), options=REFERENCE)
    target = compare.prepare(box(1, 0.6, 0.8))
    scores = [float(compare(shape, target)) for shape in (box(1, 0.6, 0.8), box(0.95, 0.6, 0.8), ball(1, 0.6, 0.8))]
    assert scores[0] == 0
    assert 0 < scores[1] < scores[2]
