"""The matcher `lightglue`: LightGlue (Lindenberger et al. 2023) upon ALIKED and DISK, LighterGlue upon XFeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from liftnet.core.parallel import map_threads
from liftnet.core.settings import Settings, UserPath
from liftnet.match.methods.aliked import ALIKED
from liftnet.match.methods.disk import DISK
from liftnet.match.methods.xfeat import XFEAT
from liftnet.match.registry import Matcher

if TYPE_CHECKING:
    from liftnet.data.features import Features, Floats
    from liftnet.match.settings import MatchSettings
    from liftnet.match.work_features import PairMatches, WorkFeatures


class LightglueSettings(Settings):
    """How LightGlue compares features."""

    min_confidence: float = Field(0.1, ge=0, lt=1, description="min. confidence of a match, which is its score")
    weights: UserPath = Field(
        "", description="file of weights (.pth, .pt, .safetensors); empty: those of the package (docs/matching.md)"
    )


def match_lightglue(
    work: WorkFeatures, pairs: Sequence[tuple[str, str]], settings: MatchSettings, threads: int, seed: int
) -> Iterator[PairMatches]:
    """Match the pairs in order; nothing here is random, so `seed` changes nothing.

    Raises:
        LiftnetError: There are no weights, or kornia is too old.
    """
    from liftnet.core.devices import one_torch_thread
    from liftnet.models.local_features import load_lightglue

    own: LightglueSettings = settings.search.lightglue
    network = load_lightglue(settings.extractor.kind.name, own.min_confidence, own.weights)

    def match(pair: tuple[str, str]) -> PairMatches:
        features, sizes = [work.load(name) for name in pair], [work.sizes[name] for name in pair]
        found, confidence = compare(network, features, sizes)
        return work.matched(*pair, found, confidence, one_to_one=True)

    with one_torch_thread():
        yield from map_threads(match, pairs, threads, "match", "matching pairs")


def compare(
    network: Any, features: Sequence[Features], sizes: Sequence[tuple[int, int]]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The matches of two images, by their descriptors and where they lie.

    Args:
        network: LightGlue of kornia.
        features: Of both images, at least one of each.
        sizes: (width, height) of both images.

    Returns:
        (K, 2) indices, ascending in the first, and (K,) confidences in [0, 1].
    """
    import torch

    def asked(own: Features, size: tuple[int, int]) -> dict[str, torch.Tensor]:
        inside = np.clip(own.keypoints, 0, size)  # half a pixel outside, where a picture was enlarged, is refused
        return {
            "keypoints": torch.from_numpy(inside.astype(np.float32))[None],
            "descriptors": torch.from_numpy(own.descriptors.astype(np.float32))[None],
            "image_size": torch.tensor([size], dtype=torch.float32),
        }

    with torch.inference_mode():
        found = network({f"image{k}": asked(*one) for k, one in enumerate(zip(features, sizes, strict=True))})
    matches, confidence = found["matches"][0].numpy(), found["scores"][0].numpy()
    order = np.argsort(matches[:, 0], kind="stable")  # points that were given up early change the order
    return matches[order], confidence[order].astype(np.float32)


MATCHER = Matcher(
    "lightglue",
    match_lightglue,
    LightglueSettings,
    environment="learned",
    kinds=(ALIKED.name, DISK.name, XFEAT.name),
    seconds=15,
    megabytes=1500,
)
