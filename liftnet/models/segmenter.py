"""A trained segmenter: its network, how to run it, and its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_bytes, write_json
from liftnet.models.refinenet import RefineNet
from liftnet.segment.samples import working_shape
from liftnet.segment.settings import SegmentSettings

FORMAT = "liftnet-segmenter-1"
STRIDE = 32  # of the encoder's deepest level


class Segmenter:
    """A RefineNet with what is needed to run it on photographs of any size.

    Args:
        network: The network.
        config: What config.json holds; the keys used here are `image_size`, `test_time_flip` and
            `test_time_scales`.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
    """

    def __init__(self, network: RefineNet, config: dict[str, Any], device: str = "auto") -> None:
        self.device = choose_device(device)
        self.network = network.to(self.device).eval()
        self.config = config

    def apply(self, settings: SegmentSettings) -> Segmenter:
        """Take over how images are masked at test time; return itself."""
        self.config |= {"test_time_flip": settings.test_time_flip, "test_time_scales": settings.test_time_scales}
        return self

    @classmethod
    def load(cls, path: Path | str, device: str = "auto") -> Segmenter:
        """Read a folder with model.safetensors and config.json.

        Raises:
            LiftnetError: A file is missing or damaged, or the two do not belong together.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = Path(path)
        config = read_json(path / "config.json")
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise LiftnetError(path / "config.json", f"is not of the format {FORMAT}", "Train the segmenter again")
        network = RefineNet(config["encoder"], config["channels"])
        try:
            network.load_state_dict(load_file(path / "model.safetensors"))
        except FileNotFoundError as error:
            raise LiftnetError(path / "model.safetensors", "does not exist", "Run `segment train`") from error
        except (SafetensorError, OSError, RuntimeError) as error:
            raise LiftnetError(
                path / "model.safetensors", f"cannot be loaded ({error})", "Run `segment train` again"
            ) from error
        return cls(network, config, device)

    def save(self, path: Path) -> None:
        """Write model.safetensors and config.json into the folder `path`, atomically file by file."""
        from safetensors.torch import save

        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        write_bytes(path / "model.safetensors", save(state))
        write_json(path / "config.json", self.config | {"format": FORMAT})

    def predict(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Foreground probability of every pixel.

        Args:
            image: (H, W, 3) uint8 RGB, any size.

        Returns:
            (H, W) float32 in [0, 1].
        """
        scales = self.config.get("test_time_scales") or [1.0]
        # logits are smooth across an edge where probabilities are a step: upsample them, so that edges stay straight
        size = (image.shape[1], image.shape[0])
        maps = [cv2.resize(self._at_scale(image, s), size, interpolation=cv2.INTER_LINEAR) for s in scales]
        full = np.mean(maps, axis=0) if len(maps) > 1 else maps[0]
        return (1 / (1 + np.exp(-np.clip(full, -30, 30)))).astype(np.float32)

    def _at_scale(self, image: npt.NDArray[np.uint8], scale: float) -> npt.NDArray[np.float32]:
        """Logits of the image with a long side of `scale` times the size the network was trained at."""
        height, width = working_shape(image.shape, round(self.config["image_size"] * scale), STRIDE)
        shrinks = height < image.shape[0]
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        batch = torch.from_numpy(np.ascontiguousarray(resized, np.float32) / 255).permute(2, 0, 1)[None]
        return self._logits(batch.to(self.device))

    @torch.inference_mode()
    def _logits(self, batch: torch.Tensor) -> npt.NDArray[np.float32]:
        logits = self.network(batch)
        if self.config.get("test_time_flip", True):
            logits = (logits + self.network(batch.flip(-1)).flip(-1)) / 2
        result: npt.NDArray[np.float32] = logits[0, 0].float().cpu().numpy()
        return result

    def __repr__(self) -> str:
        return f"Segmenter({self.config['encoder']}, {self.config['image_size']} px, {self.device})"


def choose_device(name: str) -> torch.device:
    """The torch device of the setting `device`.

    Raises:
        LiftnetError: "cuda" was asked for and there is no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise LiftnetError("device: cuda", "no GPU can be used by this torch", "Set device to auto or cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")
