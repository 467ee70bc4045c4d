"""The sign of depth, which a loss through a free camera cannot tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liftnet.depth.data.store import CropStore
from liftnet.models.depth_priors import inflated_depth
from liftnet.models.liftnet import DepthModel

SIGN_IMAGES = 256  # training images that choose the sign of depth


def viewer_sign(model: DepthModel, store: CropStore, images: Sequence[str]) -> int:
    """1 or -1: the sign under which predicted depth agrees with the inflated masks of images."""
    rows = [store.index[image] for image in images if image in store][:SIGN_IMAGES]
    depth = model.predict(store.images[rows], store.masks[rows])
    agreement = 0.0
    for predicted, mask in zip(depth, store.masks[rows], strict=True):
        if mask.sum() > 1:
            ours, rounded = predicted[mask] - predicted[mask].mean(), inflated_depth(mask)[mask]
            length = np.linalg.norm(ours) * np.linalg.norm(rounded - rounded.mean())
            agreement += float(ours @ (rounded - rounded.mean()) / length) if length > 0 else 0.0
    return -1 if agreement < 0 else 1
