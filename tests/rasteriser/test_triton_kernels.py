"""The rasteriser's GPU programs against the plain specification: interpreted on a CPU, compiled for Hopper, on a GPU.

Run as a program, this file draws the scenes with Triton and writes what came out; so the interpreter, which must be
chosen before Triton is imported, does not touch other tests.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from liftnet.core.errors import LiftnetError
from liftnet.rasteriser import Softness, rasterise, render_soft
from liftnet.rasteriser.camera_batch import look_at

OUTPUTS = ("gray", "silhouette", "depth")
RULES = {
    "exact": Softness(3e-3, 5e-3, 1.0, 8.0, background=0.3),
    "truncated": Softness(3e-3, 5e-3, 1.0, 8.0, background=0.3, gradient="truncated"),
    "parallel": Softness(3e-3, 5e-3, 1.0, 8.0, perspective=False),
}
SIZE, IMAGES = 13, 2  # not a multiple of the tile
POINT, SLIVER, TWICE, OUTSIDE, FAR, HUGE = range(6)  # the first triangles: three without area, two that are not seen


def soup():
    """Triangles (T, 3, 3), shades (T,) and images (T,): overlapping, partly outside, some degenerate."""
    rng = np.random.default_rng(3)
    corners = rng.uniform(-1.2, 1.2, (11, 1, 2)) + rng.uniform(-0.5, 0.5, (11, 3, 2))
    triangles = np.concatenate([corners, rng.uniform(2, 3, (11, 3, 1))], 2)
    triangles[[POINT, SLIVER, TWICE], :, :2] *= 0.5
    triangles[POINT, :, :2] = triangles[POINT, :1, :2]
    triangles[SLIVER, 2, :2] = triangles[SLIVER, :2, :2].mean(0)
    triangles[TWICE, 1, :2] = triangles[TWICE, 0, :2]
    triangles[OUTSIDE, :, 0] += 5
    triangles[FAR, :, 2] += 10
    triangles[HUGE, :, :2] = [[-100, -100.25], [100, 99.75], [80, -140]]  # one edge crosses the image
    triangles = triangles.astype(np.float32).astype(float)
    return torch.tensor(triangles), torch.tensor(rng.uniform(0, 1, 11)), torch.tensor(rng.integers(0, IMAGES, 11))


def weights():
    """Gradients (3, N, S, S) handed to the three images."""
    return torch.tensor(np.random.default_rng(4).normal(size=(len(OUTPUTS), IMAGES, SIZE, SIZE)))


def drawn(softness, backend, like):
    """The three images, and of each the gradients of triangles and shades."""
    triangles, shades, image = soup()
    triangles, shades = triangles.to(like).requires_grad_(), shades.to(like).requires_grad_()
    images = rasterise(triangles, shades, image.to(like.device), IMAGES, SIZE, softness, backend)
    results = dict(zip(OUTPUTS, images, strict=True))
    for name, values, weight in zip(OUTPUTS, images, weights().to(like), strict=True):
        gradients = torch.autograd.grad(
            (values * weight).sum(), (triangles, shades), retain_graph=True, allow_unused=True
        )
        results[f"{name} triangles"], results[f"{name} shades"] = gradients
    return {name: value.detach().cpu().numpy() for name, value in results.items() if value is not None}


def meshes():
    """A tetrahedron, nothing, and a square; two cameras."""
    corners = torch.tensor([[0.5, 0.5, 0.5], [-0.5, -0.5, 0.5], [-0.5, 0.5, -0.5], [0.5, -0.5, -0.5]])
    tetrahedron = torch.tensor([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    square = torch.tensor([[-0.4, 0, -0.4], [0.4, 0, -0.4], [0.4, 0.1, 0.4], [-0.4, 0.1, 0.4]])
    faces = [tetrahedron, tetrahedron[:0], torch.tensor([[0, 1, 2], [0, 2, 3]])]
    return [corners, corners[:0], square], faces, look_at(torch.tensor([[0.3, 0.9, -2.5], [2.0, 1.0, 1.0]]))


def rendered(backend, device):
    vertices, faces, cameras = meshes()
    vertices, faces = [part.to(device) for part in vertices], [part.to(device) for part in faces]
    return torch.stack(render_soft(vertices, faces, cameras, 16, Softness(1e-3, 1e-3), backend=backend)).cpu().numpy()


def draw_all(path, device):
    """Everything the tests compare, drawn by Triton, into a file."""
    like = torch.zeros(1, device=device)
    results = {
        f"{rule} {name}": value
        for rule, softness in RULES.items()
        for name, value in drawn(softness, "triton", like).items()
    }
    again = drawn(RULES["truncated"], "triton", like)
    results |= {f"again {name}": value for name, value in again.items()}
    np.savez(path, rendered=rendered("triton", device), **results)


@pytest.fixture(scope="module", params=["interpreter", "cuda"])
def by_triton(request, tmp_path_factory):
    pytest.importorskip("triton", reason="triton is not installed")
    path = tmp_path_factory.mktemp("triton") / "drawn.npz"
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        draw_all(path, "cuda")
    else:
        environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, __file__, path], env=environment, check=True, timeout=300)
    with np.load(path) as results:
        return dict(results)


def settled(gradient):
    """Where edges coincide it is a matter of taste whose corners move: of those triangles the sum over corners."""
    coincide = np.isin(np.arange(len(gradient)), (POINT, SLIVER, TWICE))[:, None, None]
    return np.where(coincide, gradient.sum(1, keepdims=True), gradient)


@pytest.mark.parametrize("rule", RULES)
def test_images_and_gradients_are_those_of_the_specification(by_triton, rule):
    expected = drawn(RULES[rule], "reference", torch.zeros(1, dtype=torch.float64))
    for name, value in expected.items():
        found = by_triton[f"{rule} {name}"]
        if name.endswith("triangles"):
            value, found = settled(value), settled(found)
        np.testing.assert_allclose(found, value, rtol=0, atol=1e-4 * np.abs(value).max() + 1e-5, err_msg=name)


def test_what_is_not_seen_has_no_gradient(by_triton):
    for name in OUTPUTS:
        gradient = by_triton[f"exact {name} triangles"]
        assert (gradient[[OUTSIDE, FAR]] == 0).all()
    assert (np.abs(by_triton["exact silhouette triangles"][[POINT, SLIVER, TWICE]]).max((1, 2)) > 0).all()


def test_the_exact_rule_is_not_the_truncated_one(by_triton):
    exact, truncated = (by_triton[f"{rule} depth triangles"] for rule in ("exact", "truncated"))
    assert np.abs(exact - truncated)[..., :2].max() > 0.01 * np.abs(exact).max()
    np.testing.assert_array_equal(exact[..., 2], truncated[..., 2])


def test_the_same_input_gives_the_same_bits(by_triton):
    repeated = [name for name in by_triton if name.startswith("again ")]
    assert len(repeated) > 2 * len(OUTPUTS)
    for name in repeated:
        np.testing.assert_array_equal(by_triton[name], by_triton[name.replace("again", "truncated")])


def test_batches_of_meshes_of_any_size(by_triton):
    expected = rendered("reference", "cpu")
    assert expected.shape == (3, 3, 2, 16, 16)
    np.testing.assert_allclose(by_triton["rendered"], expected, rtol=0, atol=2e-4)
    assert (by_triton["rendered"][:2, 1] == 0).all()  # the empty mesh


def test_programs_compile_for_a_gpu_that_is_not_there(monkeypatch, tmp_path):
    pytest.importorskip("triton", reason="triton is not installed")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    programs = importlib.import_module("rasteriser_gpu").compiled_programs(90)
    assert {program.name for program in programs} == {"prepare", "forward", "backward", "gather"}
    for program in programs:
        assert program.cubin[:4] == b"\x7fELF"
        assert program.registers <= 96  # of 65,536: at least 21 of 64 warps of a multiprocessor at once
        assert program.spilled_bytes == 0


def test_tensors_on_a_cpu_are_refused_with_a_remedy():
    pytest.importorskip("triton", reason="triton is not installed")
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("Triton runs under its interpreter")
    with pytest.raises(LiftnetError, match=r"device cpu.*numba"):
        drawn(RULES["exact"], "triton", torch.zeros(1))


def test_without_triton_the_error_says_what_to_do(monkeypatch):
    for name in ("kernels", "programs", "gradients"):
        monkeypatch.delitem(sys.modules, f"liftnet.rasteriser.triton_{name}", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(LiftnetError, match=r"triton is not installed.*Install"):
        drawn(RULES["exact"], "triton", torch.zeros(1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    draw_all(Path(sys.argv[1]), "cpu")
