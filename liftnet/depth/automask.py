"""Masks by the trained segmenter, for photographs that have none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger

MASK_ENDING = "mask.png"


def default_segmenter(model_folder: Path) -> Path:
    """The segmenter of the run that trained a model, which lies beside it."""
    return model_folder.resolve().parent / "segmenter"


def run_segmenter(
    segmenter: Path, inputs: Sequence[Path], out: Path, device: str, threads: int, force: bool = False
) -> None:
    """Write `<name>.mask.png` into `out` for each image, by the command `segment images`.

    It is a process of its own, as a stage does not import another; its lines go to the same terminal. It skips masks
    that are there, and names images without one.

    Args:
        segmenter: Folder of the trained segmenter.
        inputs: Images and folders, as given to `depth predict`.
        out: Where the masks go; folders are mirrored in it.
        device: Type of torch's device; any other than "cuda" means the processor.
        threads: Its threads.
        force: Mask again what is there.

    Raises:
        LiftnetError: There is no segmenter, or it fails.
    """
    others = "or give `--mask FOLDER` or `--mask none`"
    if not (segmenter / "model.safetensors").exists():
        raise LiftnetError(segmenter, "holds no segmenter for `--mask auto`", f"Name one with `--segmenter`, {others}")
    command = [sys.executable, "-m", "liftnet", "segment", "images", "--model", str(segmenter), "--out", str(out)]
    command += ["--ending", MASK_ENDING, "--threads", str(threads)]
    command += ["--device", "cuda" if device == "cuda" else "cpu"]
    command += [*(["--force"] if force else []), "--", *map(str, inputs)]
    get_logger("depth").info("masking with the segmenter %s", segmenter)
    status = subprocess.run(command, check=False).returncode
    if status:
        reason = f"the segmenter stopped with status {status}; its message stands above"
        raise LiftnetError(segmenter, reason, f"Mend it, {others}")
