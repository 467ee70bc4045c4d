"""A folder of shapes that is written shape by shape, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from liftnet.core.errors import LiftnetError
from liftnet.core.files import own_entries, read_json, remove, write_json
from liftnet.core.ids import Register, slug
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.mesh.reading import content_of

LOG = get_logger("render")
RECORD = "set.json"


@dataclass(frozen=True)
class Listed:
    """One shape of a set, before it is read or made.

    Attributes:
        shape_id: Safe in file names, the same from run to run.
        class_name: "sculpture", or a class of ShapeNet.
        split: train, val or test.
        source: Path below the folder of the set, or "generated".
        seed: Of everything random about it.
        path: Its file, of a recording its folder; None where it is generated.
        up: The axis that points up in its file.
    """

    shape_id: str
    class_name: str
    split: str
    source: str
    seed: int
    path: Path | None = field(default=None, kw_only=True)
    up: str = field(default="y", kw_only=True)

    @property
    def content(self) -> str | None:
        """What it is made of: its file's contents, and what a table says of it; None where it is generated."""
        if self.path is None:
            return None
        content = content_of_frames(self.path) if self.path.is_dir() else content_of(self.path)
        return f"{content} {self.up} {self.class_name} {self.split}"


def content_of_frames(folder: Path) -> str:
    """16 hex digits that stand for a recording: names, sizes and times of its pictures, contents of the rest."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in (".json", ".txt", ""):
            digest.update(f"{path.relative_to(folder)} {content_of(path)}\n".encode("utf-8", "surrogateescape"))
        elif path.is_file():
            stat = path.stat()
            line = f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


ListedShape = TypeVar("ListedShape", bound=Listed)


@dataclass(frozen=True)
class SetFolder:
    """Where a set lies and what it depends on.

    Attributes:
        root: The folder.
        record: What its files depend on, as kept in set.json: where it changes, all is written anew.
        per_shape: Folders whose entries are named after shapes; the first holds <shape>.json, written last of a shape.
        folders: Its other folders.
        tables: Its tables; the first of them is written last.
    """

    root: Path
    record: dict[str, Any]
    per_shape: tuple[str, ...]
    folders: tuple[str, ...]
    tables: tuple[str, ...]

    @property
    def last(self) -> Path:
        """The table that is written last."""
        return self.root / self.tables[0]

    def done(self, shape: Listed) -> Path:
        """The file that says what became of a shape; written last of it."""
        return self.root / self.per_shape[0] / f"{shape.shape_id}.json"

    def row(self, shape: Listed) -> dict[str, Any] | None:
        """What became of a shape; None where nothing has, or its file is another one since."""
        path = self.done(shape)
        row = read_json(path) if path.exists() else None
        return row if row is not None and row.get("source_content") == shape.content else None

    def prepare(self, shapes: Sequence[Listed]) -> None:
        """Keep what fits the record, remove a set of another one, refuse a folder that is something else.

        Raises:
            LiftnetError: The folder holds something else, or cannot be written.
        """
        record = self.root / RECORD
        if record.exists():
            if read_json(record) != self.record:
                LOG.info("the settings changed: rendering the set anew")
                self._remove()
        elif any((self.root / name).exists() for name in (*self.per_shape, *self.folders, *self.tables)):
            raise LiftnetError(self.root, "holds files that are no rendered set", "Name a new folder with --out")
        write_json(record, self.record)
        wanted = {shape.shape_id for shape in shapes}
        for name in self.per_shape:
            for path in own_entries(self.root, name):
                if path.name.partition(".")[0] not in wanted:
                    remove(path)
                    self.last.unlink(missing_ok=True)

    def _remove(self) -> None:
        for name in (*self.tables, RECORD, *self.per_shape, *self.folders):
            remove(self.root / name)

    def write(
        self,
        shapes: Sequence[ListedShape],
        complete: Callable[[ListedShape], bool],
        render: Callable[[ListedShape], None],
        threads: int,
    ) -> bool:
        """Render the shapes that are not complete, `threads` at a time.

        Returns:
            Whether the tables are to be written: something was rendered, or the last of them is not there.

        Raises:
            LiftnetError: Two shapes or classes have one id, or as for `prepare`.
        """
        check_names(shapes)
        self.prepare(shapes)
        pending = [shape for shape in shapes if not complete(shape)]
        if not pending and self.last.exists():
            LOG.info("nothing to do: the set of %d shapes is complete in %s", len(shapes), self.root)
            return False
        self.last.unlink(missing_ok=True)
        if len(pending) < len(shapes):
            LOG.info("going on: %d of %d shapes are complete", len(shapes) - len(pending), len(shapes))
        for _ in map_threads(render, pending, threads, "render", "shapes"):
            pass
        return True


def check_names(shapes: Iterable[Listed]) -> None:
    """Refuse two shapes, or two classes, that have one id.

    Raises:
        LiftnetError: Names both.
    """
    classes, ids = Register(), Register()
    for shape in shapes:
        classes.give(slug(shape.class_name), shape.class_name)
        ids.give(shape.shape_id, shape.source)
