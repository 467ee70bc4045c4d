"""The rasteriser's GPU programs beside SoftRas' and PyTorch3D's. Writes rasteriser_gpu.md.

    python benchmarks/rasteriser_gpu.py [--device cuda] [--pytorch3d FOLDER] [--softras FOLDER]

FOLDER is a checkout in which the package was built (`python setup.py build_ext --inplace`); nothing of it belongs to
this project. All draw the same projected triangles, 25 views at 256 px of a sphere of 5,120 faces: gray and
silhouette, forward and back to the projected vertices. On a CUDA device: milliseconds by events, medians of 20 after
5, and the most memory held. On a CPU: CPU seconds, of PyTorch3D's CPU operators (SoftRas has none) beside our numba
kernels.

What needs no device is always computed: what Triton's programs compile to for Hopper, how many instructions the scene
takes, and the least time in which one H200 could issue them. That is a bound, not a measurement.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pandas as pd
import torch
from measuring import machine, measured, one_thread, peer, shown, spent, write_report
from rasteriser_scene import SIDE, SIGMAS, VIEWS, Scene, projected
from torch import Tensor

from liftnet.rasteriser import Softness, bin_triangles, rasterise
from liftnet.rasteriser.reference import coverage_and_depth

GAMMA, NEAR, FAR = 1e-4, 1.0, 100.0
FACES_PER_PIXEL = 60  # that PyTorch3D keeps
# an H200: multiprocessors, schedulers each, clock (its datasheet's 67 TFLOP/s are 132 x 128 x 2 x this), bytes/s
PROCESSORS, SCHEDULERS, CLOCK, BANDWIDTH = 132, 4, 1.98e9, 4.8e12
BOX_TEST = 14  # instructions of SoftRas' forward loop up to its first exit, compiled by nvcc 13.0 for sm_90
CLIPPED = "PyTorch3D, clipped as SoftRas clips"
Draw = Callable[[Scene, float], tuple[Tensor, Tensor]]


class Program(NamedTuple):
    """What a program compiles to; instructions are those of its inner loop, for one warp and one entry."""

    name: str
    cubin: bytes
    registers: int
    spilled_bytes: int
    barriers: int
    instructions: int
    flops: int


def compiled_programs(capability: int, tile: int | None = None, warps: int | None = None) -> list[Program]:
    """Compile the rasteriser's programs for a GPU that need not be there, such as capability 90, Hopper."""
    from triton import compile as compile_triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from liftnet.rasteriser import triton_gradients, triton_kernels, triton_programs

    options = triton_kernels.OPTIONS | ({"num_warps": warps} if warps else {})
    image = {"TILE": tile or triton_kernels.TILE, "PERSPECTIVE": True}
    plan = (
        (triton_programs.prepare, {"PERSPECTIVE": True, "BLOCK": 32}),
        (triton_programs.forward, image),
        (triton_gradients.backward, image | {"EXACT": True}),
        (triton_gradients.gather, {"BLOCK": 16}),
    )
    numbers = {"start": "*i64", "order": "*i64", "triangle": "*i32", "across": "i32", "size": "i32", "count": "i32"}
    numbers |= dict.fromkeys(
        ("inverse_sigma", "reach", "depth_rate", "far", "background_depth", "background", "flat"), "fp32"
    )
    programs = []
    for function, constants in plan:
        kinds = {name: "constexpr" if name in constants else numbers.get(name, "*fp32") for name in function.arg_names}
        source = ASTSource(fn=function, signature=kinds, constexprs=constants)
        cubin = compile_triton(source, target=GPUTarget("cuda", capability, 32), options=options).asm["cubin"]
        programs.append(_inspected(function.fn.__name__, cubin))
    return programs


def _inspected(name: str, cubin: bytes) -> Program:
    """Registers, spills and the inner loop of a program, as NVIDIA's disassembler that Triton ships shows them."""
    from triton.backends import nvidia

    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage, listing = (
            subprocess.run([tool, option, file.name], capture_output=True, text=True, check=True).stdout
            for option in ("-res-usage", "-sass")
        )
    used = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    lines = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\d+ )?([A-Z0-9_]+)([^;]*);", listing)
    jumps = [
        (int(target[1], 16), int(place, 16))
        for place, operation, rest in lines
        if operation == "BRA" and (target := re.search(r"0x([0-9a-f]+)", rest))
    ]
    first, last = max(
        (jump for jump in jumps if jump[0] < jump[1]), key=lambda jump: jump[1] - jump[0], default=(1, 0)
    )
    loop = Counter(operation for place, operation, _ in lines if first <= int(place, 16) <= last)
    flops = 2 * loop["FFMA"] + loop["FADD"] + loop["FMUL"] + loop["MUFU"]
    barriers = sum(operation == "BAR" for _, operation, _ in lines)
    return Program(name, cubin, used["REG"], used["STACK"] + used["LOCAL"], barriers, sum(loop.values()), flops)


def draw_ours(backend: str | None) -> Draw:
    """The product; depths between near and far blend as PyTorch3D's do, linear in the image."""

    def draw(scene: Scene, sigma: float) -> tuple[Tensor, Tensor]:
        softness = Softness(sigma, GAMMA, NEAR, FAR, depth_eps=1e-10, perspective=False)
        images = rasterise(*scene.triangles(), len(scene.points), SIDE, softness, backend)  # type: ignore[arg-type]
        return images.gray, images.silhouette

    return draw


def draw_pytorch3d(scene: Scene, sigma: float, clip_as_softras: bool = False) -> tuple[Tensor, Tensor]:
    """PyTorch3D's rasteriser and its blending in torch; x to the left, y up there.

    Outside a face it clips barycentric coordinates from below only, SoftRas and we from above too. With
    `clip_as_softras` depths are worked out anew, which makes the images comparable, but is not what it is timed with.
    """
    from pytorch3d.renderer import BlendParams, softmax_rgb_blend
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    turned = scene.points * scene.points.new_tensor([-1.0, -1.0, 1.0])
    meshes = Meshes(verts=list(turned), faces=[scene.faces] * len(turned))
    index, depth, _, distance = rasterize_meshes(
        meshes,
        SIDE,
        Softness(sigma).reach ** 2,
        FACES_PER_PIXEL,
        bin_size=None if scene.points.is_cuda else 0,
        max_faces_per_bin=20_000 if scene.points.is_cuda else None,
        perspective_correct=False,
        clip_barycentric_coords=True,
    )
    if clip_as_softras:
        seen = index >= 0
        _, row, column, _ = seen.nonzero(as_tuple=True)
        x, y = ((2 * place + 1 - SIDE) / SIDE for place in (column, row))
        softness = Softness(sigma, perspective=False)
        clipped = coverage_and_depth(scene.triangles()[0][index[seen]], x, y, softness)[1]
        depth = depth.masked_scatter(seen, clipped)
    colours = scene.shades.flatten()[index.clamp_min(0)][..., None].expand(*index.shape, 3)
    fragments = SimpleNamespace(pix_to_face=index, dists=distance, zbuf=depth)
    blended = softmax_rgb_blend(colours, fragments, BlendParams(sigma, GAMMA, (0.0, 0.0, 0.0)), NEAR, FAR)
    return blended[..., 0], blended[..., 3]


def draw_softras(scene: Scene, sigma: float) -> tuple[Tensor, Tensor]:
    """SoftRas' CUDA kernels through its own function; y up there, three channels."""
    from soft_renderer.functional.soft_rasterize import soft_rasterize

    turned = scene.points * scene.points.new_tensor([1.0, -1.0, 1.0])
    textures = scene.shades[..., None, None].expand(*scene.shades.shape, 1, 3).contiguous()
    images = soft_rasterize(
        turned[:, scene.faces].contiguous(), textures, SIDE, [0, 0, 0], NEAR, FAR, fill_back=False, sigma_val=sigma
    )
    return images[:, 0], images[:, 3]


def there_and_back(draw: Draw, scene: Scene, sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gray, silhouette and the gradient of their sum with respect to the projected vertices."""
    points = scene.points.clone().requires_grad_()
    gray, silhouette = draw(scene._replace(points=points), sigma)
    (gray.sum() + silhouette.sum()).backward()
    return gray.detach(), silhouette.detach(), points.grad  # type: ignore[return-value]


def on_cuda(run: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds, the median of 20 runs after 5, and the most MB held besides what was held before."""
    for _ in range(5):
        run()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    times = []
    for _ in range(20):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        run()
        last.record()
        torch.cuda.synchronize()
        times.append(first.elapsed_time(last))
    return float(torch.tensor(times).median()), (torch.cuda.max_memory_allocated() - before) / 1e6


def on_cpu(draw: Draw, scene: Scene, sigma: float, views: int) -> float:
    """CPU seconds for all views, from as many as `views`."""
    few = Scene(scene.points[:views], scene.faces, scene.shades[:views])
    return measured(lambda: there_and_back(draw, few, sigma), 5, enough=10)[1] * len(scene.points) / views


def relative(value: Tensor, exact: Tensor) -> float:
    """Norm of the difference as a share of the exact norm."""
    return float((value - exact).norm() / exact.norm())


def measured_table(device: str, peers: dict[str, Draw]) -> pd.DataFrame:
    """Time of all, and how far the peers' images and gradients are from ours."""
    rows = []
    scene = projected().to(device)
    for sigma in SIGMAS:
        ours = draw_ours(None)
        expected = there_and_back(ours, Scene(scene.points[:1], scene.faces, scene.shades[:1]), sigma)
        for name, draw in {"liftnet": ours, **peers}.items():
            one = there_and_back(draw, Scene(scene.points[:1], scene.faces, scene.shades[:1]), sigma)
            row: dict[str, object] = {"rasteriser": name, "sigma": f"{sigma:g}"}
            if name == CLIPPED:
                pass  # only compared
            elif device == "cuda":
                row["ms"], row["MB"] = on_cuda(lambda d=draw, s=sigma: there_and_back(d, scene, s))
            else:
                row["CPU s"] = on_cpu(draw, scene, sigma, VIEWS if name == "liftnet" else 1)
            row["gray"], row["silhouette"] = (
                float((a - b).abs().max()) for a, b in zip(one[:2], expected[:2], strict=True)
            )
            row["gray, mean"] = float((one[0] - expected[0]).abs().mean())
            row["gradient"] = relative(one[2], expected[2])
            rows.append(row)
            print(row, flush=True)
    return pd.DataFrame(rows)


def counts_table() -> pd.DataFrame:
    """What the scene takes by tiles of 8 and 16 px, and the least time in which an H200 could issue it."""
    rows = []
    triangles, _, image = projected().triangles()
    for tile, warps in ((8, 1), (16, 4)):
        programs = {program.name: program for program in compiled_programs(90, tile, warps)}
        for sigma in SIGMAS:
            entries = len(bin_triangles(triangles, image, VIEWS, SIDE, Softness(sigma).reach, tile).triangle)
            issued = entries * warps * (programs["forward"].instructions + programs["backward"].instructions)
            flops = 32 * entries * warps * (programs["forward"].flops + programs["backward"].flops)
            moved = 4 * 128 * len(triangles) + entries * (2 * 4 + 2 * 40 + 8) + 14 * 4 * VIEWS * SIDE**2
            rows.append(
                {
                    "tile, px": tile,
                    "sigma": f"{sigma:g}",
                    "entries": entries,
                    "evaluations, M": entries * tile**2 / 1e6,
                    "instructions, M": issued / 1e6,
                    "GFLOP": flops / 1e9,
                    "MB": moved / 1e6,
                    "atomics saved": 10 * entries,
                    "ms to issue": 1e3 * issued / (PROCESSORS * SCHEDULERS * CLOCK),
                    "ms to move": 1e3 * moved / BANDWIDTH,
                }
            )
    return pd.DataFrame(rows)


def with_shares(table: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Of our milliseconds, those in which the device's schedulers could have issued all instructions, %."""
    bounds = counts.drop_duplicates("sigma").set_index("sigma")["ms to issue"]
    ours = table["rasteriser"] == "liftnet"
    return table.assign(**{"arithmetic, %": (100 * table["sigma"].map(bounds) / table["ms"]).where(ours)})


def compiled_table() -> pd.DataFrame:
    """Registers, spills and inner loops for Hopper."""
    programs = compiled_programs(90)
    columns = ("name", "registers", "spilled_bytes", "barriers", "instructions", "flops")
    frame = pd.DataFrame([{name: getattr(program, name) for name in columns} for program in programs])
    return frame.rename(columns=lambda name: name.replace("_", " "))


def found_peers(device: str, pytorch3d: list[Path], softras: list[Path]) -> dict[str, Draw]:
    """The peers that can be loaded here."""
    sys.path[:0] = [str(folder) for folder in (*pytorch3d, *softras)]
    peers: dict[str, Draw] = {}
    if pytorch3d and peer("pytorch3d"):
        peers["PyTorch3D"] = draw_pytorch3d
        peers[CLIPPED] = partial(draw_pytorch3d, clip_as_softras=True)
    if softras and device == "cuda" and peer("soft_renderer"):
        peers["SoftRas"] = draw_softras
    return peers


def report(device: str, table: pd.DataFrame, peers: dict[str, Draw], counts: pd.DataFrame) -> list[str]:
    """The paragraphs of the report."""
    cuda = device == "cuda"
    name = torch.cuda.get_device_name() if cuda else machine("torch", "triton", "numba")
    tests = VIEWS * SIDE**2 * 5120 / 32 * BOX_TEST * 2
    unit = {"ms": ".2f", "MB": ".0f", "arithmetic, %": ".0f"} if cuda else {"CPU s": ".2f"}
    status = (
        "Milliseconds on the device, medians of 20; SoftRas and PyTorch3D where they could be loaded. Arithmetic: the"
        " bound of the last table as a share of our time."
        if cuda
        else "**No GPU figure was measured: this machine has none.** Below, PyTorch3D's CPU operators (every"
        " pixel against every face; timed on one view, times 25) beside our CPU kernels,"
        " in one run; SoftRas has no CPU path."
    )
    if not peers:
        status += " No peer was given."
    return [
        "# The rasteriser on a GPU",
        f"`python benchmarks/rasteriser_gpu.py`; {name}.",
        f"{VIEWS} views, {SIDE} px, 5,120 faces, gray and silhouette, forward and back to the projected vertices. "
        + status,
        "Gray and silhouette: largest (and mean) difference from ours; gradient: norm of the difference as a share."
        " For equal images, depth is linear in the image here and the background lies at the far plane; PyTorch3D"
        f" keeps {FACES_PER_PIXEL} faces a pixel. Outside a face it clips barycentric coordinates from below only, so"
        " depths there and the order of faces differ from SoftRas' and ours; clipped alike, the images agree.",
        shown(table, unit | {"gray": ".1e", "gray, mean": ".1e", "silhouette": ".1e", "gradient": ".1e"}),
        "## What the programs compile to for Hopper",
        "`triton.compile` for sm_90, without a GPU; instructions and floating-point operations of the inner loop, for"
        " one warp (32 lanes, two pixels each) and one triangle.",
        shown(compiled_table(), {}),
        "## What the scene takes (computed, not measured)",
        "Entries: triangles in the lists of tiles. Instructions: of warps, forward and backward. MB: lists, the"
        " triangles' table, images and rows of gradients, each once. The last columns are bounds for an H200: 132"
        " multiprocessors that issue four instructions a cycle at 1.98 GHz, and 4.8 TB/s. Sorting the lists, the"
        " projection and latency come on top.",
        shown(
            counts,
            {
                "entries": ",d",
                "evaluations, M": ".1f",
                "instructions, M": ".0f",
                "GFLOP": ".1f",
                "MB": ".0f",
                "atomics saved": ",d",
                "ms to issue": ".2f",
                "ms to move": ".3f",
            },
        ),
        f"SoftRas tests every face at every pixel, forward and backward: {2 * VIEWS * SIDE**2 * 5120 / 1e9:.1f} G box"
        f" tests of at least {BOX_TEST} instructions (its forward kernel, compiled by nvcc 13.0 for sm_90, up to the"
        f" first exit of its loop), {tests / 1e9:.1f} G of warps,"
        f" {1e3 * tests / (PROCESSORS * SCHEDULERS * CLOCK):.1f}"
        " ms to issue before anything is drawn.",
        "Gradients are written as one row of ten numbers an entry and added up in a fixed order, instead of ten atomic"
        " additions an entry: the same input gives the same bits. It costs a sort of the lists and 88 bytes an entry.",
    ]


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--pytorch3d", type=Path, action="append", default=[], help="may be given more than once")
    parser.add_argument("--softras", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    start = spent()
    with one_thread():
        peers = found_peers(arguments.device, arguments.pytorch3d, arguments.softras)
        table, counts = measured_table(arguments.device, peers), counts_table()
    if arguments.device == "cuda":
        table = with_shares(table, counts)
    write_report(arguments.out, report(arguments.device, table, peers, counts))
    print(f"{spent() - start:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
