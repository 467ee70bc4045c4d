"""How many images a second are masked, at several sizes, beside a general background remover?

    python benchmarks/segmentation.py --photos DIR [--reference-onnx u2netp.onnx] [--device cuda] [--images 12]

Photographs of the folder, as stored (about 1024 px), from decoded pixels to the foreground probability of every pixel
at the photograph's size. Ours is the RefineNet of `segment train` with untrained weights, which cost the same; the
peer is U2-Net's small network on onnxruntime, whose input is fixed at 320 x 320. One thread each; on the processor CPU
seconds, the median over the photographs, ours and the peer's turn about; on a GPU seconds by the clock, after
everything is computed. Writes benchmarks/segmentation.md, one section a device: a section of another device is kept.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measuring import PHOTOS, machine, one_thread, shown, spent

from liftnet.core.devices import choose_device
from liftnet.core.files import write_text
from liftnet.data.pictures import read_image
from liftnet.models.segmentation_networks import NetworkSettings, PredictionSettings
from liftnet.models.segmenter import SEGMENTER, Segmenter
from liftnet.segment.predict import ReferenceSegmenter

SIZES = (224, 320, 384, 512)
PAGE = Path(__file__).with_suffix(".md")
HEAD = "# Masking photographs\n\n`python benchmarks/segmentation.py --photos DIR --reference-onnx u2netp.onnx`\n"
Predict = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--reference-onnx", type=Path)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--images", type=int, default=12)
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.photos.rglob("*.jpg") if "mask" not in path.parent.name)
    chosen = [files[index] for index in np.linspace(0, len(files) - 1, arguments.images).astype(int)]
    images = [read_image(path) for path in chosen]
    with one_thread():
        methods = our_methods(arguments.device)
        if arguments.reference_onnx:
            remover = ReferenceSegmenter(arguments.reference_onnx, threads=1)
            methods[(remover.name, remover.size, "no")] = remover.predict
        rows = measure(methods, images, arguments.device)
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else "processor"
    title = f"## {device}, {machine('torch', 'onnxruntime', 'opencv-python')}"
    unit = "seconds by the clock" if arguments.device == "cuda" else "CPU seconds of one thread"
    text = f"{title}\n\n{len(images)} photographs; medians, {unit}. onnxruntime runs on the processor always.\n\n"
    table = shown(rows, {"seconds an image": ".3f", "images a second": ".1f"})
    write_section(title, text + table + "\n")


def our_methods(device: str) -> dict[tuple[str, int, str], Predict]:
    """The segmenter at every size, without and with the mirrored image."""
    network = SEGMENTER.build(NetworkSettings()).to(choose_device(device)).eval()
    methods: dict[tuple[str, int, str], Predict] = {}
    for flip in (False, True):
        for size in SIZES:
            settings = PredictionSettings(test_time_flip=flip, test_time_scales=[1.0])
            segmenter = Segmenter(network, NetworkSettings(image_size=size))
            methods[("liftnet", size, "yes" if flip else "no")] = partial(segmenter.predict, settings=settings)
    return methods


def measure(methods: dict[tuple[str, int, str], Predict], images: list[np.ndarray], device: str) -> pd.DataFrame:
    """Seconds of every method, all methods on one photograph before the next."""
    now = time.perf_counter if device == "cuda" else spent
    seconds: dict[tuple[str, int, str], list[float]] = {key: [] for key in methods}
    for number, image in enumerate([images[0], *images]):
        for key, predict in methods.items():
            start = now()
            predict(image)  # returns an array of the processor, so all is computed
            if number:  # the first round warms up
                seconds[key].append(now() - start)
    rows = []
    for (name, size, flip), values in seconds.items():
        middle = statistics.median(values)
        rows.append({"network": name, "long side, px": size, "mirrored too": flip, "seconds an image": middle})
    frame = pd.DataFrame(rows)
    return frame.assign(**{"images a second": 1 / frame["seconds an image"]})


def write_section(title: str, text: str) -> None:
    """Replace the device's section of the page, keep those of other devices, and print it."""
    sections = PAGE.read_text().split("\n## ")[1:] if PAGE.exists() else []
    kept = [f"## {section.rstrip()}\n" for section in sections if not f"## {section}".startswith(title)]
    write_text(PAGE, "\n".join([HEAD, *sorted([*kept, text])]))
    print(text)


if __name__ == "__main__":
    main()
