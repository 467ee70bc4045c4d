"""A folder of photographs as people have it: which work and artist each file belongs to, and which mask is whose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from liftnet.collect.sources.records import SourceRecord, Sources
from liftnet.core.log import get_logger
from liftnet.core.text import printable, spelt
from liftnet.data.folders import has_picture_suffix, tell_left_out, what_it_is
from liftnet.data.layouts import Layout, PhotographFolder, below, read_layout
from liftnet.data.locations import Location
from liftnet.data.mask_folders import MaskFinder
from liftnet.data.mask_names import image_stems, nearest_picture, stem_of

LOG = get_logger("collect")


def read_directory(folder: Path) -> Sources:
    """Read a folder of photographs: `artist/work/*.jpg`, `work/*.jpg`, or the photographs of one work.

    What most photographs are laid out as is what the folder is taken for; it is told in the log. A folder `images/`
    between a work and its photographs does not count. Masks lie in `masks/` beside the photographs or folders of them,
    or beside each photograph (`x_mask.png`); `liftnet.data.mask_folders` and `mask_names` say how. Every other file
    gets a row that says why it was set aside; hidden files and those of systems are passed over.

    Raises:
        LiftnetError: The folder is missing, or has no photograph where one is looked for.
    """
    known = read_layout(folder)
    files, masks, layout, used = known.found.files, known.masks, known.layout, known.photographs
    mask_of = MaskFinder(masks, known.mask_folders).masks_of(folder / path for path in used)
    rows = [_row(layout, path, mask_of.get(folder / path)) for path in used]
    LOG.info(known.summary(f"{sum(row.mask is not None for row in rows)} with a mask"))
    taken = {row.mask.path for row in rows if row.mask is not None}
    taken |= {folder / path for path in used}
    aside = [path for path in files if path not in taken]
    rows += [_mask_aside(known, path, used) if path in masks else _set_aside(layout, path) for path in aside]
    rows += [_unreadable(layout, path) for path in known.found.unreadable]
    tell_left_out(folder, aside, "for the reasons in the manifest")
    return Sources("directory", folder, tuple(rows))


def _row(layout: Layout, path: PurePosixPath, mask: Path | None) -> SourceRecord:
    artist, work = layout.artist_and_work(path)
    place = Location(spelt(below(layout.folder, mask)), mask) if mask else None
    return SourceRecord(artist, work, Location(spelt(path), layout.folder / path), place, "directory")


def _mask_aside(known: PhotographFolder, file: Path, photographs: Sequence[PurePosixPath]) -> SourceRecord:
    """The row of a mask that belongs to no photograph, or to one of several."""
    path = below(known.layout.folder, file)
    above = next((folder.parent for folder in file.parents if folder in known.mask_folders), file.parent)
    near = [one for one in photographs if above in (known.layout.folder / one).parents]
    same = [one for one in near if stem_of(one.name) in image_stems(path.name)]
    if len(same) > 1:
        shown = ", ".join(map(printable, same[:3]))
        reason = f"a mask that may be of {len(same)} images ({shown}); lay the masks out in folders as the images are"
    else:
        nearest = nearest_picture(path.name, near)
        hint = f"; the nearest name is {printable(nearest.name)}" if nearest is not None else ""
        reason = f"a mask without an image of its name (masks/<image name>.png){hint}"
    artist, work = known.layout.artist_and_work(path)
    return SourceRecord(artist, work, Location(spelt(path), file), source="directory", problem=("set_aside", reason))


def _set_aside(layout: Layout, file: Path) -> SourceRecord:
    path = below(layout.folder, file)
    artist, work = layout.artist_and_work(path)
    if layout.holds(path) and not has_picture_suffix(path):
        kind = what_it_is(file)
        reason = f"files ending in {path.suffix or 'nothing'} are not images that are read{kind and f'; {kind}'}"
        problem = "unsupported_format", reason
    else:
        problem = "set_aside", f"images are looked for in {layout.place} only"
    return SourceRecord(artist, work, Location(spelt(path), file), source="directory", problem=problem)


def _unreadable(layout: Layout, folder: Path) -> SourceRecord:
    path = below(layout.folder, folder)
    problem = "unreadable_file", "the folder cannot be read, nor what is in it; check its permissions"
    return SourceRecord(None, None, Location(spelt(path), folder), source="directory", problem=problem)
