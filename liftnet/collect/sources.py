"""The lists of what to collect: a CSV file, a folder of photographs, or the demo museum."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from liftnet.collect.formats import EXTENSIONS
from liftnet.io.errors import LiftnetError
from liftnet.io.log import get_logger

LOGGER = get_logger("collect")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_COLUMNS = frozenset(
    {"artist", "work", "url", "image", "mask", "license", "attribution", "page_url", "license_url", "source"}
)


@dataclass(frozen=True)
class Place:
    """Where a file is.

    Attributes:
        asked: As the source list says it: a URL, or a path.
        path: The local file; None for a URL.
    """

    asked: str
    path: Path | None = None

    @property
    def version(self) -> str:
        """Changes when a local file changes; empty for a URL or a missing file."""
        if self.path is None:
            return ""
        try:
            state = self.path.stat()
        except OSError:
            return ""
        return f"{state.st_size}-{state.st_mtime_ns}"


@dataclass(frozen=True)
class Wanted:
    """One row of a source list.

    Attributes:
        image: The image asked for.
        mask: Its hand-made mask, if the source names one.
        problem: (status, reason) of a row that cannot be fetched at all.
    """

    artist: str | None
    work: str | None
    image: Place
    mask: Place | None = None
    source: str = ""
    page_url: str | None = None
    license: str | None = None
    license_url: str | None = None
    attribution: str | None = None
    problem: tuple[str, str] | None = None
    mask_problem: tuple[str, str] | None = None
    source_id: str | None = None
    credit: str | None = None
    artist_wikidata: str | None = None
    artist_died: int | None = None
    work_wikidata: str | None = None
    work_rights: str | None = None
    expected_bytes: int | None = None


@dataclass(frozen=True)
class Sources:
    """Everything to collect.

    Attributes:
        kind: "csv", "directory" or "museum".
        origin: The file or folder it was read from.
        rows: In the order of the list.
    """

    kind: str
    origin: Path
    rows: tuple[Wanted, ...]

    def __repr__(self) -> str:
        artists = {row.artist for row in self.rows}
        return f"Sources({self.kind} {self.origin}: {len(self.rows)} images by {len(artists)} artists)"


def read_csv(path: Path) -> Sources:
    """Read a CSV file of images; its relative paths are relative to its folder.

    Columns: artist, work, url or image, and optionally mask, license, attribution, page_url, license_url, source.

    Raises:
        LiftnetError: The file is missing, not UTF-8, not CSV, empty, or lacks a column.
    """
    return Sources("csv", path, tuple(_wanted(row, path.parent, "csv") for row in _read_rows(path)))


def read_museum(folder: Path) -> Sources:
    """Read a museum's sources.csv; its paths must stay below the folder, since they are served over HTTP.

    Raises:
        LiftnetError: As for `read_csv`.
    """
    rows = tuple(_wanted(row, folder, "museum") for row in _read_rows(folder / "sources.csv"))
    return Sources("museum", folder, rows)


def read_directory(folder: Path) -> Sources:
    """Read a folder of `artist/work/*.jpg` (png, webp, tif), masks in `artist/work/masks/<same name>.png`.

    Every other file gets a row that says why it was set aside; hidden files are passed over.

    Raises:
        LiftnetError: The folder is missing or has no file at all.
    """
    if not folder.is_dir():
        raise LiftnetError(folder, "is not a folder", "Give a folder that holds artist/work/*.jpg")
    paths = sorted(_files_below(folder))
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


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            _check_header(path, header)
            rows = [_as_dict(header, cells, reader.line_num) for cells in reader if any(map(str.strip, cells))]
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise LiftnetError(path, "does not exist", "Give the path of a CSV file of sources") from error
    except UnicodeDecodeError as error:
        raise LiftnetError(path, f"is not UTF-8 text ({error.reason})", "Save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise LiftnetError(path, f"is not valid CSV (line {reader.line_num}: {error})", "Mend that line") from error
    except OSError as error:
        raise LiftnetError(path, f"cannot be read ({error.strerror})", "Check its permissions") from error
    if not rows:
        raise LiftnetError(path, "has no rows below its header", "Add a row for each image")
    return rows


def _check_header(path: Path, header: list[str]) -> None:
    found = ", ".join(header) or "nothing"
    lacking = [name for name in ("artist", "work") if name not in header]
    if "url" not in header and "image" not in header:
        lacking.append("url (or image)")
    if lacking:
        hint = "Its cells must be divided by commas" if ";" in found else "Name the columns in its first line"
        raise LiftnetError(path, f"lacks the column {', '.join(lacking)}; its first line has: {found}", hint)
    twice = next((name for name in _COLUMNS if header.count(name) > 1), None)
    if twice:
        raise LiftnetError(path, f"has the column {twice} twice", "Remove one of them")
    extra = [name for name in header if name not in _COLUMNS]
    if extra:
        LOGGER.info("%s: columns not used: %s", path, ", ".join(extra))


def _as_dict(header: list[str], cells: list[str], line: int) -> dict[str, str]:
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name in _COLUMNS}
    if len(cells) > len(header):
        row["problem"] = f"line {line} has {len(cells)} cells, the header {len(header)}; quote cells with commas"
    return row


def _wanted(row: dict[str, str], folder: Path, kind: str) -> Wanted:
    strict = kind == "museum"
    image, image_problem = _place(row.get("url") or row.get("image") or "", folder, strict)
    mask, mask_problem = _place(row["mask"], folder, strict) if row.get("mask") else (None, None)
    artist, work = _name(row.get("artist")), _name(row.get("work"))
    if "problem" in row:
        image_problem = "bad_row", row["problem"]
    elif artist is None or work is None or not image.asked:
        missing = "artist" if artist is None else "work" if work is None else "url or image path"
        image_problem = "bad_row", f"the row has no {missing}"
    return Wanted(
        artist,
        work,
        image,
        mask,
        row.get("source") or kind,
        row.get("page_url") or None,
        row.get("license") or None,
        row.get("license_url") or None,
        row.get("attribution") or None,
        image_problem,
        mask_problem,
    )


def _place(asked: str, folder: Path, strict: bool) -> tuple[Place, tuple[str, str] | None]:
    if _SCHEME.match(asked) and not strict:
        return Place(asked), None
    path = PurePosixPath(asked)
    if strict and (path.is_absolute() or ".." in path.parts or _SCHEME.match(asked) or "\\" in asked):
        return Place(asked), ("path_refused", "the path must be relative and stay below the museum's folder")
    if "\0" in asked:
        return Place(asked), ("bad_row", "the path has a NUL character")
    return Place(asked, folder / asked), None


def _name(text: str | None) -> str | None:
    """One spelling of a name: single spaces, composed letters (macOS stores ä as a and two dots)."""
    return unicodedata.normalize("NFC", " ".join(_printable(text or "").split())) or None


def _printable(text: object) -> str:
    """Names of files may hold bytes that are no text; a table may not."""
    return str(text).encode("utf-8", "replace").decode()


def _files_below(folder: Path) -> Iterator[PurePosixPath]:
    hidden = 0
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(root) in seen:  # a link back up
            folders.clear()
            continue
        seen.add(os.path.realpath(root))
        hidden += sum(name.startswith(".") for name in (*folders, *names))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = PurePosixPath(Path(root).relative_to(folder).as_posix())
        yield from (below / name for name in names if not name.startswith("."))
    if hidden:
        LOGGER.info("%s: %d hidden files or folders passed over", folder, hidden)


def _is_image(path: PurePosixPath) -> bool:
    return len(path.parts) == 3 and path.suffix.lower() in EXTENSIONS


def _in_folder(folder: Path, path: PurePosixPath, mask: PurePosixPath | None) -> Wanted:
    artist, work, _ = path.parts
    mask_place = Place(_printable(mask), folder / mask) if mask else None
    return Wanted(_name(artist), _name(work), Place(_printable(path), folder / path), mask_place, "directory")


def _set_aside(folder: Path, path: PurePosixPath) -> Wanted:
    artist = _name(path.parts[0]) if len(path.parts) > 2 else None
    work = _name(path.parts[1]) if len(path.parts) > 2 else None
    if len(path.parts) == 3:
        problem = "unsupported_format", f"files ending in {path.suffix or 'nothing'} are not images that are read"
    elif len(path.parts) == 4 and path.parts[2] == "masks":
        problem = "set_aside", "a mask without an image of its name (masks/<image name>.png)"
    else:
        problem = "set_aside", "images are looked for in artist/work/ only"
    return Wanted(artist, work, Place(_printable(path), folder / path), source="directory", problem=problem)
