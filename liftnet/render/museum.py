"""Write the synthetic museum: photographs, some manual masks, the truth, and last of all the list of sources."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, remove, write_bytes, write_json, write_text, writing_error
from liftnet.core.ids import slug, stable_fraction
from liftnet.core.log import get_logger
from liftnet.core.opening import read_bytes
from liftnet.core.parallel import map_threads
from liftnet.data.masks import write_mask
from liftnet.data.pictures import write_image
from liftnet.data.schemas import TRUTH, write_table
from liftnet.data.truth import save_truth
from liftnet.render.artists import Work, plan_works
from liftnet.render.settings import MuseumSettings

LOG = get_logger("render")
VERSION = 1  # raised when the same settings give other pictures
COLUMNS = ("artist", "work", "image", "mask", "license", "attribution", "source")
LICENSE = "CC0-1.0"
FOLDERS = ("images", "masks", "truth")
Masks = dict[tuple[str, int], str]


@dataclass(frozen=True)
class Museum:
    """Where a museum lies and what it is to hold."""

    folder: Path
    settings: MuseumSettings
    seed: int

    def works(self) -> list[Work]:
        """All works, by artist."""
        return plan_works(self.settings.artists, self.settings.works_per_artist, self.seed)

    def stem(self, work: Work, view: int) -> str:
        """Path of a view below images/, masks/ or truth/, without suffix."""
        return f"{slug(work.artist)}/{slug(work.title)}/{view + 1:02d}"

    def image(self, work: Work, view: int) -> str:
        """Path of a photograph below the museum."""
        return f"images/{self.stem(work, view)}.jpg"

    def masks(self, works: list[Work]) -> Masks:
        """Path of the manual mask of every view that has one, by (work_id, view).

        They are the first of a random order of each artist's views, so that the fraction holds for every artist.
        """
        by_artist: dict[str, list[tuple[Work, int]]] = {}
        for work in works:
            views = range(self.settings.views_per_work)
            by_artist.setdefault(work.artist, []).extend((work, i) for i in views)
        masks = {}
        for own in by_artist.values():
            own.sort(key=lambda view: stable_fraction(f"{view[0].work_id}/{view[1]}", "mask"))
            for work, i in own[: round(self.settings.manual_mask_fraction * len(own))]:
                masks[work.work_id, i] = f"masks/{self.stem(work, i)}.png"
        return masks

    def truth(self, work: Work, view: int) -> str:
        """Path of the truth of a view below the museum."""
        return f"truth/{self.stem(work, view)}.npz"

    def record(self) -> dict[str, Any]:
        """What the pictures depend on, as kept in museum.json."""
        return {"version": VERSION, "seed": self.seed, "settings": self.settings.model_dump()}


def render_museum(folder: Path, settings: MuseumSettings, seed: int, threads: int) -> Path:
    """Render the museum into `folder`; what is there already is kept.

    Args:
        folder: Where to write; new, empty or a museum of before.
        settings: What the museum holds.
        seed: Seed of everything random.
        threads: Number of works rendered at a time; the pictures do not depend on it.

    Returns:
        The source list, `folder/sources.csv`.

    Raises:
        LiftnetError: The folder holds something else, or cannot be written.
    """
    museum = Museum(Path(folder), settings, seed)
    sources = museum.folder / "sources.csv"
    _prepare(museum)
    works = museum.works()
    total = len(works) * settings.views_per_work
    masks = museum.masks(works)
    pending = [work for work in works if _missing(museum, work, masks)]
    if not pending and sources.exists() and (museum.folder / "truth.parquet").exists():
        LOG.info("nothing to do: the museum of %d views is complete in %s", total, museum.folder)
        return sources
    sources.unlink(missing_ok=True)
    if len(pending) < len(works):
        LOG.info("going on: %d of %d works are complete", len(works) - len(pending), len(works))
    counts = list(map_threads(lambda work: _render_work(museum, work, masks), pending, threads, "render", "works"))
    write_table(museum.folder / "truth.parquet", _truth_rows(museum, works), TRUTH)
    rows = list(_source_rows(museum, works, masks))
    if settings.faults:
        rows += _faults(museum, rows)
    _write_sources(sources, rows)
    LOG.info(
        "%d views of %d works by %d artists (%d rendered now), %d with a mask, %d rows: %s",
        *(total, len(works), settings.artists, sum(counts), len(masks), len(rows), sources),
    )
    return sources


def _prepare(museum: Museum) -> None:
    """Keep what fits the settings, remove a museum of other settings, refuse a folder that is something else."""
    record = museum.folder / "museum.json"
    try:
        if record.exists():
            if read_json(record) == museum.record():
                return
            LOG.info("the settings changed: rendering the museum anew")
            for name in ("sources.csv", "truth.parquet", "museum.json"):
                (museum.folder / name).unlink(missing_ok=True)
            for name in FOLDERS:
                remove(museum.folder / name)
        elif museum.folder.is_dir() and any((museum.folder / name).exists() for name in (*FOLDERS, "sources.csv")):
            raise LiftnetError(
                museum.folder, "holds images that are not of a museum", "Choose a new folder with --out"
            )
    except OSError as error:
        raise writing_error(museum.folder, error) from error
    write_json(record, museum.record())


def _missing(museum: Museum, work: Work, masks: Masks) -> list[int]:
    """The views of a work whose photograph, truth or mask is not on disk."""
    missing = []
    for i in range(museum.settings.views_per_work):
        needed = [museum.image(work, i), museum.truth(work, i)]
        if (work.work_id, i) in masks:
            needed.append(masks[work.work_id, i])
        if not all((museum.folder / path).exists() for path in needed):
            missing.append(i)
    return missing


def _render_work(museum: Museum, work: Work, masks: Masks) -> int:
    """Make a sculpture and take the views of it that are missing; returns their number."""
    import numpy as np

    from liftnet.core.ids import stable_seed
    from liftnet.mesh.isosurface import mesh_field
    from liftnet.mesh.mesh import stand
    from liftnet.render.materials import MATERIALS
    from liftnet.render.ray_caster import photograph
    from liftnet.render.scene import make_places
    from liftnet.render.viewpoints import plan_views

    settings = museum.settings
    missing = _missing(museum, work, masks)
    mesh = stand(mesh_field(work.shape(), settings.mesh_resolution, up="z"))
    material = MATERIALS[work.material](np.random.default_rng(stable_seed(work.seed, "texture")))
    views = plan_views(mesh.vertices, settings.views_per_work, settings.image_size, settings.azimuth_span, work.seed)
    places = make_places(mesh, {views[i].place for i in missing}, work.seed)
    for i in missing:
        image, truth = photograph(places[views[i].place], material, views[i])
        save_truth(museum.folder / museum.truth(work, i), truth)
        mask = masks.get((work.work_id, i))
        if mask is not None:
            write_mask(museum.folder / mask, truth.mask)
        write_image(museum.folder / museum.image(work, i), image, settings.jpeg_quality)
    LOG.debug("%s: %d views of %r in %s", work.work_id, len(missing), mesh, work.material)
    return len(missing)


def _truth_rows(museum: Museum, works: list[Work]) -> Iterator[dict[str, str]]:
    for work in works:
        for i in range(museum.settings.views_per_work):
            yield {
                "image_url": museum.image(work, i),
                "artist_id": work.artist_id,
                "work_id": work.work_id,
                "truth": museum.truth(work, i),
            }


def _source_rows(museum: Museum, works: list[Work], masks: Masks) -> Iterator[dict[str, str]]:
    for work in works:
        for i in range(museum.settings.views_per_work):
            yield {
                "artist": work.artist,
                "work": work.title,
                "image": museum.image(work, i),
                "mask": masks.get((work.work_id, i), ""),
                "license": LICENSE,
                "attribution": f"{work.artist} (invented), rendered by liftnet",
                "source": "museum",
            }


def _faults(museum: Museum, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of what the real web has too, and their files.

    A picture again under another name, a dead link, a page named as a picture, and a picture cut off in the middle.
    """
    picked = [rows[int(stable_fraction(name, "trouble") * len(rows))] for name in ("copy", "dead", "page", "cut")]
    where = [str(Path(row["image"]).parent) for row in picked]
    data = {
        f"{where[0]}/copy.jpg": read_bytes(museum.folder / picked[0]["image"]),
        f"{where[2]}/page.jpg": b"<!DOCTYPE html>\n<html><body><h1>This picture has moved</h1></body></html>\n",
        f"{where[3]}/cut.jpg": read_bytes(museum.folder / picked[3]["image"])[:9000],
    }
    for path, content in data.items():
        write_bytes(museum.folder / path, content)
    images = [f"{where[0]}/copy.jpg", f"{where[1]}/gone.jpg", f"{where[2]}/page.jpg", f"{where[3]}/cut.jpg"]
    return [{**row, "image": image, "mask": ""} for row, image in zip(picked, images, strict=True)]


def _write_sources(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
