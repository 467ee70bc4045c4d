"""What the benchmarks share: CPU seconds on one thread, peers that may be absent, tables and figures."""

from __future__ import annotations

import importlib
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image
from threadpoolctl import threadpool_limits

from liftnet.core.files import atomic_path, write_text
from liftnet.core.tables import markdown_table

Result = TypeVar("Result")
FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"
PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "photos"
OURS, PEER, FLOOR = "#c2410c", "#64748b", "#a8a29e"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def spent() -> float:
    """CPU seconds of this process and of the programs it has started and waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measured(function: Callable[[], Result], runs: int, enough: float = 60.0) -> tuple[Result, float, int]:
    """What `function` returns, the median of its CPU seconds and of how many runs.

    Args:
        function: What to measure; it should have run before, so that nothing is compiled or loaded any more.
        runs: Most runs.
        enough: No further run is begun after this many CPU seconds.
    """
    seconds: list[float] = []
    while len(seconds) < runs and sum(seconds) < enough:
        start = spent()
        result = function()
        seconds.append(spent() - start)
    return result, statistics.median(seconds), len(seconds)


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold OpenCV, torch, BLAS and OpenMP to one thread, also in programs that are started."""
    import cv2

    cv2.setNumThreads(1)
    os.environ.update(ONE_THREAD)
    torch = peer("torch", silent=True)
    if torch is not None:
        torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


def peer(name: str, silent: bool = False) -> ModuleType | None:
    """Import a peer, or say that it is absent."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if not silent:
            print(f"{name} is not installed: left out", flush=True)
        return None


def machine(*packages: str) -> str:
    """The processor and the versions of packages, in one sentence; says which packages are absent."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    found, absent = [], []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            absent.append(package)
    text = f"{os.cpu_count()} cores {names[0] if names else platform.processor()}, {', '.join(found)}"
    return text + (f"; absent and left out: {', '.join(absent)}" if absent else "")


def commit() -> str:
    """The commit of the code that is measured, "and changes" where some are not committed; "unknown" without git."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty= and changes", "--abbrev=7"]
    try:
        run = subprocess.run([*words, "--exclude=*"], capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return run.stdout.strip() or "unknown"


def line_distances(fundamental: np.ndarray, points_a: np.ndarray, points_b: np.ndarray) -> np.ndarray:
    """(N,) px, distances of matched points from their epipolar lines, the larger of both images; x_b^T F x_a = 0."""
    a, b = (np.column_stack([points, np.ones(len(points))]) for points in (points_a, points_b))
    in_b, in_a = a @ fundamental.T, b @ fundamental
    residual = np.abs((in_b * b).sum(axis=1))
    return residual / np.minimum(np.hypot(*in_a.T[:2]), np.hypot(*in_b.T[:2]))


def fundamental_of(camera_a: np.ndarray, camera_b: np.ndarray) -> np.ndarray:
    """(3, 3) fundamental matrix of two 3x4 cameras, x_b^T F x_a = 0 (Hartley & Zisserman, equation 9.1)."""
    centre = np.linalg.svd(camera_a)[2][-1]
    x, y, z = camera_b @ centre
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ camera_b @ np.linalg.pinv(camera_a)


def viewing_angle(camera_a: np.ndarray, camera_b: np.ndarray) -> float:
    """Degrees between the optical axes of two 3x4 cameras."""
    axes = [np.linalg.det(camera[:, :3]) * camera[2, :3] for camera in (camera_a, camera_b)]
    cosine = np.dot(*axes) / np.prod([np.linalg.norm(axis) for axis in axes])
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def shown(frame: pd.DataFrame, formats: dict[str, str]) -> str:
    """A frame as a Markdown table, its columns formatted by name; empty where a number is missing."""
    text = frame.copy().astype(object)
    for name, form in formats.items():
        text[name] = ["" if pd.isna(value) else format(value, form) for value in frame[name]]
    return markdown_table(text.fillna(""))


def write_report(path: Path, paragraphs: Sequence[str]) -> None:
    """Write paragraphs and tables as Markdown and print them."""
    text = "\n\n".join(paragraphs) + "\n"
    write_text(path, text)
    print(text)


def bars(axes: Axes, names: Sequence[str], values: Sequence[float], labels: Sequence[str], unit: str) -> None:
    """Horizontal bars on a logarithmic scale, ours in colour, each with its label behind it."""
    colours = [OURS if name.startswith("liftnet") else FLOOR if name.startswith("bare") else PEER for name in names]
    axes.barh(range(len(names)), values, color=colours)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel(unit)
    low, high = min(values), max(values)
    axes.set_xlim(low / 2, high * (high / low) ** 0.6)  # room for the labels
    for position, (value, label) in enumerate(zip(values, labels, strict=True)):
        axes.text(value * 1.06, position, label, va="center", fontsize=8, color="#334155")
    tidy(axes)


def tidy(axes: Axes) -> None:
    """No box, a light grid behind the marks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e2e8f0", linewidth=0.7)
    axes.set_axisbelow(True)


def new_figure(columns: int, height: float, **options: object) -> tuple[plt.Figure, np.ndarray]:
    """A figure as wide as a page, with `columns` axes side by side."""
    plt.rcParams.update({"font.size": 9, "axes.titlesize": 10})
    figure, axes = plt.subplots(1, columns, figsize=(10, height), squeeze=False, layout="constrained", **options)
    return figure, axes[0]


def save_figure(figure: plt.Figure, name: str, folder: Path = FIGURES) -> None:
    """Write a figure as a PNG of few colours, so that the file is small."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    with atomic_path(folder / f"{name}.png") as temporary, Image.open(buffer) as picture:
        picture.convert("RGB").quantize(96).save(temporary, optimize=True)
