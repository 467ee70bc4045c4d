"""Learning the vocabulary from a folder of meshes, and its card."""

from __future__ import annotations

from pathlib import Path

from liftnet.core.files import write_text
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.types import FloatArray
from liftnet.shape.collection import LabelledMesh, labelled_meshes, read_or_none
from liftnet.shape.shape_google.settings import ShapeGoogleSettings
from liftnet.shape.shape_google.vocabulary import Vocabulary, cluster_words, drawn_signatures

CARD = """---
library_name: liftnet
license: other
tags:
- 3d-shape-retrieval
- shape-google
---
# Geometric words of Shape Google

{words} words for the bags of features of Bronstein et al., Shape Google (TOG 2011): the centres of k-means over heat
kernel signatures of {shapes} shapes (those of the split train); seed {seed}.

- Classes: {names}.
- Signature: {times} times from {first:g} to {last:g} in units of the shape's area, from {pairs} eigenfunctions of the
  Laplacian on {points} points drawn from the surface.
- Width of a word: sigma = {sigma:.4g}, {softness:g} times the median radius of the clusters.
- `vocabulary.safetensors` holds `words`, `sigma` and, in its metadata, these settings; descriptors of two shapes
  can be compared where both come from one vocabulary.
"""


def train_vocabulary(
    meshes: Path, model: Path, settings: ShapeGoogleSettings, seed: int = 0, threads: int = 1
) -> Vocabulary:
    """Learn words from the shapes of the split train and write vocabulary.safetensors and README.md.

    Args:
        meshes: Folder of `<class>/<name>.ply`, as `render shapes` writes it.
        model: Folder that is written.
        settings: Signatures and words.
        seed: Of the points that are drawn and of the clusters.
        threads: Shapes that are described at a time; the words do not depend on it.

    Raises:
        LiftnetError: The folder cannot be used, or there are too few shapes that can be read.
    """
    shapes = [shape for shape in labelled_meshes(meshes) if shape.split == "train"]

    def signatures(shape: LabelledMesh) -> FloatArray | None:
        mesh = read_or_none(shape)
        try:
            return None if mesh is None else drawn_signatures(mesh, settings, seed)
        except (ValueError, RuntimeError) as error:  # of the Laplacian and of ARPACK
            get_logger("drkfs").warning("left out: %s has no spectrum (%s)", shape.path, error)
            return None

    found = map_threads(signatures, shapes, threads, "drkfs", "signatures of shapes")
    vocabulary = cluster_words([drawn for drawn in found if drawn is not None], settings, seed)
    vocabulary.save(model / "vocabulary.safetensors")
    text = CARD.format(
        words=len(vocabulary.words),
        shapes=vocabulary.shapes,
        names=", ".join(sorted({shape.label for shape in shapes})),
        seed=seed,
        times=settings.times,
        first=settings.first_time,
        last=settings.last_time,
        pairs=settings.eigenpairs,
        points=settings.points,
        sigma=vocabulary.sigma,
        softness=settings.softness,
    )
    write_text(model / "README.md", text)
    get_logger("drkfs").info("%d words of %d shapes: %s", len(vocabulary.words), len(shapes), model)
    return vocabulary
