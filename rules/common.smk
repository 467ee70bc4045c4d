"""
Configuration, work list and helper functions of all rules.

Nothing here computes results: it names files and turns settings into options of the command line.
"""

import csv
import json
import os
import shlex
import sys
from functools import lru_cache, wraps
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from snakemake.exceptions import IncompleteCheckpointException, WorkflowError
from snakemake.utils import validate

# Jobs find the interpreter that runs Snakemake even where its environment is not activated; with --use-conda the job's
# own environment comes before it.
os.environ.update(
    PATH=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
)

SCHEMA = Path(workflow.basedir) / "workflow" / "schemas" / "config.schema.yaml"


def check_config(config):
    """Refuse a configuration that breaks the schema, naming each key and what is allowed there."""
    problems = [
        describe(error)
        for error in Draft202012Validator(
            yaml.safe_load(SCHEMA.read_text())
        ).iter_errors(config)
    ]
    if problems:
        raise WorkflowError(
            "The configuration cannot be used:\n"
            + "\n".join(f"  - {line}" for line in problems)
        )


def describe(error):
    """One schema error in plain words."""
    key = ".".join(str(part) for part in error.absolute_path) or "config"
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - set(known))
        return f"{key}: unknown key {', '.join(map(repr, unknown))}; known keys are {', '.join(known)}"
    allowed = {name: error.schema[name] for name in LIMITS if name in error.schema}
    return f"{key}: {error.message}; allowed: {', '.join(f'{name} {value}' for name, value in allowed.items())}"


LIMITS = (
    "type",
    "anyOf",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "items",
)
check_config(config)
validate(config, str(SCHEMA))  # fills in the defaults

RESULTS = config["results"].rstrip("/")
MUSEUM = config["photos"] is None and not config.get("sources")
MUSEUM_FOLDER = f"{RESULTS}/museum"
RUN_CONFIG = f"{RESULTS}/run_config.yaml"

# How `collect` asks is a resource of its jobs, not a parameter: it changes nothing in the files, so it runs no job
# again.
COLLECT_ASKING = (
    "backoff_s",
    "connections",
    "contact",
    "dead_days",
    "delay_s",
    "max_redirects",
    "max_wait_s",
    "per_host",
    "refresh",
    "retries",
    "timeout_s",
    "total_s",
)
LIST_ASKING = (
    "allow_host",
    "backoff_s",
    "contact",
    "delay_s",
    "max_wait_s",
    "retries",
    "timeout_s",
    "total_s",
)
LOCAL_SETS = (
    "name_that_sculpture",
    "sculptures6k",
    "shape_attributes",
    "tanks_and_temples",
)
COLLECT_FETCHING = (
    "allow_host",
    "max_bytes",
    "max_pixels",
    "max_side",
    "min_side",
    "opt_out_headers",
    "robots",
    "tdm_reservation",
)
COLLECT_MANIFEST = (
    "max_pixels",
    *(
        key
        for key in config["collect"]
        if key not in (*COLLECT_ASKING, *COLLECT_FETCHING)
    ),
)

# Settings that only the later commands of a stage read: changing one of them does not train again.
DEPTH_EVALUATION = ("evaluation_pairs", "n_examples")
DEPTH_SFM = ("sfm_masks", "sfm_min_images")
DEPTH_TRAINING = tuple(
    key for key in config["depth"] if key not in (*DEPTH_EVALUATION, *DEPTH_SFM)
)
DRKFS_DETECTOR = tuple(
    key for key in config["drkfs_learning"] if key.startswith(("detector", "point"))
)
DRKFS_HARDNET = tuple(
    key for key in config["drkfs_learning"] if key not in DRKFS_DETECTOR
)
DRKFS_EXPERIMENTS = ("legs", "bars", "shading", "sphere")
DRKFS_SCORE = tuple(key for key in config["drkfs_score"] if not key.startswith("shape"))
DRKFS_VOCABULARY = tuple(
    key for key in config["drkfs_descriptors"] if key.startswith("google_")
)
DRKFS_MVCNN = tuple(
    key for key in config["drkfs_descriptors"] if key.startswith("mvcnn_")
)
MATCH_ACROSS = ("across_coarse", "across_neighbours")  # of `match --across` alone
MATCH_WORK = tuple(key for key in config["match"] if key not in MATCH_ACROSS)
PRIOR_SETTINGS = (
    "background",
    "crop",
    "crop_margin",
    "encoder",
    "image_size",
    "levels",
)
RENDER_MUSEUM = (
    "artists",
    "azimuth_span",
    "hand_mask_share",
    "image_size",
    "jpeg_quality",
    "mesh_resolution",
    "troubles",
    "views_per_work",
    "works_per_artist",
)
RENDER_ANY = ("blender", "correspondences", "jpeg_quality", "up", "view_size")
RENDER_ORTHOGRAPHIC = ("backdrop", "renderer", *RENDER_ANY)
RENDER_SETS = {
    "shapenet": ("shapenet", "shapes_per_class", *RENDER_ORTHOGRAPHIC),
    "sketchfab": (
        "sculpture_resolution",
        "sculptures",
        "sketchfab",
        "test_share",
        "val_share",
        *RENDER_ORTHOGRAPHIC,
    ),
    "scanned": (
        "object_height_cm",
        "scanned",
        "scanned_images",
        "scanned_objects",
        "sculpture_resolution",
        *RENDER_ANY,
    ),
}
SEGMENT_PREDICTION = (
    "component_share",
    "device",
    "hole_share",
    "min_coverage",
    "test_time_flip",
    "test_time_scales",
    "threshold",
)
SEGMENT_FOLDS = (
    "crossvalidation_folds",
    "fold_iterations",
    "fold_learning_rate",
    "peer_onnx",
)
SEGMENT_TRAINING = tuple(key for key in config["segment"] if key not in SEGMENT_FOLDS)


wildcard_constraints:
    source=r"[a-z0-9][a-z0-9-]*",
    work=r"[a-z0-9-]+",
    artist=r"[a-z0-9-]+",
    job=r"[a-z0-9-]+",
    set=r"[a-z]+",
    run=r"[a-z][a-z0-9-]*",
    seed=r"\d+",
    table=r"[a-z0-9]+",
    figure=r"[a-z0-9]+",


def section(*paths):
    """A subtree of the configuration as JSON, for `--settings`; of several, an object of them by their last names."""
    trees = {path.rpartition(".")[2]: lookup(dpath=path.replace(".", "/"), within=config) for path in paths}
    tree = trees if len(paths) > 1 else next(iter(trees.values()))
    return json.dumps(tree, sort_keys=True)


def settings(stage, *keys):
    """The named settings of a stage (all of them without names) as command-line options, in a stable order."""
    return options_of(config[stage], keys)


def options_of(section, keys=()):
    """The named values (all of them without names) as command-line options, in a stable order."""
    words = []
    for key in sorted(keys or section):
        value, flag = section[key], f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list):
            words += [flag, *map(str, value)] if value else []
        elif value is not None:
            words += [flag, str(value)]
    return shlex.join(words)


def source_files():
    """What `collect` depends on: the museum's list, those asked of catalogues, the user's list, or his files."""
    if MUSEUM:
        return f"{MUSEUM_FOLDER}/sources.csv"
    lists = source_lists()
    if config["photos"] is None:
        return lists
    source = photos_source()
    if source.is_file():
        return [*lists, str(source)]
    return [*lists, *sorted(map(str, source.glob("*/*/*")))]


def source_lists():
    """The lists that are asked of catalogues or read from public sets."""
    return [
        f"{RESULTS}/lists/{source['name']}.parquet"
        for source in config.get("sources") or []
    ]


def source_entry(wildcards):
    """The entry of `sources:` of a name."""
    found = [entry for entry in config["sources"] if entry["name"] == wildcards.source]
    if len(found) != 1:
        raise WorkflowError(
            f"sources: {len(found)} entries have the name {wildcards.source}; each needs a name of its own"
        )
    return found[0]


def list_inputs(wildcards):
    """The files that an entry of `sources:` is read from, so that its list follows them."""
    entry = source_entry(wildcards)
    named = (entry.get(key) for key in ("file", "works", "dump"))
    return [path for path in named if path and Path(path).is_file()]


def list_options(wildcards):
    """The options of an entry of `sources:`; an empty list is told too, since a default may not be empty."""
    entry = source_entry(wildcards)
    own = {key: entry[key] for key in entry if key not in ("name", "kind")}
    empty = [f"--{key.replace('_', '-')}" for key in sorted(own) if own[key] == []]
    return " ".join(filter(None, [options_of(own), *empty]))


def asking_option(wildcards):
    """Identity and politeness, for kinds that ask a server, and where the jobs of a run share hosts."""
    if source_entry(wildcards)["kind"] in {"table", *LOCAL_SETS}:
        return ""
    turns = shlex.join(["--turns", f"{RESULTS}/downloads"])
    return f"{turns} {settings('collect', *LIST_ASKING)}"


def photos_source():
    """The list or the folder that `photos:` names."""
    photos = Path(config["photos"])
    if not photos.exists():
        raise WorkflowError(
            f"photos: {photos} does not exist; name a folder with sources.csv, a folder of artist/work/*.jpg, or a "
            "list (.csv or .parquet): snakemake ... --config photos=FOLDER"
        )
    listed = photos / "sources.csv"
    return listed if listed.is_file() else photos


def source_option():
    """How `collect` is told its sources."""
    if MUSEUM:
        return f"--museum {shlex.quote(MUSEUM_FOLDER)}"
    words = ["--list", *source_lists()] if source_lists() else []
    if config["photos"] is not None:
        source = photos_source()
        kind = "--directory"
        if source.is_file():
            kind = "--list" if source.suffix == ".parquet" else "--csv"
        words += [source] if words and kind == "--list" else [kind, source]
    return shlex.join(map(str, words))


def split_lists():
    """The files of the lists of splits that `collect.splits` names."""
    folder = config["collect"].get("splits")
    return sorted(map(str, Path(folder).glob("*"))) if folder else []


def once_known(resource):
    """A resource of a job that is planned before its checkpoint has run: 1 until then, since Snakemake asks early."""

    @wraps(resource)
    def known(wildcards):
        try:
            return resource(wildcards)
        except IncompleteCheckpointException:
            return 1

    return known


def planned_jobs():
    """The jobs of the plan of downloads, with their number of requests."""
    jobs = str(checkpoints.plan_downloads.get().output.jobs)
    with open(jobs, newline="", encoding="utf-8") as file:
        return {
            row["job"]: int(row["n_requests"])
            for row in csv.DictReader(file, delimiter="\t")
        }


def all_fetched(wildcards):
    """The tables of all jobs of the plan."""
    return [f"{RESULTS}/fetched/{job}.parquet" for job in planned_jobs()]


def memory_of_job(wildcards):
    """Two gigabytes to decode, and eight kilobytes for each file: its entry in the journal is kept at hand."""
    return 2000 + 8 * planned_jobs()[wildcards.job] // 1000


@once_known
def memory_of_manifest(wildcards):
    """Four gigabytes, and ten kilobytes for each file of all jobs."""
    return 4000 + 10 * sum(planned_jobs().values()) // 1000


def threads_of_job(wildcards):
    """Eight to decode files that are there at once; two for a host, which sends them slowly."""
    return 8 if wildcards.job in ("local", "museum") else 2


def found_works():
    """The rows of works.tsv by work, as `collect` found them."""
    works = str(checkpoints.collect_images.get().output.works)
    return read_works(works, os.stat(works).st_mtime_ns)


@lru_cache(maxsize=1)
def read_works(path, changed):
    """Read works.tsv, once a run and again when it has changed: thousands of jobs ask for it."""
    with open(path, newline="", encoding="utf-8") as file:
        return {row["work_id"]: row for row in csv.DictReader(file, delimiter="\t")}


def match_environment():
    """The conda environment of `match`: COLMAP's, that of a graphics card, or the plain one."""
    section = config["match"]
    if "colmap" in (section["features"], section["matcher"]):
        return "../envs/colmap.yaml"
    return f"../envs/{'torch' if section['device'] == 'cuda' else 'vision'}.yaml"


def per_work(pattern):
    """An input function: `pattern` for every work."""
    return lambda wildcards: [
        pattern.format(results=RESULTS, work=work) for work in found_works()
    ]


def mask_table_of_work(wildcards):
    """The mask table of the artist of a work."""
    return f"{RESULTS}/masks/{found_works()[wildcards.work]['artist_id']}.parquet"


def all_mask_tables(wildcards):
    """The mask tables of all artists."""
    artists = sorted({row["artist_id"] for row in found_works().values()})
    return [f"{RESULTS}/masks/{artist}.parquet" for artist in artists]


def pairs_of_work(wildcards):
    """About how many image pairs of a work are tried."""
    images = int(found_works()[wildcards.work]["n_images"])
    if images > config["match"]["exhaustive_images"]:
        return images * config["match"]["neighbours"]
    return images * (images - 1) // 2


def threads_of_work(wildcards):
    """One thread for most works, which run side by side; eight for one that alone would take a thread an hour."""
    return 1 if pairs_of_work(wildcards) < 2000 else 8


def minutes_of_work(wildcards):
    """An hour, and three seconds of a thread for every pair: a cluster ends a job that takes longer."""
    return 60 + pairs_of_work(wildcards) // (20 * threads_of_work(wildcards))


@once_known
def threads_across(wildcards):
    """One thread for a small collection; eight where thousands of images are described."""
    images = sum(int(row["n_images"]) for row in found_works().values())
    return 1 if images < 2000 else 8


@once_known
def minutes_across(wildcards):
    """An hour, and a second of a thread for every image: a cluster ends a job that takes longer."""
    images = sum(int(row["n_images"]) for row in found_works().values())
    return 60 + images // (60 * threads_across(wildcards))


def minutes_of_set(name):
    """An hour, and for Blender, which takes seconds a view, a day."""
    return (
        1440 if config["render"]["renderer"] == "blender" and name != "scanned" else 60
    )


def truth_tables(*names):
    """Tables that only the museum has, since only there the truth is known."""
    return [f"{RESULTS}/tables/{name}.csv" for name in names] if MUSEUM else []


def museum_option():
    """Where the truth lies, for the commands that evaluate against it."""
    return f"--museum {shlex.quote(MUSEUM_FOLDER)}" if MUSEUM else ""


def record_config():
    """Write the settings of this run, defaults included, beside its results."""
    Path(RESULTS).mkdir(parents=True, exist_ok=True)
    Path(RUN_CONFIG).write_text(
        yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    )


def drkfs_weights():
    """Files of weights and words that a score is made with; where a rule trains one of them, it is trained first."""
    return [
        path
        for section, key in (
            ("drkfs", "detector"),
            ("drkfs", "descriptor_weights"),
            ("drkfs_score", "vocabulary"),
            ("drkfs_score", "mvcnn"),
        )
        if (path := config[section][key])
    ]


def drkfs_outputs():
    """The trained detector and descriptor and, where shapes are given, their scores."""
    models = expand("<results>/models/{model}/README.md", model=("points", "hardnet"))
    return models + (
        ["<results>/tables/drkfs_scores.csv"] if config["drkfs_score"]["shapes"] else []
    )


def check_shapes():
    """Refuse shapes without targets."""
    score = config["drkfs_score"]
    if bool(score["shapes"]) != bool(score["shape_targets"]):
        raise WorkflowError(
            "drkfs_score: shapes and shape_targets go together; give both or neither"
        )


check_shapes()
