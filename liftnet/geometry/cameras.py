"""Pinhole and orthographic cameras: x right, y down, z away; (0, 0) is the centre of the top-left pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liftnet.core.types import FloatArray


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

    @property
    def matrix(self) -> FloatArray:
        """(3, 4) the camera matrix K [R t], of world points with a 1 added."""
        return np.asarray(self.intrinsics @ np.column_stack([self.rotation, self.translation]))

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 2) pixels and (N,) depth along the optical axis of (N, 3) world points."""
        in_camera = points @ self.rotation.T + self.translation
        homogeneous = in_camera @ self.intrinsics.T
        return homogeneous[:, :2] / homogeneous[:, 2:], in_camera[:, 2]

    def pixels_per_unit(self, depth: float) -> float:
        """How many pixels a unit of length across the optical axis takes at a depth."""
        return float(np.sqrt(self.intrinsics[0, 0] * self.intrinsics[1, 1])) / depth

    def unproject(self, pixels: FloatArray, depth: FloatArray) -> FloatArray:
        """(N, 3) world points at (N, 2) pixels and (N,) depths along the optical axis."""
        rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(self.intrinsics).T
        return (rays * depth[:, None] - self.translation) @ self.rotation


@dataclass(frozen=True)
class OrthographicCamera:
    """A camera of parallel rays, x ~ s (R X + t) + c in its first two coordinates.

    Attributes:
        scale: s, pixels a world unit, the same along x and y.
        centre: (2,) c, the pixel on the optical axis.
        rotation: (3, 3) R, world to camera.
        translation: (3,) t, in world units.
    """

    scale: float
    centre: FloatArray
    rotation: FloatArray
    translation: FloatArray

    @property
    def matrix(self) -> FloatArray:
        """(3, 4) the camera matrix, of world points with a 1 added; its last row is (0, 0, 0, 1)."""
        moved = self.scale * np.column_stack([self.rotation, self.translation])[:2]
        moved[:, 3] += self.centre
        return np.vstack([moved, [0, 0, 0, 1]])

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 2) pixels and (N,) depth along the optical axis of (N, 3) world points."""
        in_camera = points @ self.rotation.T + self.translation
        return in_camera[:, :2] * self.scale + self.centre, in_camera[:, 2]

    def pixels_per_unit(self, depth: float) -> float:
        """How many pixels a unit of length across the optical axis takes: the same at every depth."""
        return self.scale

    def unproject(self, pixels: FloatArray, depth: FloatArray) -> FloatArray:
        """(N, 3) world points at (N, 2) pixels and (N,) depths along the optical axis."""
        in_camera = np.column_stack([(pixels - self.centre) / self.scale, depth])
        return (in_camera - self.translation) @ self.rotation


AnyCamera = Camera | OrthographicCamera
