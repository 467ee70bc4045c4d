"""A run of the segmenter's training between two iterations: network, optimiser, what was best; its checkpoint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.models.encoders import start_encoder
from liftnet.models.refinenet import RefineNet
from liftnet.models.segmenter import Segmenter, choose_device
from liftnet.segment.settings import SegmentSettings

CHECKPOINT = "last.pt"
CHECKPOINT_VERSION = 1
TRAINING_SETTINGS = {  # a checkpoint made with other values of these is not resumed
    "encoder",
    "encoder_weights",
    "start",
    "channels",
    "image_size",
    "iterations",
    "batch_size",
    "learning_rate",
    "encoder_rate",
    "weight_decay",
    "replace_background",
    "largest_zoom",
    "lighting",
    "neighbours",
    "validate_every",
}


@dataclass
class State:
    """All that a run needs to go on where it stopped."""

    network: RefineNet
    optimizer: torch.optim.Optimizer
    encoder_weights: str
    fingerprint: str
    iteration: int = 0
    best_iou: float = -1.0
    best_iteration: int = 0
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    metrics: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        data = {
            "version": CHECKPOINT_VERSION,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **{name: getattr(self, name) for name in ("fingerprint", "encoder_weights", "iteration", "metrics")},
            **{name: getattr(self, name) for name in ("best", "best_iou", "best_iteration")},
        }
        buffer = BytesIO()  # writing the bytes ourselves makes a full disk an OSError; torch's writer hides it
        torch.save(data, buffer)
        write_bytes(path, buffer.getvalue())

    def resume(self, path: Path) -> None:
        """Take over the checkpoint at `path` if it is whole and of this very run; else start from the beginning."""
        logger = get_logger("segment")
        if not path.exists():
            return
        try:
            data = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            logger.warning("%s cannot be read (%s): training starts from the beginning", path, error)
            return
        if (data.get("version"), data.get("fingerprint")) != (CHECKPOINT_VERSION, self.fingerprint):
            logger.info("%s is of other data or settings: training starts from the beginning", path)
            return
        self.network.load_state_dict(data["network"])
        self.optimizer.load_state_dict(data["optimizer"])
        for name in ("encoder_weights", "iteration", "metrics", "best", "best_iou", "best_iteration"):
            setattr(self, name, data[name])
        logger.info("training goes on from iteration %d", self.iteration)


def start_state(settings: SegmentSettings, seed: int, data: str) -> State:
    """A run before its first iteration; `data` is the digest of what it learns from.

    Raises:
        LiftnetError: The weights to start from cannot be read or are of another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "initial weights"))
        network = RefineNet(settings.encoder, settings.channels)
    if settings.start is None:
        used = start_encoder(network.encoder, settings.encoder, settings.encoder_weights)
    else:
        used = _take_weights(network, settings)
    network = network.to(choose_device(settings.device)).to(memory_format=torch.channels_last)
    share = 1.0 if used == "none" else settings.encoder_rate
    inner = list(network.encoder.parameters())
    known = {id(parameter) for parameter in inner}
    outer = [parameter for parameter in network.parameters() if id(parameter) not in known]
    groups = [{"params": inner, "share": share}, {"params": outer, "share": 1.0}]
    optimizer = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay)
    identity = json.dumps(
        [settings.model_dump(mode="json", include=TRAINING_SETTINGS), used, seed, data], sort_keys=True
    )
    return State(network, optimizer, used, hashlib.sha256(identity.encode()).hexdigest())


def _take_weights(network: RefineNet, settings: SegmentSettings) -> str:
    """Load the weights of the segmenter `settings.start`; return what they are, and their digest."""
    given = Segmenter.load(settings.start or "", "cpu")
    if (given.config["encoder"], given.config["channels"]) != (settings.encoder, settings.channels):
        raise LiftnetError(
            settings.start or "",
            f"has the encoder {given.config['encoder']} and {given.config['channels']} channels",
            "Set `encoder` and `channels` to these",
        )
    network.load_state_dict(given.network.state_dict())
    state = hashlib.sha256()
    for value in given.network.state_dict().values():
        state.update(value.cpu().numpy().tobytes())
    get_logger("segment").info("training starts from the segmenter in %s", settings.start)
    return f"segmenter {state.hexdigest()[:16]}"
