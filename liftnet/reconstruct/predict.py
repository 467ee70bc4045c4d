"""Shapes of photographs: each a mesh, as GLB and PLY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from liftnet.core.devices import choose_device
from liftnet.core.errors import BadImageError
from liftnet.core.files import write_json
from liftnet.core.log import get_logger, progress
from liftnet.data.folders import InputImage, find_images
from liftnet.data.pictures import read_image
from liftnet.mesh.writing import write_mesh
from liftnet.models.photograph_masks import PhotographMasks
from liftnet.models.reconstruction import ReconstructionModel, load_model

LOG = get_logger("reconstruct")
GLB, PLY, NOTES = "shape.glb", "shape.ply", "shape.json"  # the notes last: with them a photograph is done
MOST_FACES = 1_000_000  # of a mesh that is written: 36 MB as GLB
FRAMES = {
    "object": "the shape's own: y up, its front towards +z, radius 0.5",
    "view": "the camera's: x right, y up, z towards it, radius 0.5",
}


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes:
        mask: "auto" for masks by the segmenter, "none" for whole images, or a folder of masks.
        segmenter: Folder of the segmenter; None for the one beside the model.
        force: Predict again what is there.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ...
        threads: Threads of torch.
    """

    mask: str = "auto"
    segmenter: Path | None = None
    force: bool = False
    device: str = "auto"
    threads: int = 1


def predict(inputs: Sequence[Path], model_folder: Path, out: Path, options: PredictOptions) -> int:
    """Predict the shapes of images and of all images in folders, which are mirrored below `out`.

    An image whose shape is there is skipped unless `force`. What cannot be read, shows nothing to the network or
    gives a mesh that is too large is named in the log and left out.

    Args:
        inputs: Images and folders.
        model_folder: The trained model.
        out: Where results go.
        options: How to predict.

    Returns:
        Exit status: 0 if every image has its shape, 1 if some were left out.

    Raises:
        LiftnetError: An input does not exist, the model or segmenter cannot be read, or a result cannot be written.
    """
    torch.set_num_threads(max(1, options.threads))
    places = find_images(inputs, out)
    endings = (GLB, PLY, NOTES)
    pending = [p for p in places if options.force or not all(p.result(ending).exists() for ending in endings)]
    failed = 0
    if pending:
        device = str(choose_device(options.device))
        masks = PhotographMasks.open(options.mask, out, options.segmenter, model_folder, device, options.force)
        model = load_model(model_folder, device)
        for place in progress(pending, "reconstruct", "predicting shapes", len(pending)):
            try:
                write_shape(place, model, masks, model_folder)
            except BadImageError as error:
                failed += 1
                LOG.warning("left out: %s", error)
            except NoShapeError as error:
                failed += 1
                LOG.warning("left out: %s: %s", place.image, error)
    done, there = len(pending) - failed, len(places) - len(pending)
    LOG.info("predicted %d shapes, %d were there already, %d left out; %s", done, there, failed, out)
    return 1 if failed else 0


class NoShapeError(Exception):
    """What the network says of a photograph is no mesh that can be used."""


def write_shape(place: InputImage, model: ReconstructionModel, masks: PhotographMasks, model_folder: Path) -> None:
    """Predict the shape of one photograph and write it, each file atomically.

    Raises:
        BadImageError: The photograph or its mask cannot be read.
        NoShapeError: The network sees nothing, or its mesh is not finite or too large.
        LiftnetError: The folder cannot be written.
    """
    image = read_image(place.image)
    mask_file, mask = masks.mask_of(place, image)
    try:
        mesh = model.reconstruct(image, mask)
    except ValueError as error:
        raise NoShapeError(f"the network gives no mesh ({error})") from error
    if not len(mesh.faces):
        raise NoShapeError("the network sees no shape in it")
    if len(mesh.faces) > MOST_FACES:
        raise NoShapeError(f"its mesh has {len(mesh.faces):,} faces, more than {MOST_FACES:,}")
    for ending in (GLB, PLY):
        write_mesh(place.result(ending), mesh)
    notes = {
        "image": str(place.image),
        "mask": str(mask_file) if mask_file else None,
        "model": str(model_folder),
        "frame": FRAMES[model.network.frame],
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
    }
    write_json(place.result(NOTES), notes)
