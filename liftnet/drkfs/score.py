"""DR-KFS and the metrics of shapes for every couple: a table of scores and pictures of where shapes differ."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from liftnet.core.devices import choose_device
from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.settings import fingerprint
from liftnet.core.tables import markdown_table
from liftnet.drkfs.couples import FAILED, OK, Score, find_couples, score_couples, score_table, write_scores
from liftnet.drkfs.settings import ScoreCommandSettings
from liftnet.mesh.mesh import TriangleMesh
from liftnet.models.weights import SHIPPED

if TYPE_CHECKING:
    import torch

    from liftnet.drkfs.comparison import Target
    from liftnet.drkfs.metric import DRKFS

LOG = get_logger("drkfs")
VERSION = 1  # raised when the same files and settings give other values
PICTURE_ENDING = ".png"


@dataclass(frozen=True)
class ScoreRequest:
    """What is to be compared, and what is to be written.

    Attributes:
        shape: A mesh or a folder of meshes.
        target: A mesh or a folder of meshes.
        out: The CSV to write, if any.
        pictures: For two files the PNG, otherwise a folder, if any.
        up: The axis that points up in the files.
        device: "auto", "cpu", "cuda", ...
        threads: Threads of torch and of the rasteriser.
        seed: Of the points that are drawn from surfaces.
    """

    shape: Path
    target: Path
    out: Path | None = None
    pictures: Path | None = None
    up: Literal["y", "z"] = "y"
    device: str = "auto"
    threads: int = 1
    seed: int = 0


def score(request: ScoreRequest, settings: ScoreCommandSettings) -> int:
    """Compare shapes, print the scores or write their table.

    Returns:
        Exit status: 1 if no couple could be compared, otherwise 0: the table says which failed, and why.

    Raises:
        LiftnetError: A path does not exist, there is no such metric, or nothing can be written.
    """
    check_metrics(settings.score.metrics)
    couples = find_couples(request.shape, request.target)
    one = request.shape.is_file()
    measure = ShapeMeasure(settings, request, one)
    scores = score_couples(couples, measure, measure.recipe(), request.out, request.up, measure.has_picture)
    if request.out:
        write_scores(scores, request.out)
        LOG.info("%d scores in %s", len(scores), request.out)
    if one or not request.out:
        print(_printed(scores, one))
    failed = sum(score.status == FAILED for score in scores)
    if failed:
        LOG.warning("%d of %d could not be compared; the table says why", failed, len(scores))
    return 0 if any(score.status == OK for score in scores) else 1


def check_metrics(names: list[str]) -> None:
    """Raise LiftnetError if there is no metric of one of these names."""
    from liftnet.shape.metrics import METRICS

    unknown = [name for name in names if name != "drkfs" and name not in METRICS]
    if unknown:
        raise LiftnetError("metrics", f"there is no {', '.join(unknown)}", f"Use drkfs, {', '.join(METRICS)}")


class ShapeMeasure:
    """Measures couples of shapes; weights are loaded and targets prepared when first needed.

    Args:
        settings: Which metrics, and how.
        request: Where pictures go, and where to compute.
        one: There is a single couple, whose picture is named by the request itself.
    """

    def __init__(self, settings: ScoreCommandSettings, request: ScoreRequest, one: bool = False) -> None:
        self.settings, self.request, self.one = settings, request, one
        self._metric: DRKFS | None = None
        self._target: tuple[str, Target] | None = None

    def recipe(self) -> str:
        """What the values depend on besides the files: settings, seed, contents of the weights, version."""
        metric, score = self.settings.metric, self.settings.score
        weights = {
            "detector": metric.detector or SHIPPED / "detector" / "model.safetensors",
            "descriptor": metric.descriptor_weights or SHIPPED / "hardnet" / "model.safetensors",
            "vocabulary": score.vocabulary,
            "mvcnn": score.mvcnn,
        }
        digests = {name: _digest(Path(path)) for name, path in weights.items() if path}
        about = [fingerprint(self.settings), digests, self.request.up, self.request.seed, VERSION]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    def __call__(self, shape: TriangleMesh, target: TriangleMesh, name: str) -> tuple[dict[str, float], str]:
        """Values of the metrics in the order asked for, and why some have none."""
        from liftnet.shape.alignment import align
        from liftnet.shape.metrics import compare

        chosen, seed = self.settings.score, self.request.seed
        others = [metric for metric in chosen.metrics if metric != "drkfs"]
        compared = compare(shape, target, others, chosen, seed)
        values, reasons = dict(compared.values), dict(compared.reasons)
        if "drkfs" in chosen.metrics or self.request.pictures:
            placed = align(shape, target, chosen.align, chosen.size, chosen.turns, seed)
            values["drkfs"] = self._drkfs(*placed, name)
        missing = "; ".join(f"{metric}: {reason}" for metric, reason in reasons.items())
        return {metric: values[metric] for metric in chosen.metrics}, missing

    def _drkfs(self, shape: TriangleMesh, target: TriangleMesh, name: str) -> float:
        import torch

        from liftnet.drkfs.meshes import Meshes
        from liftnet.drkfs.metric import DRKFS

        device = self.device()
        if self._metric is None:
            self._metric = DRKFS(self.settings.metric).to(device)
        metric = self._metric
        key = hashlib.sha256(target.vertices.tobytes() + target.faces.tobytes()).hexdigest()
        if self._target is None or self._target[0] != key:  # many shapes may have one target
            self._target = key, metric.prepare(Meshes.of(target, device=device))
        given, prepared = Meshes.of(shape, device=device), self._target[1]
        if not self.request.pictures:
            with torch.no_grad():
                return float(metric(given, prepared))
        from liftnet.drkfs.picture import draw_differences

        differences = metric.differences(given, prepared)
        names = (name, self.request.target.stem) if self.one else (name, "target")
        picture = self._picture(self.request.pictures, name)
        draw_differences(differences, picture, names, stride=self.settings.metric.stride)
        return differences.score

    def has_picture(self, name: str) -> bool:
        """Whether the picture of a couple is there, or none is asked for."""
        return self.request.pictures is None or self._picture(self.request.pictures, name).is_file()

    def _picture(self, pictures: Path, name: str) -> Path:
        return pictures if self.one else pictures / f"{name}{PICTURE_ENDING}"

    def device(self) -> torch.device:
        """The device asked for, after torch was told how many threads it may use."""
        import torch

        torch.set_num_threads(self.request.threads)  # the rasteriser takes as many
        return choose_device(self.request.device)


def _digest(path: Path) -> str:
    """SHA-256 of a file of weights, or of a model's folder; the path itself of what is not there."""
    file = path / "model.safetensors" if path.is_dir() else path
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else str(path)


def _printed(scores: list[Score], one: bool) -> str:
    table = score_table(scores)
    if one and scores[0].status != FAILED:
        lines = [f"{name:20s} {value:.6g}" for name, value in scores[0].values.items()]
        return "\n".join(lines + ([scores[0].reason] if scores[0].reason else []))
    return markdown_table(table.map(lambda value: f"{value:.5g}" if isinstance(value, float) else value))
