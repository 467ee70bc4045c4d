"""A folder of photographs as people have it: which work and artist each file belongs to, and which mask is whose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from liftnet.collect.sources.records import SourceRecord, Sources
from liftnet.core.log import get_logger
from liftnet.core.text import printable
from liftnet.data.folders import has_picture_suffix, tell_left_out, what_it_is
from liftnet.data.layouts import Layout, below, read_layout
from liftnet.data.locations import Location
from liftnet.data.mask_names import MaskIndex, is_image_folder, is_mask_folder, nearest_picture

LOG = get_logger("collect")


def read_directory(folder: Path) -> Sources:
    """Read a folder of photographs: `artist/work/*.jpg`, `work/*.jpg`, or the photographs of one work.

    What most photographs are laid out as is what the folder is taken for; it is told in the log. A folder `images/`
    between a work and its photographs does not count. Masks lie in `masks/` beside the photographs or their folder,
    or beside each photograph (`x_mask.png`); `liftnet.data.mask_names` says how they may be called. Every other file
    gets a row that says why it was set aside; hidden files and those of systems are passed over.

    Raises:
        LiftnetError: The folder is missing, or has no photograph where one is looked for.
    """
    known = read_layout(folder)
    files, masks, layout, used = known.found.files, known.masks, known.layout, known.photographs
    finder = _Masks(folder, [path for path in files if path in masks or is_mask_folder(path.parent.name)])
    rows = [_row(layout, path, finder.mask_of(path)) for path in used]
    LOG.info(known.summary(f"{sum(row.mask is not None for row in rows)} with a mask"))
    taken = {row.mask.path for row in rows if row.mask is not None}
    taken |= {folder / path for path in used}
    aside = [path for path in files if path not in taken]
    rows += [_set_aside(layout, path, path in masks, used) for path in aside]
    rows += [_unreadable(layout, path) for path in known.found.unreadable]
    tell_left_out(folder, aside, "for the reasons in the manifest")
    return Sources("directory", folder, tuple(rows))


class _Masks:
    """The masks of a folder of photographs, by the folder they lie in."""

    def __init__(self, folder: Path, masks: Sequence[Path]) -> None:
        inside: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
        for path in masks:
            if has_picture_suffix(path):
                place = below(folder, path)
                inside[place.parent].append(place)
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


def _row(layout: Layout, path: PurePosixPath, mask: PurePosixPath | None) -> SourceRecord:
    artist, work = layout.artist_and_work(path)
    place = Location(printable(mask), layout.folder / mask) if mask else None
    return SourceRecord(artist, work, Location(printable(path), layout.folder / path), place, "directory")


def _set_aside(layout: Layout, file: Path, is_mask: bool, photographs: Sequence[PurePosixPath]) -> SourceRecord:
    path = below(layout.folder, file)
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
        problem = "set_aside", f"images are looked for in {layout.place} only"
    return SourceRecord(artist, work, Location(printable(path), file), source="directory", problem=problem)


def _unreadable(layout: Layout, folder: Path) -> SourceRecord:
    path = below(layout.folder, folder)
    problem = "unreadable_file", "the folder cannot be read, nor what is in it; check its permissions"
    return SourceRecord(None, None, Location(printable(path), folder), source="directory", problem=problem)
