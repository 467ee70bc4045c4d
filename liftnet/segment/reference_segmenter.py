"""A general background remover from an ONNX file: what the segmenter is compared with, and who proposes first masks.

The conventions are those of U2-Net (Qin et al., Pattern Recognition 2020): a square input divided by its largest
value and normalised as for ImageNet; the first output is the foreground, stretched to [0, 1].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ReferenceSegmenter:
    """A background remover in an ONNX file, run by onnxruntime on the processor.

    Args:
        path: The file, with one input (1, 3, S, S).
        threads: Threads of onnxruntime.

    Raises:
        LiftnetError: onnxruntime is not installed, or the file is missing, damaged or of another kind of network.
    """

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        self.path = Path(path)
        self.session = _session(self.path, threads)
        entry = self.session.get_inputs()[0]
        self.input = entry.name
        shape = entry.shape
        if len(shape) != 4 or shape[1] != 3 or not isinstance(shape[2], int) or shape[2] != shape[3]:
            raise LiftnetError(
                self.path, f"has an input of shape {shape}", "Give a network such as U2-Net with input (1, 3, S, S)"
            )
        self.size = int(shape[2])

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    def predict(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Foreground map of an image.

        Args:
            image: (H, W, 3) uint8 RGB, any size.

        Returns:
            (H, W) float32 in [0, 1]; of every image the largest value is 1, also where there is no foreground.
        """
        resized = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA).astype(np.float32)
        scaled = resized / max(float(resized.max()), 1.0)
        pixels = (scaled - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
        found = np.asarray(self.session.run(None, {self.input: batch})[0], np.float32).reshape(self.size, self.size)
        low, high = float(found.min()), float(found.max())
        stretched = (found - low) / max(high - low, 1e-6)
        full = cv2.resize(stretched, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        return full.astype(np.float32)


def _session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise LiftnetError("onnxruntime", "is not installed", "Install the extra `export`") from error
    if not path.is_file():
        raise LiftnetError(path, "does not exist", "Give the path of the network's .onnx file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises kinds of its own for a damaged file
        raise LiftnetError(path, f"cannot be loaded ({str(error).splitlines()[0]})", "Fetch the file again") from error
