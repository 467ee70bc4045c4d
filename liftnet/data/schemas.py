"""The tables that go from stage to stage: their columns, their version, and checked reading and writing.

This is the contract between stages; docs/architecture.md says who writes and who reads each table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path
from liftnet.data.parquet_limits import open_parquet

SCHEMA_VERSION = "1"
COORDINATE_SCALE = 32  # uint16 coordinates of the dataset are in 1/32 px: 0 to 2047.97 px, error at most 1/64 px
FLOATS = pa.list_(pa.float32())
ROWS_PER_GROUP = 256  # pairs in a row group of MATCHES and PAIRS: what a job holds in memory at a time
Row = TypeVar("Row")


def _schema(name: str, *fields: tuple[str, pa.DataType], version: str = SCHEMA_VERSION) -> pa.Schema:
    metadata = {"liftnet.table": name, "liftnet.schema_version": version}
    return pa.schema([pa.field(*field) for field in fields], metadata=metadata)


REQUESTS = _schema(
    "requests",  # one row per file that a job fetches, in downloads/<job>.parquet
    ("request", pa.string()),  # its id
    ("what", pa.string()),  # image or mask
    ("kind", pa.string()),  # web, local or museum
    ("asked", pa.string()),  # as the source list says it: a URL, or a path
    ("path", pa.binary()),  # of a local file, as the system spells it
    ("below", pa.binary()),  # the folder that it must lie in
    ("version", pa.string()),  # changes when a local file changes
    ("expected_bytes", pa.int64()),
    version="2",
)

FETCHED = _schema(
    "fetched",  # what became of each of them, in fetched/<job>.parquet: an entry of the journal as columns
    ("request", pa.string()),
    ("asked", pa.string()),
    ("status", pa.string()),
    ("reason", pa.string()),
    ("fetched_at", pa.string()),
    ("checked_at", pa.string()),  # when a refresh has last asked for it
    ("final_url", pa.string()),
    ("http_status", pa.int32()),
    ("attempts", pa.int32()),
    ("etag", pa.string()),
    ("last_modified", pa.string()),
    ("opt_out", pa.string()),
    ("bytes", pa.int64()),
    ("mime", pa.string()),
    ("file", pa.string()),  # stored image, below the results
    ("raw_file", pa.string()),  # mask as received, below the results
    ("stored_bytes", pa.int64()),
    ("sha256_raw", pa.string()),
    ("sha256", pa.string()),
    ("phash", pa.string()),
    ("phashes", pa.list_(pa.string())),  # of the 4 turns of the stored pixels and of their mirror images
    ("size", pa.list_(pa.int32())),  # width and height as stored
    ("shown_size", pa.list_(pa.int32())),  # as received, orientation applied
    ("exif_orientation", pa.int32()),
    ("focal_mm", pa.float32()),
    ("focal_35mm", pa.float32()),
    ("camera", pa.string()),
)

WANTED = _schema(
    "wanted",  # one row per row of the source lists, in downloads/wanted.parquet
    ("artist", pa.string()),
    ("work", pa.string()),
    ("image_asked", pa.string()),
    ("image_path", pa.binary()),
    ("image_below", pa.binary()),
    ("mask_asked", pa.string()),
    ("mask_path", pa.binary()),
    ("mask_below", pa.binary()),
    ("source", pa.string()),
    ("page_url", pa.string()),
    ("license", pa.string()),
    ("license_url", pa.string()),
    ("attribution", pa.string()),
    ("problem_status", pa.string()),
    ("problem_reason", pa.string()),
    ("mask_problem_status", pa.string()),
    ("mask_problem_reason", pa.string()),
    ("source_id", pa.string()),
    ("credit", pa.string()),
    ("artist_wikidata", pa.string()),
    ("artist_died", pa.int32()),
    ("work_wikidata", pa.string()),
    ("work_rights", pa.string()),
    ("expected_bytes", pa.int64()),
    version="2",
)

MANIFEST = _schema(
    "manifest",  # one row per URL or file asked for
    ("image_id", pa.string()),  # first 16 hex digits of sha256; null unless status is ok
    ("artist", pa.string()),
    ("artist_id", pa.string()),
    ("artist_wikidata", pa.string()),  # "Q5582"
    ("artist_died", pa.int32()),  # year
    ("work", pa.string()),
    ("work_id", pa.string()),
    ("work_wikidata", pa.string()),
    ("work_rights", pa.string()),  # what the source says of the sculpture's own copyright
    ("source", pa.string()),  # csv, directory, museum, or the collection the list is from: commons, met, ...
    ("source_id", pa.string()),  # the record's id there
    ("page_url", pa.string()),
    ("image_url", pa.string()),  # as asked for: a URL, or a path as it stands in the source list
    ("final_url", pa.string()),
    ("status", pa.string()),  # "ok" or why not, e.g. dup_exact, not_image, http_404
    ("reason", pa.string()),  # the status in plain words
    ("http_status", pa.int32()),
    ("attempts", pa.int32()),
    ("fetched_at", pa.timestamp("ms", tz="UTC")),
    ("bytes", pa.int64()),
    ("mime", pa.string()),
    ("sha256_raw", pa.string()),  # of the bytes as received
    ("sha256", pa.string()),  # of the stored file
    ("phash", pa.string()),  # 64 bits in hex, of the stored pixels
    ("near_image", pa.string()),  # another image that looks much like it: see collect.duplicates
    ("near_distance", pa.int32()),  # bits of the perceptual hash, least over flips and quarter turns
    ("etag", pa.string()),
    ("last_modified", pa.string()),
    ("opt_out", pa.string()),  # a reservation of the server against use for training, as it sent it
    ("file", pa.string()),  # name of the stored file below images/
    ("width", pa.int32()),  # of the stored image, orientation applied
    ("height", pa.int32()),
    ("exif_orientation", pa.int32()),  # as received; 1 after storing
    ("focal_mm", pa.float32()),
    ("focal_35mm", pa.float32()),
    ("camera", pa.string()),
    ("license", pa.string()),  # as the source says it
    ("license_spdx", pa.string()),  # the same as an SPDX identifier; null where it is not understood
    ("license_url", pa.string()),
    ("attribution", pa.string()),
    ("credit", pa.string()),  # the credit line of the holding institution
    ("mask_url", pa.string()),  # manual mask named by the source, if any
    ("mask_status", pa.string()),  # null without mask_url; "ok" means hand_masks/<image_id>.png is there
    ("mask_reason", pa.string()),
    ("split", pa.string()),  # train, val, test; by group
    ("group_id", pa.string()),  # what must not be divided over splits: artists joined by works and copies
    version="2",
)

IMAGE = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))  # as Hugging Face's Image
IMAGES = pa.schema(  # one row per stored image, in dataset/images-<split>-00000-of-000NN.parquet
    [*MANIFEST, IMAGE], metadata={**MANIFEST.metadata, b"liftnet.table": b"images"}
)

MASKS = _schema(
    "masks",  # one row per image of an artist
    ("image_id", pa.string()),
    ("status", pa.string()),  # "ok" means masks/<image_id>.png is there
    ("reason", pa.string()),
    ("coverage", pa.float32()),  # share of foreground pixels
    ("confidence", pa.float32()),  # the IoU that the mask is to be expected to have, from its probabilities
)

MATCHES = _schema(
    "matches",  # one row per image pair of a work that was tried, however few its putative matches
    ("image_a", pa.string()),  # a < b
    ("image_b", pa.string()),
    ("status", pa.string()),  # ok, or why the pair was not matched
    ("reason", pa.string()),
    ("n_keypoints_a", pa.int32()),
    ("n_keypoints_b", pa.int32()),
    ("x1", FLOATS),  # pixels of the stored image, (0, 0) the centre of the top-left pixel
    ("y1", FLOATS),
    ("x2", FLOATS),
    ("y2", FLOATS),
    ("score", FLOATS),  # 1 - distance ratio, in [0, 1]; higher is better
    ("matcher", pa.string()),
    ("settings", pa.string()),  # JSON
    ("features", pa.string()),  # recipe of the features: their folder below features/
    version="2",
)

PAIRS = _schema(
    "pairs",  # one row per candidate pair, kept or not
    ("pair_id", pa.string()),  # image_a-image_b
    ("work_id", pa.string()),
    ("artist_id", pa.string()),
    ("split", pa.string()),
    ("image_a", pa.string()),
    ("image_b", pa.string()),
    ("width_a", pa.int32()),
    ("height_a", pa.int32()),
    ("width_b", pa.int32()),
    ("height_b", pa.int32()),
    ("kept", pa.bool_()),
    ("reason", pa.string()),  # "kept", or why not: see PairReason in liftnet/data/codes.py
    ("model", pa.string()),  # affine or perspective: whose inliers are the correspondences; null where none was asked
    # everything a decision rests on, so that a cut can be moved without computing again; px of the stored images
    ("n_putative", pa.int32()),  # putative matches
    ("n_masked", pa.int32()),  # of these, on the foreground of both images
    ("n_used", pa.int32()),  # of these, at different locations: what the models are fitted to
    ("object_px", pa.float32()),  # mean long side of the object in the two images
    ("extent_px", pa.float32()),  # width of the region the used matches fill, geometric mean of both images
    ("threshold_px", pa.float32()),  # of the affine fundamental matrix
    ("noise_px", pa.float32()),  # threshold of the perspective one; homographies have 1.249 times it
    ("n_f", pa.int32()),  # used matches that agree with the affine fundamental matrix
    ("chance_floor", pa.float32()),  # how many of random matches would
    ("median_residual_f", pa.float32()),
    ("n_p", pa.int32()),  # used matches that agree with the perspective fundamental matrix
    ("chance_floor_p", pa.float32()),
    ("median_residual_p", pa.float32()),
    ("n_agreed", pa.int32()),  # used matches that agree with both; with the affine one where there is no other
    ("n_inliers", pa.int32()),  # n_agreed, or without the perspective check n_f or n_p, by `model`
    # "done"; "not_aligned": without pictures; "nothing_found", "too_few", "no_features", "other_features": the
    # pair keeps its inliers;
    # null where it was not asked for
    ("second_search", pa.string()),
    ("n_correspondences", pa.int32()),  # those below: of a second search, else the inliers
    ("n_guided", pa.int32()),  # of these, found by the second search alone; the others are inliers it found again
    ("n_h", pa.int32()),  # correspondences that one affine homography explains
    ("rho", pa.float32()),  # n_h / n_correspondences
    ("median_residual_h", pa.float32()),
    ("gric_difference", pa.float32()),  # GRIC of that homography minus that of the model, per inlier; logged only
    ("n_ph", pa.int32()),  # of the inliers, explained by one projective homography
    ("n_duplicate", pa.int32()),  # used matches that one similarity explains to a pixel
    ("n_watermark", pa.int32()),  # inliers in the border of both images, or moved alike: the fewer of the two
    ("n_stationary", pa.int32()),  # inliers that stand at the same place in both images
    ("f", FLOATS),  # (a, b, c, d, e): a x' + b y' + c x + d y + e = 0, |(a, b, c, d)| = 1
    ("f_perspective", FLOATS),  # 9 numbers, row by row, of unit norm: (x', y', 1) F (x, y, 1)^T = 0
    ("x1", FLOATS),  # the correspondences
    ("y1", FLOATS),
    ("x2", FLOATS),
    ("y2", FLOATS),
    ("score", FLOATS),
    ("residual", FLOATS),  # px, distance to the model in the four coordinates: see liftnet.geometry
    ("residual_p", FLOATS),  # the same to the perspective matrix; infinite where there is none
    ("guided", pa.list_(pa.bool_())),  # whether the second search alone found it
    ("shift_x", FLOATS),  # px, how far alignment moved it in image b: its keypoint is (x2, y2) less these
    ("shift_y", FLOATS),
    ("misfit", FLOATS),  # once aligned, the sum of squares that verify.guided.align bounds; infinite where it was not
    ("rejected_x1", FLOATS),  # a sample of at most 200 putative matches that were not kept, for the report
    ("rejected_y1", FLOATS),
    ("rejected_x2", FLOATS),
    ("rejected_y2", FLOATS),
    version="5",
)

_COORDINATES = pa.list_(pa.uint16())
_IMAGES_OF_A_PAIR = (
    ("pair_id", pa.string()),
    ("work_id", pa.string()),
    ("artist_id", pa.string()),
    ("image_a", pa.string()),
    ("image_b", pa.string()),
    ("width_a", pa.int32()),
    ("height_a", pa.int32()),
    ("width_b", pa.int32()),
    ("height_b", pa.int32()),
)
DATASET = _schema(
    "dataset",  # one row per kept pair, in dataset/<split>-00000-of-000NN.parquet
    *_IMAGES_OF_A_PAIR,
    ("n", pa.int32()),
    ("x1", _COORDINATES),  # 1/COORDINATE_SCALE px
    ("y1", _COORDINATES),
    ("x2", _COORDINATES),
    ("y2", _COORDINATES),
    ("score", pa.list_(pa.uint8())),  # 255 times the score
    ("guided", pa.list_(pa.bool_())),  # found by the second search alone; null where the pair's source does not say
    ("n_putative", pa.int32()),  # of the pair in PAIRS: putative matches,
    ("n_masked", pa.int32()),  # of these, on the foreground of both images,
    ("n_inliers", pa.int32()),  # of these, inliers of the model
    ("n_guided", pa.int32()),  # correspondences that only the second search found; the others are such inliers
    ("rotation_deg", pa.float32()),  # angle between the two cameras, where the focal lengths are known; else null
    version="3",
)

TRACKS = _schema(
    "tracks",  # one row per track: a work's, in tracks/<work_id>.parquet, and in dataset/tracks-<split>-*.parquet
    ("track_id", pa.string()),  # the work's id and eight digits
    ("work_id", pa.string()),
    ("artist_id", pa.string()),
    ("n", pa.int32()),  # images that show the point
    ("links", pa.int32()),  # correspondences of kept pairs within the track
    ("contradicted", pa.bool_()),  # cut out of correspondences that tied several points together
    ("images", pa.list_(pa.string())),  # ascending, each once
    ("x", _COORDINATES),  # 1/COORDINATE_SCALE px
    ("y", _COORDINATES),
)

LINKED = _schema(
    "linked",  # one row per pair that is not kept but linked by tracks: linked/<work_id>.parquet, dataset/linked-*
    *_IMAGES_OF_A_PAIR,
    ("reason", pa.string()),  # why the pair itself is not kept, or "not_tried"
    ("n", pa.int32()),  # tracks that both images show
    ("x1", _COORDINATES),  # 1/COORDINATE_SCALE px
    ("y1", _COORDINATES),
    ("x2", _COORDINATES),
    ("y2", _COORDINATES),
)

TRIED = _schema(
    "tried",  # one row per image pair that was tried, kept or not, in dataset/tried.parquet: the funnel's source
    ("pair_id", pa.string()),
    ("work_id", pa.string()),
    ("split", pa.string()),
    ("source_a", pa.string()),  # the source of each image, as in the manifest
    ("source_b", pa.string()),
    ("kept", pa.bool_()),  # stands in the shards
    ("reason", pa.string()),  # "kept", why verify rejected it, or why the dataset leaves it out
    ("n_putative", pa.int32()),
    ("n_masked", pa.int32()),
    ("n_inliers", pa.int32()),
    ("n_guided", pa.int32()),  # of n, found by the second search alone
    ("n", pa.int32()),  # correspondences in the shards; 0 if not kept
    version="2",
)

TRUTH = _schema(
    "truth",  # one row per view of the museum or of a rendered set
    ("image_url", pa.string()),  # path below the museum or set, as in its sources.csv or manifest
    ("artist_id", pa.string()),
    ("work_id", pa.string()),
    ("truth", pa.string()),  # path of the .npz below the museum: see liftnet/data/truth.py
)


SCORES = _schema(
    "scores",  # one row per image of a split of a set: the errors of one run's depth
    ("run", pa.string()),  # name of the trained model, or of the prior
    ("seed", pa.int32()),  # of its training; 0 for a prior
    ("set", pa.string()),
    ("split", pa.string()),
    ("class", pa.string()),  # artist_id: the class of a rendered shape
    ("work_id", pa.string()),  # the shape
    ("image_id", pa.string()),
    ("status", pa.string()),  # "ok", or why there are no errors
    ("reason", pa.string()),
    ("l1", pa.float64()),  # the errors of liftnet.depth.score.DepthErrors
    ("rmse", pa.float64()),
    ("rel_l1", pa.float64()),
    ("rel_sq", pa.float64()),
    ("rmse_affine", pa.float64()),
    ("n_pixels", pa.int32()),  # pixels measured: those of the crop that truly show the object
    ("unit", pa.string()),  # of l1, rmse, rel_sq and rmse_affine: half width or cm
    ("resolution", pa.int32()),  # side of the crop in which errors are measured, px
)

SFM = _schema(
    "sfm",  # one row per work that COLMAP was to reconstruct
    ("work_id", pa.string()),
    ("artist_id", pa.string()),
    ("split", pa.string()),
    ("status", pa.string()),  # ok, or no_model, too_few_images, colmap_failed
    ("reason", pa.string()),
    ("n_images", pa.int32()),
    ("n_models", pa.int32()),
    ("n_registered", pa.int32()),  # images of the largest model
    ("n_points", pa.int32()),  # its points
    ("reprojection_px", pa.float32()),  # their mean error
    ("relative_error", pa.float32()),  # of depth at the points, where the truth is known; median over images
    ("correlation", pa.float32()),  # with true depth, likewise
)

SHAPES = _schema(
    "shapes",  # one row per shape asked for, rendered or not, in renders/<set>/shapes.parquet
    ("shape_id", pa.string()),  # the work_id of its views
    ("class", pa.string()),
    ("class_id", pa.string()),  # the artist_id of its views
    ("split", pa.string()),
    ("source", pa.string()),  # path below the folder of meshes, or "generated"
    ("status", pa.string()),  # "ok" or why it was set aside, e.g. unreadable, no_faces, not_finite
    ("reason", pa.string()),  # the status in plain words
    ("n_vertices", pa.int32()),  # after joining its parts; null for recordings
    ("n_faces", pa.int32()),
    ("watertight", pa.bool_()),
    ("n_views", pa.int32()),
    ("n_pairs", pa.int32()),  # pairs of views that share enough points
    ("n_correspondences", pa.int64()),  # stored, over all pairs
)


RECONSTRUCTION_SHAPES = _schema(
    "reconstruction_shapes",  # one row per shape asked for, in renders/reconstruction/shapes.parquet
    ("shape_id", pa.string()),  # the folder of its files below shapes/
    ("class", pa.string()),
    ("split", pa.string()),
    ("source", pa.string()),  # path below the folder of meshes, or "generated"
    ("status", pa.string()),  # "ok" or why it was set aside, e.g. unreadable, no_faces, duplicate
    ("reason", pa.string()),  # the status in plain words
    ("n_vertices", pa.int32()),  # of mesh.ply
    ("n_faces", pa.int32()),
    ("watertight", pa.bool_()),
    ("n_views", pa.int32()),
    ("n_points", pa.int32()),
    ("hidden", pa.float32()),  # share of the whole surface's points that lie inside the solid
    ("filled", pa.list_(pa.float32())),  # share of voxels inside, for each resolution
)

VIEWS = _schema(
    "views",  # one row per picture, in renders/reconstruction/views.parquet, in the order of the shapes
    ("shape_id", pa.string()),
    ("view", pa.int32()),  # 0 to n_views - 1: shapes/<shape_id>/<view, three digits>.png
    ("rotation", pa.list_(pa.float32(), 9)),  # row by row: the shape's frame to x right, y up, z towards the camera
    ("distance", pa.float32()),  # of the camera from the shape's middle, which is on its axis
    ("half_width", pa.float32()),  # tangent of half its viewing angle
    ("azimuth", pa.float32()),  # degrees; 0 looks at the front, grows to the shape's +x
    ("elevation", pa.float32()),  # degrees above the horizon
    ("light", pa.list_(pa.float32(), 3)),  # direction to the key light in the shape's frame
    ("light_colour", pa.list_(pa.float32(), 3)),  # linear
    ("ambient", pa.list_(pa.float32(), 3)),  # of the surrounding from above, linear
    ("colour", pa.list_(pa.float32(), 3)),  # mean colour of the shape's parts in this picture, linear
)


RECONSTRUCTION_METRICS = (  # of liftnet.shape.metrics, and drkfs
    *("chamfer_l1", "chamfer_l2", "emd", "iou", "iou_flood", "iou_points", "f_score", "f_score_2"),
    *("normal_consistency", "accuracy", "completeness", "hausdorff", "shape_google", "lfd", "mvcnn", "drkfs"),
)
RECONSTRUCTION_SCORES = _schema(
    "reconstruction_scores",  # one row per picture of held-out shapes: how its reconstruction by a run differs from it
    ("run", pa.string()),  # name of the trained model, or of the reference
    ("seed", pa.int32()),  # of its training; 0 for a reference
    ("set", pa.string()),
    ("split", pa.string()),
    ("class", pa.string()),
    ("work_id", pa.string()),  # the shape
    ("image_id", pa.string()),  # the shape and the picture's number
    ("status", pa.string()),  # "ok"; "empty": no mesh; "penalised": a metric is not defined for it
    ("reason", pa.string()),
    ("n_faces", pa.int32()),
    *((name, pa.float64()) for name in RECONSTRUCTION_METRICS),  # null where it was not asked for
    ("steps", pa.int32()),  # of the run's own training
    ("training_s", pa.float64()),  # seconds of a processor of the run's own training
    ("measuring_s", pa.float64()),  # seconds of a processor that this row took
    ("image_size", pa.int32()),  # px, of the views of DR-KFS
    ("views", pa.int32()),
)


def write_table(path: Path | str, rows: Iterable[Mapping[str, Any]] | pa.Table, schema: pa.Schema) -> None:
    """Write rows (dicts; missing columns become null) or a table as Parquet with `schema`, atomically."""
    with table_writer(path, schema) as write:
        write(rows)


@contextmanager
def table_writer(
    path: Path | str, schema: pa.Schema
) -> Iterator[Callable[[Iterable[Mapping[str, Any]] | pa.Table], None]]:
    """Write a table piece by piece, so that a long one is never in memory as a whole.

    Yields a function that appends rows (dicts; missing columns become null) or a table as a row group. The file takes
    its name when the block ends without an error.
    """
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:

        def write(rows: Iterable[Mapping[str, Any]] | pa.Table) -> None:
            table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist([dict(row) for row in rows], schema)
            writer.write_table(table.select(schema.names).cast(schema).replace_schema_metadata(schema.metadata))

        yield write


def in_groups(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows in lists of `size`, the last one shorter; nothing for no rows."""
    iterator = iter(rows)
    while group := list(islice(iterator, size)):
        yield group


def read_table(path: Path | str, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table and check that it is the one meant, in this version.

    Raises:
        LiftnetError: The file is missing, is not Parquet, is another table or of another version.
    """
    with open_table(path, schema) as file:
        return file.read()


@contextmanager
def open_table(path: Path | str, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    """Open a Parquet table to read it piece by piece, and check that it is the one meant, in this version.

    Raises:
        LiftnetError: The file is missing, is not Parquet, is another table or of another version, or turns out to be
            damaged while it is read.
    """
    name = schema.metadata[b"liftnet.table"].decode()
    try:
        with open_parquet(path) as file:
            check_metadata(path, file.schema_arrow, schema)
            yield file
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", f"Run the stage that writes the {name} table") from error
    except (pa.ArrowException, OSError) as error:
        raise LiftnetError(path, f"is not a readable Parquet file ({error})", "Delete it and run its stage") from error


def check_metadata(path: Path | str, found_schema: pa.Schema, schema: pa.Schema) -> None:
    """Check by its metadata that a Parquet file holds the table `schema`, in this version.

    Raises:
        LiftnetError: It is another table or of another version.
    """
    wanted, metadata = schema.metadata, found_schema.metadata or {}
    keys = b"liftnet.table", b"liftnet.schema_version"
    (name, version), found = (
        [held.get(key, b"?").decode(errors="replace") for key in keys] for held in (wanted, metadata)
    )
    if found != [name, version]:
        raise LiftnetError(
            path,
            f"holds the table {found[0]!r} in version {found[1]}, not {name!r} in version {version}",
            "Run the stage that writes it again",
        )


# A few rows of a long table, so that a job's time and memory do not grow with the collection


def read_rows(
    path: Path | str, schema: pa.Schema, columns: Sequence[str], key: str, values: Collection[str]
) -> pa.Table:
    """Read the rows of a Parquet table whose `key` is one of `values`, one row group in memory at a time.

    Row groups whose statistics exclude all values are not read at all; of the others the key first, and the rest only
    where it was met. So a table sorted by `key` costs the same whatever its length, and an unsorted one a scan of one
    column.

    Args:
        path: The table.
        schema: The table it must be.
        columns: The columns wanted.
        key: A column of strings.
        values: What to look for.

    Returns:
        The rows found, in the order of the table, with `columns`.

    Raises:
        LiftnetError: The file is missing, is not Parquet, is another table or of another version.
    """
    wanted = pa.array(sorted(values), pa.string())
    found = [pa.schema([schema.field(column) for column in columns]).empty_table()]
    with open_table(path, schema) as file:
        for group in groups_that_may_hold(file, key, min(values), max(values)) if values else ():
            found += _matching(file, group, columns, key, wanted)
    return pa.concat_tables(found)


def read_batches(
    path: Path | str, schema: pa.Schema, columns: Sequence[str], rows: int = 1024
) -> Iterator[pa.RecordBatch]:
    """Read some columns of a Parquet table, at most `rows` rows at a time.

    Raises:
        LiftnetError: The file is missing, is not Parquet, is another table or of another version.
    """
    with open_table(path, schema) as file:
        for batch in file.iter_batches(rows, columns=list(columns), use_threads=False):
            yield batch.select(list(columns))


def groups_that_may_hold(file: pq.ParquetFile, key: str, low: str, high: str) -> list[int]:
    """The row groups whose statistics leave room for a value of the column `key` from `low` to `high`."""
    leaves = [file.schema.column(number) for number in range(len(file.schema))]
    column = next((number for number, leaf in enumerate(leaves) if leaf.path == key), None)
    if column is None or leaves[column].physical_type != "BYTE_ARRAY":  # other statistics may end the process
        return list(range(file.num_row_groups))
    return [group for group in range(file.num_row_groups) if _may_hold(file, group, column, low, high)]


def _may_hold(file: pq.ParquetFile, group: int, column: int, low: str, high: str) -> bool:
    try:
        statistics = file.metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max:
            return True
        least, most = statistics.min, statistics.max
    except UnicodeDecodeError:  # cut within a letter, or damaged
        return True
    return not (isinstance(least, str) and isinstance(most, str)) or (least <= high and low <= most)


def _matching(file: pq.ParquetFile, group: int, columns: Sequence[str], key: str, wanted: pa.Array) -> list[pa.Table]:
    """The rows of a row group whose key is in `wanted`, as a list of one table or none."""
    keys = file.read_row_group(group, columns=[key], use_threads=False).column(key)
    rows = pc.is_in(keys, value_set=wanted)
    if not pc.any(rows).as_py():
        return []
    table = file.read_row_group(group, columns=list(columns), use_threads=False)
    return [table.select(list(columns)).filter(rows).replace_schema_metadata(None)]
