"""croissant.json: the dataset described for machines, in Croissant 1.1 with its vocabulary for responsible AI.

Sources: the Croissant format specification 1.1 and the Croissant RAI specification 1.0
(docs.mlcommons.org/croissant). The file is plain JSON; tests validate and read it with `mlcroissant`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from liftnet import __version__
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_json
from liftnet.core.opening import sha256_of
from liftnet.data.codes import NOT_STATED, SPLITS
from liftnet.data.dataset import PREFIXES
from liftnet.data.licences import PROFILES
from liftnet.data.schemas import DATASET, IMAGES, LINKED, TRACKS
from liftnet.shard.card import (
    CARD_FILE,
    CITATION,
    IMAGE_COLUMNS,
    LINKED_COLUMNS,
    PAIR_COLUMNS,
    TRACK_COLUMNS,
    limits_of,
)
from liftnet.shard.card import PROFILES as PROFILE_MEANING
from liftnet.shard.checksums import CHECKSUMS_FILE, dataset_files
from liftnet.shard.settings import PublicationSettings, ShardSettings
from liftnet.shard.statistics import DatasetSummary

CROISSANT_FILE = "croissant.json"
VERSIONS = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
CARDINALITY = "http://www.wikidata.org/entity/Q4049983"  # the specification's own type for a number of records
DATE_VARIABLE = "SOURCE_DATE_EPOCH"  # reproducible-builds.org/specs/source-date-epoch
_IN_CROISSANT = (  # terms of the format in the context of appendix 1 of the specification
    *("annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes", "extract"),
    *("field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath"),
    *("key", "md5", "parentField", "path", "readLines", "recordSet", "references", "regex", "repeated", "replace"),
    *("samplingRate", "sdVersion", "separator", "source", "subField", "transform", "unArchive"),
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _IN_CROISSANT},
}
_TYPES = {
    "string": "sc:Text",
    "int32": "cr:Int32",
    "int64": "cr:Int64",
    "uint8": "cr:UInt8",
    "uint16": "cr:UInt16",
    "float": "cr:Float32",
    "double": "cr:Float64",
    "bool": "sc:Boolean",
}
_ENCODINGS = {
    ".parquet": "application/x-parquet",
    ".csv": "text/csv",
    ".html": "text/html",
    ".txt": "text/plain",
}
_TABLES: dict[str, tuple[pa.Schema, Mapping[str, str], str]] = {
    "pairs": (DATASET, PAIR_COLUMNS, "pair_id"),
    "images": (IMAGES, IMAGE_COLUMNS, "image_id"),
    "tracks": (TRACKS, TRACK_COLUMNS, "track_id"),
    "linked": (LINKED, LINKED_COLUMNS, "pair_id"),
}


def write_croissant(folder: Path, summary: DatasetSummary, settings: ShardSettings) -> None:
    """Write `croissant.json` about the files of a dataset but its card, its checksums and its small dataset.

    The card is left out so that a person may add to it.

    The date of publication is that of SOURCE_DATE_EPOCH, and is left out where that is not set: the same input gives
    the same bytes.

    Args:
        folder: The dataset.
        summary: Its numbers.
        settings: Its name, release, publisher and licence profile.

    Raises:
        LiftnetError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    apart = {folder / name for name in (CARD_FILE, CHECKSUMS_FILE, CROISSANT_FILE)}
    files = [path for path in dataset_files(folder) if path not in apart and (folder / "mini") not in path.parents]
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSIONS,
        "name": settings.publication.name,
        "description": _description(summary),
        "version": settings.publication.release,
        "license": _licences(summary),
        "citeAs": CITATION,
        "isLiveDataset": False,
        "keywords": ["sculpture", "correspondences", "multi-view", "depth", "image matching"],
        **_publisher(settings.publication),
        **_dates(summary),
        **responsible_ai(summary, settings),
        "prov:wasGeneratedBy": {"@type": "prov:Activity", "prov:label": f"liftnet {__version__}"},
        "distribution": [
            *(_file_object(folder, path) for path in files),
            *(_file_set(table) for table in summary.rows),
        ],
        "recordSet": [_splits(), *(_record_set(table, rows) for table, rows in summary.rows.items())],
    }
    write_json(folder / CROISSANT_FILE, described)


def unstated_terms(settings: PublicationSettings) -> list[str]:
    """What Croissant asks for and only the publisher can say, as far as it is not said."""
    stated = {
        "shard.publication.url": settings.url,
        "shard.publication.creator": settings.creator,
        "shard.publication.contact": settings.contact,
        DATE_VARIABLE: os.environ.get(DATE_VARIABLE),
    }
    return [name for name, value in stated.items() if not value]


def _description(summary: DatasetSummary) -> str:
    total = summary.splits["all"]
    return (
        f"{total.pairs} pairs of photographs of one sculpture each, with {total.correspondences} point "
        f"correspondences in pixels, of {total.works} works by {total.artists} artists; split by artist, "
        "work and near copy."
    )


def _licences(summary: DatasetSummary) -> list[str]:
    """The licences' pages at SPDX; the names of those that have none there."""
    names = sorted(summary.licences) or [NOT_STATED]
    return [n if n.startswith("LicenseRef-") or " " in n else f"https://spdx.org/licenses/{n}.html" for n in names]


def _publisher(settings: PublicationSettings) -> dict[str, Any]:
    stated: dict[str, Any] = {"url": settings.url} if settings.url else {}
    if settings.creator:
        stated["creator"] = {"@type": "sc:Organization", "name": settings.creator}
    return stated


def _dates(summary: DatasetSummary) -> dict[str, str]:
    dates = {"dateCreated": summary.fetched[1]} if summary.fetched else {}
    epoch = os.environ.get(DATE_VARIABLE)
    if epoch is None:
        return dates
    try:
        day = datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise LiftnetError(
            DATE_VARIABLE, f"{epoch!r} is not a number of seconds since 1970", "Unset it, or set it to `date +%s`"
        ) from error
    return {**dates, "datePublished": f"{day:%Y-%m-%d}"}


def responsible_ai(summary: DatasetSummary, settings: ShardSettings) -> dict[str, Any]:
    """The terms of the RAI vocabulary, filled from the dataset's numbers."""
    failed = sum(summary.statuses.values()) - len(summary.images)
    sources = ", ".join(f"{name} ({count})" for name, count in summary.sources.most_common(20))
    lost = ", ".join(f"{name} {n}" for name, n in sorted(summary.statuses.items()) if name != "ok") or "none"
    return {
        "rai:dataCollection": f"{sum(summary.statuses.values())} addresses were asked for, by a program that obeys "
        "robots.txt, opt-out headers and the rate limits of each host of the web, or reads a folder.",
        "rai:dataCollectionType": ["Web API", "Web Scraping", "Software Collection"],
        "rai:dataCollectionRawData": f"Photographs of sculptures, by source: {sources or 'none'}.",
        "rai:dataCollectionMissingData": f"{failed} addresses gave no image of the dataset: {lost}.",
        **({"rai:dataCollectionTimeframe": ["/".join(summary.fetched)]} if summary.fetched else {}),
        "rai:dataPreprocessingProtocol": [
            "Photographs are turned upright by their EXIF orientation and shrunk to a longest side.",
            "Exact copies are dropped by SHA-256, near copies by perceptual hash over flips and quarter turns and by "
            "fine detail.",
            "What would tie two splits together is withheld; splits are by connected groups of artist, work, near "
            "copy and verified match.",
            f"Licence profile {settings.licences.profile} (of {', '.join(PROFILES)}): "
            f"{PROFILE_MEANING[settings.licences.profile]}.",
        ],
        "rai:dataAnnotationProtocol": "No human labels. Correspondences are the inliers of an affine fundamental "
        "matrix among keypoint matches on the foreground of both photographs. The foreground is found by a network "
        "that learned from hand-made masks.",
        "rai:annotationsPerItem": "0",
        "rai:machineAnnotationTools": [f"liftnet {__version__}"],
        "rai:dataLimitations": limits_of(summary),
        "rai:dataBiases": limits_of(summary)[1:],
        "rai:dataUseCases": ["Training", "Validation", "Testing", "depth and correspondence without depth labels"],
        "rai:dataSocialImpact": "Photographs of works of art; the rights of photographers and sculptors are kept an "
        "image at a time, and images are removed on request.",
        "rai:personalSensitiveInformation": [
            "Names of artists and photographers, as their attribution requires.",
            "Bystanders may be seen in photographs of public places; nobody has looked for them.",
            f"{summary.with_exif} stored files carry EXIF, {summary.with_position} of them a position.",
        ],
        "rai:dataReleaseMaintenancePlan": "Versions are MAJOR.MINOR.PATCH: PATCH changes no data, MINOR adds, MAJOR "
        f"changes or removes. Questions and removals: {settings.publication.contact or 'no contact is stated'}.",
    }


def _file_object(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _ENCODINGS.get(path.suffix, "application/octet-stream"),
        "sha256": sha256_of(path),
    }


def _file_set(table: str) -> dict[str, Any]:
    prefix = PREFIXES[table]
    return {
        "@type": "cr:FileSet",
        "@id": f"{table}-files",
        "name": f"{table}-files",
        "description": f"The shards of {table}, each also listed with its SHA-256.",
        "encodingFormat": _ENCODINGS[".parquet"],
        "includes": [f"{prefix}{split}-*.parquet" for split in SPLITS],
    }


def _splits() -> dict[str, Any]:
    meanings = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "splits/name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "splits/url", "dataType": ["sc:URL", "cr:Split"]},
        ],
        "data": [{"splits/name": split, "splits/url": meaning} for split, meaning in meanings.items()],
    }


def _record_set(table: str, rows: Mapping[str, int]) -> dict[str, Any]:
    prefix, (schema, meanings, key) = PREFIXES[table], _TABLES[table]
    of_split = {
        "@type": "cr:Field",
        "@id": f"{table}/in_split",
        "name": f"{table}/in_split",
        "description": "the split, from the name of the file",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": f"{table}-files"},
            "extract": {"fileProperty": "filename"},
            # readers apply it to the name of the file, and some to the split joined to it once more
            "transform": {"regex": rf"^(?:{prefix})?(train|val|test)(?:-.*)?$"},
        },
        "references": {"field": {"@id": "splits/name"}},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "description": f"One record a row of {prefix}<split>-*.parquet.",
        "key": {"@id": f"{table}/{key}"},
        "annotation": [_count(table, split, count) for split, count in rows.items()],
        "field": [of_split, *(_field(table, field, meanings[field.name]) for field in schema)],
    }


def _count(table: str, split: str, count: int) -> dict[str, Any]:
    name = f"{table}/count/{split}"
    return {"@type": "cr:Field", "@id": name, "name": name, "dataType": ["sc:Integer", CARDINALITY], "value": count}


def _field(table: str, field: pa.Field, meaning: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table}/{field.name}",
        "name": f"{table}/{field.name}",
        "description": meaning,
        "source": {"fileSet": {"@id": f"{table}-files"}, "extract": {"column": field.name}},
    }
    if pa.types.is_struct(field.type):
        described["source"]["transform"] = {"jsonPath": "bytes"}
        return {**described, "dataType": "sc:ImageObject"}
    if pa.types.is_timestamp(field.type):
        return {**described, "dataType": "sc:DateTime"}
    if pa.types.is_list(field.type):
        return {**described, "dataType": _TYPES[str(field.type.value_type)], "isArray": True, "arrayShape": "-1"}
    return {**described, "dataType": _TYPES[str(field.type)]}
