"""The angle between the cameras of the pairs of the dataset, where the focal lengths of both photographs are known.

EXIF gives the focal length as that of a camera of 36 x 24 mm with the same diagonal angle of view (CIPA DCG-001). The
long side of an image of 3:2 is then 36 mm, of 4:3 34.6 mm (43.27 mm times 4/5); an image of 16:9 is taken for one of
4:3 cut above and below, as telephones make them. Other shapes have been cut by somebody, so that the focal length no
longer holds: it counts as unknown. A focal length in mm alone says nothing without the size of the sensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from liftnet.geometry.rotations import View, rotations_of_pairs

DIAGONAL_MM = float(np.hypot(36, 24))
LONG_SIDE_MM = {3 / 2: 36.0, 4 / 3: DIAGONAL_MM * 4 / 5, 16 / 9: DIAGONAL_MM * 4 / 5}
SHAPE_TOLERANCE = 0.01  # relative, of the ratio of the sides
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Focals:
    """Focal lengths by image_id, px.

    Attributes:
        ids: Of the images whose focal length is known.
        values: As many, px of the stored image.
    """

    ids: pa.Array
    values: FloatArray

    @classmethod
    def of_manifest(cls, manifest: pa.Table | None) -> Focals:
        """The focal lengths of the stored images of a manifest; none without one."""
        if manifest is None:
            return cls(pa.array([], pa.string()), np.empty(0))
        stored = manifest.filter(pc.equal(manifest.column("status"), "ok"))
        numbers = (stored.column(name).to_numpy().astype(float) for name in ("focal_35mm", "width", "height"))
        values = focal_px(*numbers)
        known = np.isfinite(values)
        return cls(stored.column("image_id").combine_chunks().cast(pa.string()).filter(pa.array(known)), values[known])

    def __call__(self, column: pa.ChunkedArray) -> FloatArray:
        """(P,) px, the focal length of each image of the column; NaN where unknown."""
        rows = pc.fill_null(pc.index_in(column.cast(pa.string()), value_set=self.ids), len(self.ids)).to_numpy()
        return np.append(self.values, np.nan)[rows]


def focal_px(focal_35mm: FloatArray, width: FloatArray, height: FloatArray) -> FloatArray:
    """Focal lengths in px from EXIF's 35 mm equivalents (N,) and the sizes of the images; NaN where unknown."""
    long, short = np.maximum(width, height), np.minimum(width, height)
    side_mm = np.full(len(long), np.nan)
    for ratio, millimetres in LONG_SIDE_MM.items():
        side_mm[np.abs(long / (short * ratio) - 1) <= SHAPE_TOLERANCE] = millimetres
    return np.where(focal_35mm > 0, focal_35mm / side_mm * long, np.nan)


def rotation_column(pairs: pa.Table, focals: Focals) -> pa.Array:
    """The column rotation_deg of rows of PAIRS: degrees, null where unknown or not to be believed.

    See `liftnet.geometry.rotations` for when an angle is believed.
    """
    focal_a, focal_b = (focals(pairs.column(name)) for name in ("image_a", "image_b"))
    known = np.isfinite(focal_a) & np.isfinite(focal_b)
    known &= pc.fill_null(pc.equal(pc.list_value_length(pairs.column("f_perspective")), 9), False).to_numpy()
    angles = np.full(len(pairs), np.nan)
    if known.any():
        rows = pairs.filter(pa.array(known)).combine_chunks()
        matrices = _flat(rows, "f_perspective").reshape(-1, 3, 3)
        counts = pc.fill_null(pc.list_value_length(rows.column("x1")), 0).to_numpy().astype(np.int64)
        first = View(_points(rows, "x1", "y1"), focal_a[known], _centres(rows, "a"))
        second = View(_points(rows, "x2", "y2"), focal_b[known], _centres(rows, "b"))
        angles[known] = rotations_of_pairs(matrices, first, second, counts)
    return pa.array(angles, pa.float32(), from_pandas=True)


def _points(rows: pa.Table, x: str, y: str) -> FloatArray:
    return np.column_stack([_flat(rows, x), _flat(rows, y)])


def _flat(rows: pa.Table, name: str) -> FloatArray:
    return pc.list_flatten(rows.column(name)).to_numpy().astype(np.float64)


def _centres(rows: pa.Table, image: str) -> FloatArray:
    sides = [rows.column(f"{side}_{image}").to_numpy() for side in ("width", "height")]
    return (np.column_stack(sides) - 1) / 2
