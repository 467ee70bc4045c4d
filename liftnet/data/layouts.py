"""How a folder of photographs is laid out: whose work a picture shows, by the folders that it lies in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from liftnet.core.errors import LiftnetError
from liftnet.core.text import name, printable, spelt
from liftnet.core.walking import Walk, walk
from liftnet.data.folders import has_picture_suffix, masks_among
from liftnet.data.mask_folders import image_folders, mask_folders
from liftnet.data.mask_names import is_image_folder

UNKNOWN = "Unknown"  # one artist for all, so that their works stay in one split
UNTITLED = "Untitled"
_LAYOUTS = (  # by how many folders deep photographs lie: where that is, and what it is taken for
    ("", "a flat folder: one work by an unknown artist"),
    ("work/", "work/*: works by an unknown artist"),
    ("artist/work/", "artist/work/*"),
)
_ASKED = "Put photographs in artist/work/*.jpg below it, in work/*.jpg, or all of one work into the folder itself"


@dataclass(frozen=True)
class Layout:
    """How a folder is laid out.

    Attributes:
        folder: The folder.
        depth: How many folders deep its photographs lie, those of `images` not counted.
        images: Folders below it that only hold the photographs of the folder above.
    """

    folder: Path
    depth: int
    images: frozenset[PurePosixPath] = frozenset()

    @property
    def place(self) -> str:
        """Where photographs are looked for: `artist/work/`."""
        return _LAYOUTS[self.depth][0] or "the folder itself"

    @property
    def meaning(self) -> str:
        """What the folder is taken for, in words."""
        return _LAYOUTS[self.depth][1]

    def holds(self, path: PurePosixPath) -> bool:
        """Whether a file lies where photographs are looked for."""
        return len(_folders(path, self.images)) == self.depth

    def artist_and_work(self, path: PurePosixPath) -> tuple[str | None, str | None]:
        """Whose work a file belongs to; None where it lies too high for that."""
        folders = _folders(path, self.images)
        if self.depth == 2:
            return (_named(folders[0], UNKNOWN), _named(folders[1])) if len(folders) >= 2 else (None, None)
        if len(folders) < self.depth:
            return None, None
        own = self.folder.resolve()
        own = own.parent if is_image_folder(own.name) else own
        return UNKNOWN, _named(folders[0] if self.depth == 1 else own.name)


def _named(folder: str, otherwise: str = UNTITLED) -> str:
    """The name that a folder gives; a blank gives none."""
    return name(spelt(folder)) or otherwise


@dataclass(frozen=True)
class PhotographFolder:
    """What a folder of photographs is taken for, by the names of its files.

    Attributes:
        found: All that lies below it.
        masks: Pictures that are masks of others.
        mask_folders: Folders of masks.
        photographs: Pictures that lie where the layout looks for them, below the folder.
        layout: The layout of most of its pictures.
    """

    found: Walk
    masks: set[Path]
    mask_folders: set[Path]
    photographs: list[PurePosixPath]
    layout: Layout

    def summary(self, masks: str) -> str:
        """What it is taken for, and how much is in it.

        Args:
            masks: Words that say how many masks there are.
        """
        works = {self.layout.artist_and_work(path) for path in self.photographs}
        artists = len({artist for artist, _ in works})
        counts = f"{len(self.photographs)} photographs of {len(works)} works by {artists} artists, {masks}"
        return f"{printable(self.layout.folder)}: taken as {self.layout.meaning}: {counts}"


def read_layout(folder: Path) -> PhotographFolder:
    """What a folder is taken for: what most of its photographs are laid out as.

    They lie in `artist/work/*.jpg`, in `work/*.jpg`, or all of one work in the folder itself. Folders that only hold
    the photographs of the folder above, such as `images/`, do not count.

    Raises:
        LiftnetError: The folder is missing, or has no photograph where one is looked for.
    """
    if not folder.is_dir():
        raise LiftnetError(folder, "is not a folder", "Give a folder that holds artist/work/*.jpg")
    found = walk(folder)
    if not found.files and not found.unreadable:
        raise LiftnetError(folder, "holds no files", _ASKED)
    pictures = [path for path in found.files if has_picture_suffix(path)]
    masks, of_masks = masks_among(pictures), mask_folders(pictures)
    others = [path for path in pictures if path not in masks]
    plain = frozenset(below(folder, one) for one in image_folders(others, of_masks) if folder in one.parents)
    photographs = [below(folder, path) for path in others]
    layout = _layout(found, photographs, plain)
    used = [path for path in photographs if layout.holds(path)]
    return PhotographFolder(found, masks, of_masks, used, layout)


def below(folder: Path, path: Path) -> PurePosixPath:
    """The path of a file below a folder."""
    return PurePosixPath(path.relative_to(folder).as_posix())


def _folders(path: PurePosixPath, images: frozenset[PurePosixPath]) -> tuple[str, ...]:
    """The folders above a file, without those that only hold the images of the folder above."""
    return tuple(folder.name for folder in reversed(path.parents[:-1]) if folder not in images)


def _layout(found: Walk, photographs: Sequence[PurePosixPath], images: frozenset[PurePosixPath]) -> Layout:
    """The layout of most photographs; of two that are as frequent the deeper."""
    depths = Counter(len(_folders(path, images)) for path in photographs)
    known = [depth for depth in range(len(_LAYOUTS)) if depths[depth]]
    if known:
        return Layout(found.folder, max(known, key=lambda depth: (depths[depth], depth)), images)
    if photographs:
        reason = f"holds {len(photographs)} photographs, all of them too deep: {printable(photographs[0])}"
        raise LiftnetError(printable(found.folder), reason, "Name the folder in which the artists' folders lie")
    endings = Counter(path.suffix.lower() or "no ending" for path in found.files)
    told = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(8))
    closed = f" and {len(found.unreadable)} folders that cannot be read" if found.unreadable else ""
    raise LiftnetError(printable(found.folder), f"holds no photographs: {told or 'no files'}{closed}", _ASKED)
