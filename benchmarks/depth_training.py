"""How fast are batches read, and how fast is a training step?

    python benchmarks/depth_training.py --root RESULTS [--device cuda] [--sizes 64 256] [--steps 20]

RESULTS is a finished run with a dataset. The loader stands beside a plain `torch.utils.data` loop over the same
photographs as JPEG files and one .npz a pair, in CPU seconds of one thread; ours hands over uint8 crops and leaves
augmentation to the device, so the peer does not augment either. A step is prediction, loss with RANSAC, backward and
optimiser at batch 16 with 181 correspondences a pair (the paper's mean); its share of the device's rate is the
multiply-adds of the network over those of a large bf16 matrix product, measured in the same run. Writes
benchmarks/depth_training.md, one section a device: a section of another device is kept.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measuring import machine, one_thread, shown, spent
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from liftnet.core.files import write_text
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.depth.objectives import TrainingInputs, load_training_data
from liftnet.depth.pairs import PairLoader, sample_depth
from liftnet.depth.reprojection import correspondence_loss
from liftnet.depth.settings import TrainSettings
from liftnet.learn.task import Order
from liftnet.models.depth_input import cut_input
from liftnet.models.depth_networks import InputSettings
from liftnet.models.liftnet import initial_network

BATCH, POINTS = 16, 181
NETWORKS = {64: {"levels": 6, "width": 16}, 256: {"levels": 8, "width": 64}}


class PlainPairs(Dataset):
    """What one would write first: JPEG, mask and .npz are read for every item."""

    def __init__(self, loader: PairLoader, root: Path, folder: Path, options: InputSettings) -> None:
        self.loader, self.root, self.folder, self.options = loader, root, folder, options
        self.random = np.random.default_rng(0)
        for row in loader.rows:
            pair = loader.table.load(row)
            np.savez(folder / row.pair_id, a=pair.points_a, b=pair.points_b)

    def __len__(self) -> int:
        return 2 * len(self.loader.rows)

    def _crop(self, image: str):
        pixels = read_image(self.loader.store.files[image])
        mask = read_mask(self.root / "masks" / f"{image}.png", (pixels.shape[1], pixels.shape[0]))
        return cut_input(pixels, mask, self.options)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        index, direction = divmod(item, 2)
        row = self.loader.rows[index]
        with np.load(self.folder / f"{row.pair_id}.npz") as data:
            points = [data["a"], data["b"]]
        source, target = [(row.image_a, points[0]), (row.image_b, points[1])][:: -1 if direction else 1]
        kept = self.random.permutation(len(source[1]))[: self.loader.limit]
        crop, _, box = self._crop(source[0])
        target_box = self.loader.store.boxes[self.loader.store.index[target[0]]]  # a whole decode less for the peer
        size = self.options.image_size
        ends = [np.full((self.loader.limit, 2), np.nan, np.float32) for _ in range(2)]
        for end, its_box, xy in ((ends[0], box, source[1]), (ends[1], target_box, target[1])):
            end[: len(kept)] = its_box.to_crop(xy[kept], size)
        image = torch.from_numpy(crop).permute(2, 0, 1).float() / 127.5 - 1
        return image, torch.from_numpy(ends[0]), torch.from_numpy(ends[1])


def loader_rows(root: Path, size: int, pairs: int) -> list[dict[str, object]]:
    """Pairs a CPU second of both loaders."""
    settings = TrainSettings(input={"image_size": size}, network=NETWORKS[size])
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        start = spent()
        data = load_training_data(TrainingInputs(root, root / "dataset", None, Path(scratch), 1, 0), settings)
        decoding = spent() - start
        loader = data.train.loader  # type: ignore[attr-defined]
        order = Order(data.train.groups, data.train.directions, BATCH, 0)
        start = spent()
        steps = min(pairs // BATCH, order.steps)
        for step in range(steps):
            data.train.batch(order.chosen(step), step)
        ours = (spent() - start) / (steps * BATCH)
        plain = PlainPairs(loader, root, Path(scratch), data.store.input)
        batches = iter(DataLoader(plain, batch_size=BATCH, shuffle=True, num_workers=0))
        start = spent()
        few = max(1, steps // 8)
        for _ in range(few):
            next(batches)
        theirs = (spent() - start) / (few * BATCH)
    for name, seconds, once in (("liftnet", ours, decoding), ("torch.utils.data, JPEG and npz", theirs, 0.0)):
        rows.append(
            {
                "input px": size,
                "loader": name,
                "once, CPU s": once,
                "pairs a CPU s": 1 / seconds,
                "times the plain loop": theirs / seconds,
            }
        )
    return rows


def timed(function: Callable[[], object], steps: int, device: torch.device) -> float:
    """Median wall seconds on a GPU, CPU seconds on a CPU, of a call after two warm-up calls."""
    clock = time.perf_counter if device.type == "cuda" else spent
    seconds = []
    for step in range(steps + 2):
        start = clock()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if step > 1:
            seconds.append(clock() - start)
    return statistics.median(seconds)


def peak_rate(device: torch.device) -> float:
    """Multiply-adds a second of a square bf16 matrix product, twice over as operations are counted."""
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    return 2 * n**3 / timed(lambda: a @ a, 10, device)


def step_rows(size: int, device: torch.device, steps: int, rate: float) -> list[dict[str, object]]:
    """Time of a training step, of its loss, and its share of the device's rate."""
    rows = []
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 3, size, size, generator=generator).to(device) * 2 - 1
    points, target = (torch.rand(BATCH, POINTS, 2, generator=generator).to(device) * (size - 1) for _ in range(2))
    mask = torch.ones(BATCH, POINTS, dtype=torch.bool, device=device)
    choices = [("no", False)] if device.type == "cpu" else [("no", False), ("bf16", False), ("bf16", True)]
    for precision, compiled in choices:
        settings = TrainSettings(input={"image_size": size}, network=NETWORKS[size])
        network = initial_network(settings.network, 0).to(device, memory_format=torch.channels_last)
        called = torch.compile(network) if compiled else network
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
        with FlopCounterMode(display=False) as counter:
            network(images).sum().backward()

        def loss_of(depth: torch.Tensor) -> torch.Tensor:
            at = sample_depth(depth, points)
            return correspondence_loss(points, at, target, mask, 5.0, 5.0, torch.Generator().manual_seed(0)).mean()

        def step(called: torch.nn.Module = called, precision: str = precision, optimiser=optimiser) -> None:
            optimiser.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                depth = called(images)
            loss_of(depth.float()).backward()
            optimiser.step()

        free = torch.randn(BATCH, size, size, device=device, requires_grad=True)
        whole, loss = timed(step, steps, device), timed(lambda free=free: loss_of(free).backward(), steps, device)
        rows.append(
            {
                "input px": size,
                "precision": "float32" if precision == "no" else precision,
                "compiled": "yes" if compiled else "no",
                "step, ms": 1000 * whole,
                "images a s": BATCH / whole,
                "loss, ms": 1000 * loss,
                "loss, share": loss / whole,
                "share of bf16 rate": counter.get_total_flops() / whole / rate,
                "40,000 steps, min": 40_000 * whole / 60,
            }
        )
    return rows


def section(root: Path, device: torch.device, sizes: list[int], steps: int) -> str:
    """The tables of one device."""
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else machine("torch", "numpy").split(",")[0]
    loaders = pd.DataFrame([row for size in sizes for row in loader_rows(root, size, 2048)])
    rate = peak_rate(device)
    table = pd.DataFrame(
        [row for size in sizes for row in step_rows(size, device, steps if size <= 64 or cuda else 2, rate)]
    )
    formats = {"once, CPU s": ".1f", "pairs a CPU s": ",.0f", "times the plain loop": ".1f"}
    times = {"step, ms": ",.1f", "images a s": ",.1f", "loss, ms": ".1f", "loss, share": ".3f"}
    times |= {"share of bf16 rate": ".2f", "40,000 steps, min": ",.0f"}
    kind = "wall time" if cuda else "CPU seconds of one thread"
    return "\n\n".join(
        [
            f"## {name}",
            "Loader, CPU seconds of one thread; `once` is decoding every crop before the first step.",
            shown(loaders, formats),
            f"Training step, batch {BATCH}, {POINTS} correspondences a pair, {kind}; a bf16 matrix product runs at"
            f" {rate / 1e12:,.2f} T operations a second.",
            shown(table, times),
        ]
    )


def merged(path: Path, new: str) -> str:
    """The page with the section of this device put in or replaced."""
    head = "# Reading batches and training steps\n\n`python benchmarks/depth_training.py --root RESULTS`"
    old = path.read_text().split("\n## ")[1:] if path.exists() else []
    title = new.splitlines()[0].removeprefix("## ")
    kept = [f"## {part.strip()}" for part in old if part.splitlines()[0] != title]
    return "\n\n".join([head, *kept, new.strip()]) + "\n"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256], choices=list(NETWORKS))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    with one_thread():
        new = section(arguments.root, torch.device(arguments.device), arguments.sizes, arguments.steps)
    text = merged(arguments.out, new)
    write_text(arguments.out, text)
    print(text)


if __name__ == "__main__":
    main()
