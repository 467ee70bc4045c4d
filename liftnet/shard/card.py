"""The dataset card, all numbers counted from its files, and the list of who made each photograph, and its licence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import yaml

from liftnet.core.files import atomic_path, write_text
from liftnet.core.tables import csv_text, markdown_table
from liftnet.core.text import for_markdown, seen
from liftnet.data.codes import LEFT_OUT, SPLITS, ImageStatus
from liftnet.data.dataset import PREFIXES
from liftnet.data.parquet_limits import parquet_metadata
from liftnet.data.schemas import COORDINATE_SCALE, DATASET, IMAGES, LINKED, TRACKS, TRIED, open_table
from liftnet.data.shards import TRIED_FILE
from liftnet.shard.settings import ShardSettings
from liftnet.shard.statistics import CAPTION, HUB_SPLITS, DatasetSummary, statistics_table, type_name

if TYPE_CHECKING:
    from jinja2 import Environment

CARD_FILE = "README.md"
PAIR_COLUMNS = {
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
    "x1": f"x in the first image, 1/{COORDINATE_SCALE} px",
    "y1": f"y in the first image, 1/{COORDINATE_SCALE} px",
    "x2": f"x in the second image, 1/{COORDINATE_SCALE} px",
    "y2": f"y in the second image, 1/{COORDINATE_SCALE} px",
    "score": "255 times the score of the match (1 minus the ratio of descriptor distances)",
    "n_putative": "putative matches of the pair",
    "n_masked": "of these, on the foreground of both images",
    "n_inliers": "of these, inliers of the fundamental matrix",
    "n_guided": "correspondences that only the second search along the epipolar lines found",
    "guided": "whether only the second search found it; null where the pair's source does not say",
    "rotation_deg": "angle between the two cameras, degrees; null where focal lengths or points leave it open",
}
IMAGE_COLUMNS = {
    "image_id": "16 hexadecimal digits of the SHA-256 of the stored file; rows are sorted by it",
    "artist": "name of the artist",
    "artist_id": "the artist, as in the pairs",
    "artist_wikidata": "the artist's Wikidata id",
    "artist_died": "year of the artist's death",
    "work": "name of the sculpture",
    "work_id": "the sculpture, as in the pairs",
    "work_wikidata": "the sculpture's Wikidata id",
    "work_rights": "what the source says of the sculpture's own copyright",
    "source": "collection the photograph is from",
    "source_id": "its id there",
    "page_url": "page about it",
    "image_url": "address it was asked for by",
    "final_url": "address it came from, after redirects",
    "status": "`ok`: it is in the dataset",
    "reason": "the status in words",
    "http_status": "the server's answer",
    "attempts": "how often it was asked for",
    "fetched_at": "when it came",
    "bytes": "size as received",
    "mime": "type as received",
    "sha256_raw": "SHA-256 as received",
    "sha256": "SHA-256 of the stored file",
    "phash": "perceptual hash, 64 bits in hexadecimal",
    "near_image": "another image that looks much like it",
    "near_distance": "bits in which their perceptual hashes differ, least over flips and quarter turns",
    "etag": "the server's version of the file",
    "last_modified": "when the server says the file was changed",
    "opt_out": "a reservation of the server against use for training, as it sent it",
    "file": "name of the stored file",
    "width": "width of the stored image, px",
    "height": "height of the stored image, px",
    "exif_orientation": "orientation as received; the stored image is upright",
    "focal_mm": "focal length, mm",
    "focal_35mm": "focal length for 35 mm film, mm",
    "camera": "camera",
    "license": "licence as the source names it",
    "license_spdx": "the same as an SPDX identifier; null where it is not understood",
    "license_url": "text of the licence",
    "attribution": "whom to name",
    "credit": "credit line of the holding institution",
    "mask_url": "hand-made mask named by the source",
    "mask_status": "`ok`: it was fetched",
    "mask_reason": "that status in words",
    "split": "train, val or test",
    "group_id": "what must not be divided over splits",
    "image": "the JPEG: its bytes and its name",
}
TRACK_COLUMNS = {
    "track_id": "`work_id` and eight digits; rows are sorted by work and number",
    "work_id": "the sculpture",
    "artist_id": "its artist",
    "n": "number of images that show the point, at least two",
    "links": "correspondences of the pairs within the track, at least `n` - 1",
    "contradicted": "whether it was cut out of correspondences that tied several points together",
    "images": "ids of the images, ascending",
    "x": f"x in each of them, 1/{COORDINATE_SCALE} px",
    "y": f"y in each of them, 1/{COORDINATE_SCALE} px",
}
LINKED_COLUMNS = {
    **{name: meaning for name, meaning in PAIR_COLUMNS.items() if name in LINKED.names},
    "pair_id": "`image_a` and `image_b`, joined by a hyphen; rows are sorted by work and id",
    "reason": "why the pair itself was not kept, or `not_tried`",
    "n": "number of tracks that both images show",
}
PROFILES = {
    "pd-only": "photographs and sculptures in the public domain, or dedicated to it",
    "open": "photographs that may be used commercially and changed, of sculptures not known to be protected",
    "research": "photographs whose licence permits research, non-commercial and no-derivatives ones included",
}
CITATION = """@inproceedings{wiles2018pointillism,
  title     = {{3D} Surface Reconstruction by Pointillism},
  author    = {Wiles, Olivia and Zisserman, Andrew},
  booktitle = {ECCV Workshops},
  year      = {2018}
}"""
_ONE_LICENCE = {  # the hub's names of licences, where a dataset has one alone
    f"CC-{kind}-{version}": f"cc-{kind.lower()}-{version}"
    for kind, versions in {
        "BY": ("2.0", "2.5", "3.0", "4.0"),
        "BY-SA": ("3.0", "4.0"),
        "BY-NC": ("2.0", "3.0", "4.0"),
        "BY-NC-SA": ("2.0", "3.0", "4.0"),
    }.items()
    for version in versions
} | {"CC0-1.0": "cc0-1.0"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(folder: Path, summary: DatasetSummary, settings: ShardSettings, small: bool) -> None:
    """Write `README.md`, with the metadata block that dataset hubs read.

    Args:
        folder: The dataset.
        summary: Its numbers.
        settings: Its name, release, publisher and licence profile.
        small: Whether it is the small dataset of another one.
    """
    text = _templates(autoescape=False).get_template("card.md.j2").render(**_content(folder, summary, settings, small))
    write_text(folder / CARD_FILE, text.rstrip("\n") + "\n")


def _templates(autoescape: bool) -> Environment:
    """The templates of the stage; names and captions come from the web, so HTML needs `autoescape`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("liftnet", "shard"),
        autoescape=autoescape,
        finalize=seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.tests["address"] = is_address
    return environment


def _content(folder: Path, summary: DatasetSummary, settings: ShardSettings, small: bool) -> dict[str, Any]:
    tried, kept = _tried(folder), summary.splits["all"].pairs
    has_mini = (folder / "mini").is_dir()
    rights = summary.images[["work_rights", "artist_died"]].notna().any(axis=1)
    return {
        "publication": settings.publication,
        "profile": settings.licences.profile,
        "summary": summary,
        "splits": summary.splits,
        "images": len(summary.images),
        "asked": sum(summary.statuses.values()),
        "tried": tried,
        "kept_share": f"{kept / tried:.1%}" if tried else "none",
        "longest": int(long_sides(summary).max()) if len(long_sides(summary)) else 0,
        "withheld": summary.statuses[ImageStatus.WITHHELD],
        "rejected": summary.statuses[ImageStatus.LICENCE_REJECTED],
        "opted_out": summary.statuses[ImageStatus.OPT_OUT_HEADER] + summary.statuses[ImageStatus.TDM_RESERVED],
        "rights_known": int(rights.sum()),
        "limits": limits_of(summary),
        "front_matter": _front_matter(folder, summary, settings, has_mini),
        "table_version": DATASET.metadata[b"liftnet.schema_version"].decode(),
        "caption": CAPTION,
        "statistics": _statistics(summary),
        "snippets": snippets(summary.with_images, summary.with_tracks),
        "pair_columns": _columns(DATASET, PAIR_COLUMNS),
        "image_columns": _columns(IMAGES, IMAGE_COLUMNS),
        "track_columns": _columns(TRACKS, TRACK_COLUMNS),
        "linked_columns": _columns(LINKED, LINKED_COLUMNS),
        "scale": COORDINATE_SCALE,
        "status_table": _counts("what became of it", "addresses", summary.statuses),
        "source_table": _counts("source", "photographs", summary.sources),
        "licence_table": _counts("licence", "photographs", summary.licences),
        "split_table": _splits(summary),
        "profile_meaning": PROFILES[settings.licences.profile],
        "part_of": small,
        "has_mini": has_mini,
        "citation": CITATION,
    }


_OF_TRACKS, _OF_IMAGES = ("read_tracks",), ("load_image", "images-train", '"images"')  # in snippets that need them


def snippets(with_images: bool, with_tracks: bool) -> str:
    """How to read the dataset, as Markdown with blocks of Python: those of what it holds."""
    text = files("liftnet.shard").joinpath("snippets.md").read_text(encoding="utf-8").rstrip("\n")
    parts = ["With " + part for part in text.split("\nWith ")]
    parts[0] = parts[0].removeprefix("With ")
    absent = (*(() if with_tracks else _OF_TRACKS), *(() if with_images else _OF_IMAGES))
    return "\n".join(part for part in parts if not any(word in part for word in absent))


def _front_matter(folder: Path, summary: DatasetSummary, settings: ShardSettings, has_mini: bool) -> str:
    """The YAML block; `dataset_info` holds the row counts that readers and `shard verify` compare with the files."""
    licences = list(summary.licences)
    known = _ONE_LICENCE.get(licences[0]) if len(licences) == 1 else None
    licence = {"license": known} if known else {"license": "other", "license_name": "per-image"}
    pairs = summary.splits["all"].pairs
    size = next((name for most, name in _SIZES if pairs < most), "1M<n<10M")
    folders = [("", "")] + ([("mini", "mini/")] if has_mini else [])
    matter = {
        "pretty_name": settings.publication.name,
        **licence,
        **({} if known else {"license_link": "ATTRIBUTION.csv"}),
        "task_categories": ["depth-estimation", "keypoint-detection"],
        "tags": ["image-matching", "correspondences", "sculpture", "multi-view"],
        "size_categories": [size],
        "liftnet": {  # what `shard verify` holds the images against
            "release": settings.publication.release,
            "licence_profile": settings.licences.profile,
            "unknown_licences": settings.licences.keep_unknown,
        },
        "configs": [
            _config(table, prefix, below, splits)
            for below, prefix in folders
            for table in summary.rows
            if (splits := _filled_splits(folder / prefix, table))
        ],
        "dataset_info": [_counted(summary, table) for table in summary.rows],
    }
    return yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)


def _counted(summary: DatasetSummary, table: str) -> dict[str, Any]:
    splits = [
        {"name": HUB_SPLITS[split], "num_bytes": summary.sizes[table][split], "num_examples": count}
        for split, count in summary.rows[table].items()
    ]
    return {"config_name": table, "splits": splits}


def _config(table: str, prefix: str, below: str, splits: Sequence[str]) -> dict[str, Any]:
    name = table if not below else below if table == "pairs" else f"{below}-{table}"
    files = [{"split": HUB_SPLITS[split], "path": f"{prefix}{PREFIXES[table]}{split}-*.parquet"} for split in splits]
    return {"config_name": name, **({"default": True} if name == "pairs" else {}), "data_files": files}


def _filled_splits(folder: Path, table: str) -> list[str]:
    """The splits that have a row of a table: hubs cannot read shards without any."""
    return [
        split
        for split in SPLITS
        if any(parquet_metadata(path).num_rows for path in folder.glob(f"{PREFIXES[table]}{split}-*.parquet"))
    ]


def limits_of(summary: DatasetSummary) -> list[str]:
    """Sentences about what the dataset is not, with its own numbers."""
    images = summary.images
    lines = ["Correspondences are inliers of a model, not truth: some are wrong, and smooth surfaces have few."]
    if len(images):
        by_artist = images.groupby("artist_id").size().sort_values(ascending=False)
        half = int((by_artist.cumsum() < len(images) / 2).sum()) + 1
        lines.append(
            f"Half of the photographs show works of {half:,} of the {len(by_artist):,} artists; "
            f"the artist with most has {by_artist.iloc[0] / len(images):.1%}."
        )
        source, most = summary.sources.most_common(1)[0]
        lines.append(f"{most / len(images):.1%} of the photographs are from the source {for_markdown(source)}.")
        works = images.groupby("work_id").size()
        lines.append(
            f"A work has {works.median():.0f} photographs in the median and {works.max():,} at most; "
            f"{int((works == 1).sum()):,} of {len(works):,} works have one, and so no pair."
        )
        focal = images[["focal_mm", "focal_35mm"]].notna().any(axis=1).mean()
        lines.append(f"The focal length is known for {focal:.1%} of the photographs; no camera is calibrated.")
    sides = long_sides(summary)
    if len(sides):
        lines.append(
            f"The long side of a photograph is {sides.median():.0f} px in the median, "
            f"from {sides.min():.0f} to {sides.max():.0f}."
        )
    lines.append("Which artists, places and times are missing has not been measured.")
    return lines


def long_sides(summary: DatasetSummary) -> pd.Series[float]:
    """The longer side of every photograph, px."""
    return summary.images[["width", "height"]].max(axis=1).dropna()


def _tried(folder: Path) -> int:
    with open_table(folder / TRIED_FILE, TRIED) as file:
        return int(file.metadata.num_rows)


def _statistics(summary: DatasetSummary) -> str:
    frame = statistics_table(summary.splits)
    return markdown_table(frame.map(lambda v: "" if v is None else f"{v:,.1f}" if isinstance(v, float) else str(v)))


def _splits(summary: DatasetSummary) -> str:
    columns = {"artists": "artist_id", "works": "work_id", "groups": "group_id", "photographs": "image_id"}
    rows = []
    for split in SPLITS:
        part = summary.images[summary.images["split"] == split]
        rows.append([split, *(f"{part[key].nunique():,}" for key in columns.values())])
    return markdown_table(pd.DataFrame(rows, columns=["split", *columns]))


def _columns(schema: pa.Schema, meanings: Mapping[str, str]) -> str:
    rows = [[f"`{field.name}`", type_name(field.type), meanings[field.name]] for field in schema]
    return markdown_table(pd.DataFrame(rows, columns=["column", "type", "meaning"]), marked_up=["column", "meaning"])


def _counts(what: str, number: str, counts: Counter[str]) -> str:
    words = {str(status): status.words for status in LEFT_OUT}
    rows = [
        [f"{name} ({words[name]})" if name in words else name, f"{count:,}"]
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return markdown_table(pd.DataFrame(rows, columns=[what, number]))


ATTRIBUTION_COLUMNS = (
    *("image_id", "split", "artist", "work", "attribution", "license", "license_spdx", "license_url", "credit"),
    *("source", "source_id", "page_url", "image_url", "work_rights"),
)


def write_attribution(folder: Path, summary: DatasetSummary, name: str) -> None:
    """Write `ATTRIBUTION.csv` and `ATTRIBUTION.html`: one row a photograph of the dataset, sorted by artist and work.

    In the CSV a text that a spreadsheet would take for a formula begins with an apostrophe. In the page every text is
    escaped, and only http and https addresses are links.

    Args:
        folder: The dataset.
        summary: Its numbers and its images.
        name: Name of the dataset.
    """
    rows = summary.images[list(ATTRIBUTION_COLUMNS)].astype(object).sort_values(["artist", "work", "image_id"])
    rows = rows.where(rows.notna(), "")
    write_text(folder / "ATTRIBUTION.csv", csv_text(rows))
    page = _templates(autoescape=True).get_template("attribution.html.j2")
    stream = page.stream(name=name, rows=rows.to_dict("records"), licences=summary.licences.most_common())
    with atomic_path(folder / "ATTRIBUTION.html") as temporary:
        stream.dump(str(temporary), encoding="utf-8")


def is_address(text: object) -> bool:
    """Whether a text may be a link: a web address, not `javascript:` or a file."""
    return isinstance(text, str) and text.lower().startswith(("https://", "http://"))
