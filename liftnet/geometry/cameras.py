"""Pinhole cameras: x right, y down, z away from the camera; (0, 0) is the centre of the top-left pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, x ~ K (R X + t).

    Attributes:
        intrinsics: (3, 3) K, in pixels.
        rotation: (3, 3) R, world to camera.
        translation: (3,) t, in world units.
    """

    intrinsics: FloatArray
    rotation: FloatArray
    translation: FloatArray

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Project world points.

        Args:
            points: (N, 3) world coordinates.

        Returns:
            (N, 2) pixels and (N,) depth along the optical axis.
        """
        in_camera = points @ self.rotation.T + self.translation
        homogeneous = in_camera @ self.intrinsics.T
        return homogeneous[:, :2] / homogeneous[:, 2:], in_camera[:, 2]

    def unproject(self, pixels: FloatArray, depth: FloatArray) -> FloatArray:
        """World points at the given pixels and depths.

        Args:
            pixels: (N, 2).
            depth: (N,) along the optical axis.

        Returns:
            (N, 3) world coordinates.
        """
        rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(self.intrinsics).T
        return (rays * depth[:, None] - self.translation) @ self.rotation
