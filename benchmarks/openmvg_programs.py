"""OpenMVG's own programs as a peer: its features or ours, its matching, its geometric filter."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from measuring import ONE_THREAD

from liftnet.data.features import Features

MATCHES, FILTERED = "matches.txt", "filtered.txt"
IndexPairs = dict[tuple[str, str], np.ndarray]


class Scene:
    """A folder with the images of one work, each named by its id, and what OpenMVG makes of them.

    Args:
        folder: An empty folder.
        programs: Folder of the openMVG_main_* programs.
        images: Image files by id.
    """

    def __init__(self, folder: Path, programs: Path, images: Mapping[str, Path]) -> None:
        self.folder, self.programs = folder, programs
        (folder / "images").mkdir(parents=True)
        for image_id, path in images.items():
            (folder / "images" / f"{image_id}{path.suffix.lower()}").symlink_to(path.resolve())
        self._call("SfMInit_ImageListing", "-i", folder / "images", "-o", folder, "-f", "1000")
        scene = json.loads((folder / "sfm_data.json").read_text())
        views = [view["value"]["ptr_wrapper"]["data"] for view in scene["views"]]
        self.ids = {view["id_view"]: Path(view["filename"]).stem for view in views}
        if set(self.ids.values()) != set(images):
            raise RuntimeError(f"OpenMVG lists {len(self.ids)} of {len(images)} images")

    def find_features(self, preset: str) -> None:
        """Let OpenMVG find its SIFT features."""
        scene = self.folder / "sfm_data.json"
        self._call("ComputeFeatures", "-i", scene, "-o", self.folder, "-m", "SIFT", "-p", preset, "-f", "1")

    def give_features(self, image_id: str, features: Features) -> None:
        """Put features of ours in the place of OpenMVG's; `find_features` must have run, for its description file."""
        rows = np.column_stack([features.keypoints, features.scales, features.orientations])
        np.savetxt(self.folder / f"{image_id}.feat", rows, fmt="%.8g")
        count = np.uint64(len(features)).tobytes()
        (self.folder / f"{image_id}.desc").write_bytes(count + features.descriptors.tobytes())

    def keypoints(self, image_id: str) -> np.ndarray:
        """(N, 2) px of OpenMVG's features."""
        return np.loadtxt(self.folder / f"{image_id}.feat", ndmin=2)[:, :2]

    def match(self, method: str, pairs: Sequence[tuple[str, str]], ratio: float) -> IndexPairs:
        """Indices (K, 2) of the matches of each pair, first image a, then image b."""
        views = {image_id: view for view, image_id in self.ids.items()}
        numbers = sorted(tuple(sorted((views[a], views[b]))) for a, b in pairs)
        (self.folder / "pairs.txt").write_text("".join(f"{i} {j}\n" for i, j in numbers))
        self._call(
            *("ComputeMatches", "-i", self.folder / "sfm_data.json", "-o", self.folder / MATCHES),
            *("-p", self.folder / "pairs.txt", "-n", method, "-r", ratio, "-f", "1"),
        )
        return self._read(MATCHES)

    def filter(self) -> IndexPairs:
        """What OpenMVG's fundamental matrix (AC-RANSAC, at most 4 px) leaves of the matches."""
        self._call(
            *("GeometricFilter", "-i", self.folder / "sfm_data.json", "-m", self.folder / MATCHES),
            *("-o", self.folder / FILTERED, "-g", "f"),
        )
        return self._read(FILTERED)

    def _read(self, name: str) -> IndexPairs:
        numbers = np.array((self.folder / name).read_text().split(), np.int64)
        found, at = {}, 0
        while at < len(numbers):
            i, j, count = numbers[at : at + 3]
            indices = numbers[at + 3 : at + 3 + 2 * count].reshape(-1, 2)
            a, b = self.ids[i], self.ids[j]
            found[min(a, b), max(a, b)] = indices if a < b else indices[:, ::-1]
            at += 3 + 2 * int(count)
        return found

    def _call(self, name: str, *arguments: object) -> None:
        command = [str(self.programs / f"openMVG_main_{name}"), *map(str, arguments)]
        done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr[-500:]}")
