"""A folder of photographs as a source list."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from liftnet.collect.sources.records import Location, SourceRecord, Sources, name, printable
from liftnet.core.errors import LiftnetError
from liftnet.data.folders import files_below, has_picture_suffix


def read_directory(folder: Path) -> Sources:
    """Read a folder of `artist/work/*.jpg` (png, webp, tif), masks in `artist/work/masks/<same name>.png`.

    Every other file gets a row that says why it was set aside; hidden files are skipped.

    Raises:
        LiftnetError: The folder is missing or has no file at all.
    """
    if not folder.is_dir():
        raise LiftnetError(folder, "is not a folder", "Give a folder that holds artist/work/*.jpg")
    paths = [PurePosixPath(path.relative_to(folder).as_posix()) for path in files_below(folder)]
    if not paths:
        raise LiftnetError(folder, "holds no files", "Put photographs in artist/work/*.jpg below it")
    present = set(paths)
    used: set[PurePosixPath] = set()
    rows = []
    for path in paths:
        if _is_image(path):
            mask = path.parent / "masks" / f"{path.stem}.png"
            used |= {mask} & present
            rows.append(_in_folder(folder, path, mask if mask in present else None))
    rows += [_set_aside(folder, path) for path in paths if not _is_image(path) and path not in used]
    return Sources("directory", folder, tuple(rows))


def _is_image(path: PurePosixPath) -> bool:
    return len(path.parts) == 3 and has_picture_suffix(path)


def _in_folder(folder: Path, path: PurePosixPath, mask: PurePosixPath | None) -> SourceRecord:
    artist, work, _ = path.parts
    mask_place = Location(printable(mask), folder / mask) if mask else None
    return SourceRecord(name(artist), name(work), Location(printable(path), folder / path), mask_place, "directory")


def _set_aside(folder: Path, path: PurePosixPath) -> SourceRecord:
    artist = name(path.parts[0]) if len(path.parts) > 2 else None
    work = name(path.parts[1]) if len(path.parts) > 2 else None
    if len(path.parts) == 3:
        problem = "unsupported_format", f"files ending in {path.suffix or 'nothing'} are not images that are read"
    elif len(path.parts) == 4 and path.parts[2] == "masks":
        problem = "set_aside", "a mask without an image of its name (masks/<image name>.png)"
    else:
        problem = "set_aside", "images are looked for in artist/work/ only"
    return SourceRecord(artist, work, Location(printable(path), folder / path), source="directory", problem=problem)
