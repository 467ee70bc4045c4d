"""Learning the vocabulary from a folder of meshes, and its card."""

from __future__ import annotations

from pathlib import Path

from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.types import FloatArray
from liftnet.models.card import Card, paragraph
from liftnet.shape.collection import LabelledMesh, labelled_meshes, read_or_none
from liftnet.shape.shape_google.settings import ShapeGoogleSettings
from liftnet.shape.shape_google.vocabulary import Vocabulary, cluster_words, drawn_signatures

VOCABULARY = "vocabulary.safetensors"


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
    vocabulary.save(model / VOCABULARY)
    _card(vocabulary, sorted({shape.label for shape in shapes}), seed).write(model)
    get_logger("drkfs").info("%d words of %d shapes: %s", len(vocabulary.words), len(shapes), model)
    return vocabulary


def _card(vocabulary: Vocabulary, classes: list[str], seed: int) -> Card:
    settings = vocabulary.settings
    what = f"""{len(vocabulary.words)} words for the bags of features of Bronstein et al., Shape Google (TOG 2011): the
        centres of k-means over heat kernel signatures of {vocabulary.shapes} shapes (those of the split train); seed
        {seed}."""
    facts = [
        f"Classes: {', '.join(classes)}.",
        f"Signature: {settings.times} times from {settings.first_time:g} to {settings.last_time:g} in units of the "
        f"shape's area, from {settings.eigenpairs} eigenfunctions of the Laplacian on {settings.points} points drawn "
        "from the surface.",
        f"Width of a word: sigma = {vocabulary.sigma:.4g}, {settings.softness:g} times the median radius of the "
        "clusters.",
        f"`{VOCABULARY}` holds `words`, `sigma` and, in its metadata, these settings; descriptors of two shapes can "
        "be compared where both come from one vocabulary.",
    ]
    return Card(
        title="Geometric words of Shape Google",
        licence="other",
        tags=("3d-shape-retrieval", "shape-google"),
        summary=paragraph(what),
        data="\n".join(f"- {fact}" for fact in facts),
    )
