"""The files of kapture 1.1 (kapture_format.adoc): sensors, records, keypoints and matches; images below records_data.

Its pixels are COLMAP's, whose top-left corner is (0, 0). There are no descriptors, poses or points.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from liftnet.core.files import write_bytes, write_text
from liftnet.shard.exports.exported import ExportedWork

KIND = "liftnet"  # of keypoints: the name of their folder
HEAD = "# kapture format: 1.1\n"
HALF_PIXEL = 0.5


def write_kapture(work: ExportedWork, folder: Path) -> None:
    """Write `sensors/` and `reconstruction/`."""
    sensors = ["# sensor_device_id, name, sensor_type, [sensor_params]+"]
    records = ["# timestamp, device_id, image_path"]
    keypoints = folder / "reconstruction" / "keypoints" / KIND
    for number, image in enumerate(work.images):
        numbers = ", ".join(f"{value:.17g}" for value in image.simple_radial)
        sensors.append(f"{image.image_id}, , camera, SIMPLE_RADIAL, {image.width}, {image.height}, {numbers}")
        records.append(f"{number}, {image.image_id}, {image.name}")
        write_bytes(keypoints / f"{image.name}.kpt", (image.keypoints + HALF_PIXEL).astype("<f4").tobytes())
    write_text(folder / "sensors" / "sensors.txt", HEAD + "\n".join(sensors) + "\n")
    write_text(folder / "sensors" / "records_camera.txt", HEAD + "\n".join(records) + "\n")
    write_text(keypoints / "keypoints.txt", f"{HEAD}# name, dtype, dsize\n{KIND}, float32, 2\n")
    matches = folder / "reconstruction" / "matches" / KIND
    for pair in work.pairs:
        first, second = (work.images[number].name for number in pair.images)
        rows = np.column_stack([pair.matches, pair.scores]).astype("<f8")
        write_bytes(matches / f"{first}.overlapping" / f"{second}.matches", rows.tobytes())
