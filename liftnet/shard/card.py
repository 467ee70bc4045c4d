"""The dataset card: what is in it, how to read it, under which licences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from liftnet.io.dataset import SPLITS
from liftnet.io.files import write_text
from liftnet.io.schemas import COORDINATE_SCALE, DATASET, SCHEMA_VERSION
from liftnet.io.tables import markdown_table
from liftnet.shard.statistics import CAPTION, Tally, statistics_table

COLUMNS = {
    "pair_id": "`image_a` and `image_b`, joined by a hyphen; rows are sorted by it",
    "work_id": "the sculpture",
    "artist_id": "its artist; no artist is in two splits",
    "image_a": "first image, 16 hexadecimal digits of the SHA-256 of its file",
    "image_b": "second image",
    "width_a": "width of the first image, px",
    "height_a": "height of the first image, px",
    "width_b": "width of the second image, px",
    "height_b": "height of the second image, px",
    "n": "number of correspondences",
    "x1": "x in the first image, 1/{scale} px",
    "y1": "y in the first image, 1/{scale} px",
    "x2": "x in the second image, 1/{scale} px",
    "y2": "y in the second image, 1/{scale} px",
    "score": "255 times the score of the match (1 minus the ratio of descriptor distances)",
    "n_putative": "putative matches of the pair",
    "n_masked": "of these, on the foreground of both images",
    "n_inliers": "of these, inliers of the fundamental matrix",
    "rotation_deg": "angle between the two cameras, degrees; null where a focal length is not known",
}


def write_card(
    folder: Path, tallies: dict[str, Tally], manifest: pa.Table, with_images: bool, missing: list[str]
) -> None:
    """Write `README.md`, with the metadata block that dataset hubs read.

    Args:
        folder: The dataset.
        tallies: Of each split and of all.
        manifest: The licences are counted from its stored images.
        with_images: Whether there are image shards.
        missing: Images that should be in the image shards but have no file.
    """
    parts = [
        _front_matter(with_images),
        "# Correspondences between photographs of sculptures\n",
        "Pairs of photographs of one sculpture with point correspondences that survived the foreground masks and an "
        "affine fundamental matrix fitted by RANSAC. Made by liftnet; splits are by artist.\n",
        "## Statistics\n\n" + CAPTION + "\n",
        _markdown_statistics(tallies) + "\n",
        "## Columns of `<split>-*.parquet`\n",
        _markdown_columns() + "\n",
        _conventions(),
        _images(with_images, missing),
        "## Licences of the images\n",
        _licences(manifest) + "\n",
        "Every image keeps its own licence and attribution; the manifest, and the columns `license`, `license_url` "
        "and `attribution` of the image shards, name them. The sculptures themselves may be protected too.\n",
    ]
    write_text(folder / "README.md", "\n".join(part for part in parts if part))


def _front_matter(with_images: bool) -> str:
    lines = ["---", "license: other", "task_categories:", "- depth-estimation", "configs:"]
    for name, prefix in [("pairs", "")] + ([("images", "images-")] if with_images else []):
        lines += [f"- config_name: {name}", *(["  default: true"] if not prefix else []), "  data_files:"]
        for split in SPLITS:
            hub_name = "validation" if split == "val" else split
            lines += [f"  - split: {hub_name}", f"    path: {prefix}{split}-*.parquet"]
    return "\n".join([*lines, "---", ""])


def _markdown_statistics(tallies: dict[str, Tally]) -> str:
    frame = statistics_table(tallies)
    return markdown_table(frame.map(lambda v: "" if v is None else f"{v:,.1f}" if isinstance(v, float) else str(v)))


def _markdown_columns() -> str:
    rows = [
        f"| `{field.name}` | {field.type} | {COLUMNS[field.name].format(scale=COORDINATE_SCALE)} |"
        for field in DATASET
    ]
    return "\n".join(["| column | type | meaning |", "| --- | --- | --- |", *rows])


def _conventions() -> str:
    return f"""## Conventions

- Pixels: x right, y down; (0, 0) is the centre of the top-left pixel of the stored image, whose EXIF orientation is
  baked in. Coordinates are fixed-point: divide by {COORDINATE_SCALE} (also in the file metadata as
  `liftnet.coordinate_scale`) to get pixels, with an error of at most 1/{2 * COORDINATE_SCALE} px.
- Table version {SCHEMA_VERSION} (`liftnet.schema_version` in the file metadata).

```python
from liftnet.shard import load_pair, read_pairs

for pair in read_pairs("dataset", "train"):  # float32 pixels
    print(pair, pair.points_a.shape)
```
"""


def _images(with_images: bool, missing: list[str]) -> str:
    if not with_images:
        return ""
    lost = f" Left out because their file was missing: {len(missing)}." if missing else ""
    return (
        "## Images\n\n`images-<split>-*.parquet` hold one row a stored image: the columns of the manifest, and "
        f"`image`, a struct of the JPEG's bytes and its file name.{lost}\n"
    )


def _licences(manifest: pa.Table) -> str:
    stored = manifest.filter(pc.equal(manifest.column("status"), "ok"))
    counts = Counter(_plain(name) for name in stored.column("license").to_pylist())
    rows = [f"| {name} | {count} |" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return "\n".join(["| licence | images |", "| --- | --- |", *rows])


def _plain(name: str | None) -> str:
    """A name from the web, fit for one cell of a Markdown table."""
    kept = "".join(c for c in " ".join((name or "").split()) if c.isalnum() or c in " .,-+/():_")
    return kept[:80] or "not stated"
