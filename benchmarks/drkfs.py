"""Where the time of DR-KFS goes, how near it is to what the machine can do, and how exact bfloat16 is.

    python benchmarks/drkfs.py [--hardtfeat HardTFeat.pth]

25 views of 256 px, a shape against a prepared target, forward and backward to the vertices, on one thread. The floor
is the convolutions' arithmetic at the rate of the fastest convolution found on this machine. The plain form does the
same with kornia's network, one view at a time as well: direct convolutions, no folding, no patch left out. Parts and
the plain form are measured on every fifth view and multiplied.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from measuring import machine, measured, one_thread, shown, write_report
from rasteriser_scene import sphere
from torch import Tensor, nn

from liftnet.drkfs import DRKFS, Meshes, MetricSettings, Target
from liftnet.drkfs.patches import match_patches, patch_weights, sliding_patches
from liftnet.experiments.drkfs.shapes import Chair
from liftnet.models import PointDetector
from liftnet.models.folder import SHIPPED
from liftnet.models.patch_descriptors import BLANK_CONTRAST, Precision, folded, hardnet, load_network
from liftnet.models.point_detector import DEVIATION, MEAN, direct_scores

REPORT = Path(__file__).with_suffix(".md")
RUNS = 3
EVERY = 5  # views
FORMATS = {
    "patches seen, %": ".0f",
    "score and gradient, s": ".2f",
    "target, once, s": ".2f",
    "floor of the descriptors, s": ".2f",
    "floor / descriptors": ".2f",
    "plain form, s": ".2f",
}


def chair(chair: Chair) -> Meshes:
    """A chair as tensors."""
    return Meshes.of(chair.mesh())


def scenes() -> dict[str, tuple[Meshes, Meshes]]:
    """Shapes and the targets they are compared with."""
    vertices, faces = sphere()
    flat = vertices * torch.tensor([1.0, 0.8, 0.9])
    return {
        "rough sphere": (Meshes(vertices, faces), Meshes(flat, faces)),
        "chair": (chair(Chair(missing_legs=(1,))), chair(Chair())),
    }


def kornia_hardnet() -> nn.Module:
    """HardNet with the package's weights, or random ones of the same cost."""
    network = hardnet()
    path = SHIPPED / "hardnet" / "model.safetensors"
    if path.exists():
        from safetensors.torch import load_file

        network.load_state_dict({k: v.float() for k, v in load_file(path).items()}, strict=False)
    return network.requires_grad_(False)


def detector() -> PointDetector | Path:
    """The package's detector, or a random one."""
    path = SHIPPED / "detector" / "model.safetensors"
    return path if path.exists() else PointDetector().randomise(0, 0.05)


def build(network: nn.Module, precision: Precision = "float32") -> DRKFS:
    """The metric with a descriptor's folded network."""
    return DRKFS(MetricSettings(precision=precision), detector=detector(), descriptor=network)


def networks(hardtfeat: Path | None) -> dict[str, nn.Module]:
    """Descriptors to measure."""
    found: dict[str, nn.Module] = {"HardNet": folded(kornia_hardnet())}
    if hardtfeat:
        found["HardTFeat"] = load_network("hardtfeat", hardtfeat)
    return found


def both_ways(function: Callable[[Tensor], Tensor], given: Tensor) -> tuple[float, float]:
    """Median CPU seconds forward, and backward to `given`."""
    given = given.detach().requires_grad_()
    result, forward, _ = measured(lambda: function(given), RUNS)
    weight = torch.ones_like(result)
    _, backward, _ = measured(lambda: torch.autograd.grad(result, given, weight, retain_graph=True), RUNS)
    return forward, backward


def direct(metric: DRKFS, images: Tensor) -> Tensor:
    """Scores of the detector by direct convolution."""
    padded = F.pad(((images - MEAN) / DEVIATION)[:, None], [12] * 4, mode="replicate")[:, 0]
    detects: PointDetector = metric.detector  # type: ignore[assignment]
    return direct_scores(padded, detects.filters, detects.biases, detects.maxima)


def split_of(metric: DRKFS, shape: Meshes, target: Target, peers: bool) -> list[tuple[str, float, float]]:
    """Part, CPU seconds forward and backward, all 25 views; the view-wise parts one view at a time, as in use."""
    (placed,) = target.normalisation.apply(shape)  # type: ignore[union-attr]
    rows = [("rendering", *both_ways(lambda x: metric.render([x], shape.faces)[0], placed))]
    totals: dict[str, list[float]] = {}

    def add(part: str, function: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
        times = totals.setdefault(part, [0.0, 0.0])
        for way, seconds in enumerate(both_ways(function, given)):
            times[way] += seconds * EVERY
        return function(given).detach()

    with torch.no_grad():
        images = metric.render([placed], shape.faces)[0]
    for view, image in enumerate(images.split(1)):
        if view % EVERY:
            continue
        maps = add("points of interest", metric.detector, image)
        if peers:
            add("(points of interest, direct convolution)", lambda x: torch.sigmoid(direct(metric, x)), image)
        patches = sliding_patches(maps).flatten(0, 2)
        features = add("descriptors", metric.descriptor, patches)
        near, weights = target.features[0, view : view + 1], target.weights[0, view : view + 1]

        def matched(given: Tensor, near: Tensor = near, maps: Tensor = maps, weights: Tensor = weights) -> Tensor:
            there, back = match_patches(given.view_as(near), near, metric.settings.neighbourhood)
            return (patch_weights(sliding_patches(maps)) * there).sum() + (weights * back).sum()

        add("matching", matched, features)
    return rows + [(part, forward, backward) for part, (forward, backward) in totals.items()]


@torch.no_grad()
def share_seen(metric: DRKFS, shape: Meshes, target: Target) -> float:
    """Share of a shape's patches that are not blank."""
    images = metric.render(target.normalisation.apply(shape), shape.faces)[0]  # type: ignore[union-attr]
    contrast = torch.cat([sliding_patches(metric.detector(image)).std((-2, -1)) for image in images.split(1)])
    return float((contrast >= BLANK_CONTRAST).double().mean())


def whole(metric: DRKFS, shape: Meshes, target: Target) -> float:
    """Median CPU seconds of a score and its gradient to the vertices."""

    def step() -> None:
        vertices = shape.vertices[0].clone().requires_grad_()
        metric(Meshes(vertices, shape.faces[0]), target).backward()

    return measured(step, 2)[1]


def plain_score(images: Tensor, target: Target, metric: DRKFS, network: nn.Module) -> Tensor:
    """The score as one would write it with kornia's network: every patch, direct convolution, nothing folded."""
    maps = torch.sigmoid(direct(metric, images))
    patches = F.unfold(maps[:, None], 32, stride=16).transpose(1, 2).reshape(-1, 1, 32, 32)
    features = network(patches).view(len(images), 15, 15, 128)
    there, back = match_patches(features, target.features[0], metric.settings.neighbourhood)
    return (patches.mean((1, 2, 3)).view_as(there) * there).sum() + (target.weights * back).sum()


def plain(metric: DRKFS, shape: Meshes, target: Target, network: nn.Module) -> float:
    """Median CPU seconds of the plain form, rendering left out."""
    with torch.no_grad():
        images = metric.render(target.normalisation.apply(shape), shape.faces)[0]  # type: ignore[union-attr]

    def step() -> None:
        for view in range(0, len(images), EVERY):
            image = images[view : view + 1].clone().requires_grad_()
            plain_score(image, target.of_views(torch.tensor([view])), metric, network).backward()

    return measured(step, 2)[1] * EVERY


def rates() -> dict[str, float]:
    """Operations a second of the fastest 3 x 3 convolution found, by precision."""
    best = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        seconds = []
        for channels, side in ((64, 16), (128, 8), (128, 16), (256, 28)):
            layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(
                dtype, memory_format=torch.channels_last
            )
            number = max(1, 200_000 // (side * side * channels // 64))
            given = torch.randn(number, channels, side, side).to(dtype, memory_format=torch.channels_last)
            layer(given)
            with torch.no_grad():
                _, once, _ = measured(lambda layer=layer, given=given: layer(given), 5)
            seconds.append(2 * 9 * channels**2 * side**2 * number / once)
        best[name] = max(seconds)
    return best


def operations(network: nn.Module) -> float:
    """Multiplications and additions of a network's convolutions for 5,625 patches, forward."""
    total = 0

    def count(layer: nn.Module, _: object, result: Tensor) -> None:
        nonlocal total
        total += 2 * result[0].numel() * layer.weight[0].numel()  # type: ignore[operator]

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    network(torch.zeros(1, 1, 32, 32))
    for hook in hooks:
        hook.remove()
    return total * 5625


def accuracy(network: nn.Module, pairs: dict[str, tuple[Meshes, Meshes]], name: str) -> list[dict[str, object]]:
    """How far scores and gradients in bfloat16 are from float32."""
    rows = []
    for scene, (shape, target) in pairs.items():
        results = []
        for precision in ("float32", "bfloat16"):
            metric = build(network, precision)  # type: ignore[arg-type]
            vertices = shape[0].clone().requires_grad_()
            score = metric(vertices, shape[1], *target)
            score.backward()
            results.append((float(score.detach()), vertices.grad.flatten()))
        (exact, gradient), (rounded, rough) = results
        rows.append(
            {
                "descriptor": name,
                "shape": scene,
                "float32": exact,
                "bfloat16": rounded,
                "difference, %": 100 * abs(rounded / exact - 1),
                "cosine of the gradients": float(F.cosine_similarity(gradient, rough, dim=0)),
            }
        )
    return rows


def measure(hardtfeat: Path | None) -> list[str]:
    """Run everything; the paragraphs of the report."""
    pairs, peak = scenes(), rates()
    splits, wholes, exactness = [], [], []
    for name, network in networks(hardtfeat).items():
        work = operations(network)
        exactness += accuracy(network, pairs, name)
        for scene, (shape, target_mesh) in pairs.items():
            for precision in ("float32", "bfloat16"):
                metric = build(network, precision)  # type: ignore[arg-type]
                target = metric.prepare(target_mesh)
                _, preparing, _ = measured(lambda m=metric, t=target_mesh: m.prepare(t), 1)
                first = name == "HardNet" and precision == "float32"
                rows = split_of(metric, shape, target, first)
                splits += [
                    {
                        "shape": scene,
                        "descriptor": name,
                        "precision": precision,
                        "part": part,
                        "forward": f,
                        "backward": b,
                    }
                    for part, f, b in rows
                ]
                seen = share_seen(metric, shape, target)
                floor = 2 * work * seen / peak[precision]
                entry = {
                    "shape": scene, "descriptor": name, "precision": precision, "patches seen, %": 100 * seen,
                    "score and gradient, s": whole(metric, shape, target), "target, once, s": preparing,
                    "floor of the descriptors, s": floor,
                }  # fmt: skip
                used = sum(f + b for part, f, b in rows if part == "descriptors")
                entry["floor / descriptors"] = floor / used
                if first:
                    entry["plain form, s"] = plain(metric, shape, target, kornia_hardnet())
                wholes.append(entry)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        "# DR-KFS: where its time goes",
        "`python benchmarks/drkfs.py --hardtfeat HardTFeat.pth`",
        f"{machine('torch', 'kornia', 'numba')}. Medians of CPU seconds of one thread, other programs running beside.",
        "25 views of 256 px, 225 patches each, the package's weights where it has them; the sphere has 5,120 faces, "
        "the chair "
        f"{len(pairs['chair'][0][1]):,}. Target prepared before.",
        shown(pd.DataFrame(splits), {"forward": ".3f", "backward": ".3f"}),
        f"The fastest 3 x 3 convolution runs at {peak['float32'] / 1e12:.2f} (float32) and "
        f"{peak['bfloat16'] / 1e12:.2f} (bfloat16) T operations a second. HardNet's convolutions are "
        f"{operations(folded(kornia_hardnet())) / 1e12:.2f} T operations for 5,625 patches, and as many for the "
        "gradient to the patches: that is the floor, for the patches that show anything. The plain form leaves "
        "rendering out.",
        shown(pd.DataFrame(wholes), FORMATS),
        "The score in bfloat16 against float32:",
        shown(
            pd.DataFrame(exactness),
            {"float32": ".5f", "bfloat16": ".5f", "difference, %": ".2f", "cosine of the gradients": ".4f"},
        ),
        f"Largest memory of the whole run: {memory:.1f} GiB.",
    ]


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hardtfeat", type=Path, help="weights of HardTFeat; left out without them")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with one_thread():
        write_report(REPORT, measure(arguments.hardtfeat))


if __name__ == "__main__":
    main()
