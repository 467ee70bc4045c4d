"""A folder of photographs as people have it: which work and artist each file belongs to, and which mask is whose."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from liftnet.collect.sources.records import Location, SourceRecord, Sources, name
from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.text import printable
from liftnet.data.folders import has_picture_suffix, masks_among, tell_left_out, walk, what_it_is
from liftnet.data.mask_names import MaskIndex, is_image_folder, is_mask_folder, nearest_picture

LOG = get_logger("collect")
UNKNOWN = "Unknown"  # one artist for all, so that their works stay in one split
_LAYOUTS = (  # by how many folders deep photographs lie: where that is, and what it is taken for
    ("", "a flat folder: one work by an unknown artist"),
    ("work/", "work/*: works by an unknown artist"),
    ("artist/work/", "artist/work/*"),
)
_ASKED = "Put photographs in artist/work/*.jpg below it, in work/*.jpg, or all of one work into the folder itself"


@dataclass(frozen=True)
class _Layout:
    """How a folder is laid out.

    Attributes:
        folder: The folder.
        depth: How many folders deep its photographs lie, folders called images/ not counted.
    """

    folder: Path
    depth: int

    def holds(self, path: PurePosixPath) -> bool:
        """Whether a file lies where photographs are looked for."""
        return len(_folders(path)) == self.depth

    def artist_and_work(self, path: PurePosixPath) -> tuple[str | None, str | None]:
        """Whose work a file belongs to; None where it lies too high for that."""
        folders = _folders(path)
        if self.depth == 2:
            return (name(folders[0]), name(folders[1])) if len(folders) >= 2 else (None, None)
        if len(folders) < self.depth:
            return None, None
        own = self.folder.resolve()
        own = own.parent if is_image_folder(own.name) else own
        return UNKNOWN, name(folders[0] if self.depth == 1 else own.name)


def read_directory(folder: Path) -> Sources:
    """Read a folder of photographs: `artist/work/*.jpg`, `work/*.jpg`, or the photographs of one work.

    What most photographs are laid out as is what the folder is taken for; it is told in the log. A folder `images/`
    between a work and its photographs does not count. Masks lie in `masks/` beside the photographs or their folder,
    or beside each photograph (`x_mask.png`); `liftnet.data.mask_names` says how they may be called. Every other file
    gets a row that says why it was set aside; hidden files and those of systems are passed over.

    Raises:
        LiftnetError: The folder is missing, or has no photograph where one is looked for.
    """
    if not folder.is_dir():
        raise LiftnetError(folder, "is not a folder", "Give a folder that holds artist/work/*.jpg")
    found = walk(folder)
    if not found.files and not found.unreadable:
        raise LiftnetError(folder, "holds no files", _ASKED)
    pictures = [path for path in found.files if has_picture_suffix(path)]
    masks = masks_among(pictures)
    photographs = [_below(folder, path) for path in pictures if path not in masks]
    layout = _layout(folder, photographs, found.files, found.unreadable)
    used = [path for path in photographs if layout.holds(path)]
    finder = _Masks(folder, [path for path in found.files if path in masks or is_mask_folder(path.parent.name)])
    rows = [_row(layout, path, finder.mask_of(path)) for path in used]
    taken = {row.mask.path for row in rows if row.mask is not None}
    aside = [path for path in found.files if _below(folder, path) not in set(used) and path not in taken]
    rows += [_set_aside(layout, path, path in masks, used) for path in aside]
    rows += [_unreadable(layout, path) for path in found.unreadable]
    _tell(layout, rows[: len(used)], aside)
    return Sources("directory", folder, tuple(rows))


def _below(folder: Path, path: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(folder).as_posix())


def _folders(path: PurePosixPath) -> tuple[str, ...]:
    """The folders above a file, without one that only holds the images of the folder above."""
    folders = path.parts[:-1]
    return folders[:-1] if folders and is_image_folder(folders[-1]) else folders


def _layout(
    folder: Path, photographs: Sequence[PurePosixPath], files: Sequence[Path], unreadable: Sequence[Path]
) -> _Layout:
    """The layout of most photographs; of two that are as frequent the deeper."""
    depths = Counter(len(_folders(path)) for path in photographs)
    known = [depth for depth in range(len(_LAYOUTS)) if depths[depth]]
    if known:
        return _Layout(folder, max(known, key=lambda depth: (depths[depth], depth)))
    if photographs:
        reason = f"holds {len(photographs)} photographs, all of them too deep: {printable(photographs[0])}"
        raise LiftnetError(printable(folder), reason, "Name the folder in which the artists' folders lie")
    endings = Counter(path.suffix.lower() or "no ending" for path in files)
    told = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(8))
    closed = f" and {len(unreadable)} folders that cannot be read" if unreadable else ""
    raise LiftnetError(printable(folder), f"holds no photographs: {told or 'no files'}{closed}", _ASKED)


class _Masks:
    """The masks of a folder of photographs, by the folder they lie in."""

    def __init__(self, folder: Path, masks: Sequence[Path]) -> None:
        inside: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
        for path in masks:
            if has_picture_suffix(path):
                below = _below(folder, path)
                inside[below.parent].append(below)
        self._indices = {parent: MaskIndex(members) for parent, members in inside.items()}
        self.folder = folder

    def mask_of(self, path: PurePosixPath) -> PurePosixPath | None:
        """The mask of a photograph: beside it, in a folder of masks there, or in one beside its folder images/."""
        above = [path.parent, *([path.parent.parent] if is_image_folder(path.parent.name) else [])]
        for folder, index in self._indices.items():
            near = folder == path.parent or (is_mask_folder(folder.name) and folder.parent in above)
            found = index.find(path.name) if near else None
            if found is not None and found != path:
                return PurePosixPath(found)
        return None


def _row(layout: _Layout, path: PurePosixPath, mask: PurePosixPath | None) -> SourceRecord:
    artist, work = layout.artist_and_work(path)
    place = Location(printable(mask), layout.folder / mask) if mask else None
    return SourceRecord(artist, work, Location(printable(path), layout.folder / path), place, "directory")


def _set_aside(layout: _Layout, file: Path, is_mask: bool, photographs: Sequence[PurePosixPath]) -> SourceRecord:
    path = _below(layout.folder, file)
    artist, work = layout.artist_and_work(path)
    if is_mask:
        above = path.parent.parent if is_mask_folder(path.parent.name) else path.parent
        near = nearest_picture(path.name, [one for one in photographs if above in one.parents])
        hint = f"; the nearest name is {printable(near.name)}" if near is not None else ""
        problem = "set_aside", f"a mask without an image of its name (masks/<image name>.png){hint}"
    elif layout.holds(path) and not has_picture_suffix(path):
        kind = what_it_is(file)
        reason = f"files ending in {path.suffix or 'nothing'} are not images that are read{kind and f'; {kind}'}"
        problem = "unsupported_format", reason
    else:
        where = _LAYOUTS[layout.depth][0] or "the folder itself"
        problem = "set_aside", f"images are looked for in {where} only"
    return SourceRecord(artist, work, Location(printable(path), file), source="directory", problem=problem)


def _unreadable(layout: _Layout, folder: Path) -> SourceRecord:
    path = _below(layout.folder, folder)
    problem = "unreadable_file", "the folder cannot be read, nor what is in it; check its permissions"
    return SourceRecord(None, None, Location(printable(path), folder), source="directory", problem=problem)


def _tell(layout: _Layout, rows: Sequence[SourceRecord], aside: Sequence[Path]) -> None:
    works = {(row.artist, row.work) for row in rows}
    artists = len({artist for artist, _ in works})
    masks = sum(row.mask is not None for row in rows)
    folder = printable(layout.folder)
    text = "%s: taken as %s: %d photographs of %d works by %d artists, %d with a mask"
    LOG.info(text, folder, _LAYOUTS[layout.depth][1], len(rows), len(works), artists, masks)
    tell_left_out(layout.folder, aside, "for the reasons in the manifest")
