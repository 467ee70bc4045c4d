"""
Configuration, work list and helper functions of all rules.

Nothing here computes results: it names files and turns settings into options of the command line.
"""

import csv
import os
import shlex
import sys
from functools import lru_cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from snakemake.exceptions import WorkflowError
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
MUSEUM = config["photos"] is None
MUSEUM_FOLDER = f"{RESULTS}/museum"
RUN_CONFIG = f"{RESULTS}/run_config.yaml"

# Settings that only the later commands of a stage read: changing one of them does not train again.
DEPTH_EVALUATION = ("evaluation_pairs", "n_examples")
DEPTH_SFM = ("sfm_masks", "sfm_min_images")
DEPTH_TRAINING = tuple(
    key for key in config["depth"] if key not in (*DEPTH_EVALUATION, *DEPTH_SFM)
)
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
    "threshold",
)


# What is trained on what and stands in which table; see the file itself.
EXPERIMENTS = config["experiments"]
PLAN_FILE = str(Path(workflow.basedir) / EXPERIMENTS["plan"])
PLAN = yaml.safe_load(Path(PLAN_FILE).read_text(encoding="utf-8"))
SEEDS = range(config["seed"], config["seed"] + EXPERIMENTS["seeds"])


wildcard_constraints:
    work=r"[a-z0-9-]+",
    artist=r"[a-z0-9-]+",
    set=r"[a-z]+",
    run=r"[a-z][a-z0-9-]*",
    seed=r"\d+",
    table=r"[a-z0-9]+",
    figure=r"[a-z0-9]+",


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
    """What `collect` depends on: the museum's list, the user's list, or every file of the user's folder."""
    if MUSEUM:
        return f"{MUSEUM_FOLDER}/sources.csv"
    source = photos_source()
    return str(source) if source.is_file() else sorted(map(str, source.glob("*/*/*")))


def photos_source():
    """The list or the folder that `photos:` names."""
    photos = Path(config["photos"])
    if not photos.exists():
        raise WorkflowError(
            f"photos: {photos} does not exist; name a folder with sources.csv, a folder of artist/work/*.jpg, or a "
            ".csv file: snakemake ... --config photos=FOLDER"
        )
    listed = photos / "sources.csv"
    return listed if listed.is_file() else photos


def source_option():
    """How `collect` is told its source."""
    if MUSEUM:
        return f"--museum {shlex.quote(MUSEUM_FOLDER)}"
    source = photos_source()
    return (
        f"{'--csv' if source.is_file() else '--directory'} {shlex.quote(str(source))}"
    )


def found_works():
    """The rows of works.tsv by work, as `collect` found them; the workflow's only checkpoint."""
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


def minutes_of_set(name):
    """An hour, and for Blender, which takes seconds a view, a day."""
    return 1440 if config["render"]["renderer"] == "blender" and name != "scanned" else 60


def truth_tables(*names):
    """Tables that only the museum has, since only there the truth is known."""
    return [f"{RESULTS}/tables/{name}.csv" for name in names] if MUSEUM else []


def museum_option():
    """Where the truth lies, for the commands that evaluate against it."""
    return f"--museum {shlex.quote(MUSEUM_FOLDER)}" if MUSEUM else ""


def has_set(name):
    """Whether a set of the plan with true depth is at hand: the museum's needs the museum, real scans their folder."""
    if name == "sculptures":
        return MUSEUM
    return name != "scans" or EXPERIMENTS["scans"] is not None


def has_run(name):
    """Whether a run of the plan can be trained: one that learns from the museum's true depth needs the museum."""
    return MUSEUM or PLAN["runs"][name].get("targets") != "museum"


def folder_of(name):
    """The folder of a set of the plan."""
    if name == "scans":
        return EXPERIMENTS["scans"].rstrip("/")
    return below_results(PLAN["sets"][name]["folder"])


def below_results(folder):
    """A folder of the plan, which stands below the results."""
    return RESULTS if folder == "." else f"{RESULTS}/{folder}"


def truth_of(name):
    """The folder of the true depth of a set of the plan."""
    truth = PLAN["sets"][name].get("truth")
    return below_results(truth) if truth else folder_of(name)


def files_of_set(name):
    """The files that say a set is complete: with a manifest a rendered set has all else."""
    if name == "sculptures":
        return [f"{RESULTS}/manifest.parquet", f"{RESULTS}/dataset"]
    return [f"{folder_of(name)}/manifest.parquet"]


def sources_of_run(wildcards):
    """What a run is trained from: its set, and the depth that it regresses."""
    run = PLAN["runs"][wildcards.run]
    targets = run.get("targets")
    truth = [f"{below_results(targets)}/truth.parquet"] if targets else []
    return files_of_set(run["train"]) + truth


def source_options_of_run(wildcards):
    """How `depth train` is told where a run's set and targets lie."""
    run = PLAN["runs"][wildcards.run]
    folder = folder_of(run["train"])
    words = ["--root", folder, "--dataset", f"{folder}/dataset"]
    if run.get("targets"):
        words += ["--targets", below_results(run["targets"])]
    return shlex.join(words)


def settings_of_run(wildcards):
    """Settings of a run as options: the section `depth`, the run's own, and what the configuration overrides."""
    run = PLAN["runs"][wildcards.run]
    overrides = EXPERIMENTS["overrides"]
    section = {
        **config["depth"],
        "method": run.get("method", "correspondences"),
        **run.get("settings", {}),
        **overrides.get(run["train"], {}),
        **overrides.get(wildcards.run, {}),
    }
    return options_of(section, DEPTH_TRAINING)


def check_overrides():
    """Refuse overrides of settings, sets or runs that do not exist."""
    for name, values in EXPERIMENTS["overrides"].items():
        if name not in {*PLAN["runs"], *PLAN["sets"]}:
            raise WorkflowError(
                f"experiments.overrides: {name!r} is neither a run nor a training set of {EXPERIMENTS['plan']}"
            )
        unknown = sorted(set(values) - set(DEPTH_TRAINING))
        if unknown:
            raise WorkflowError(
                f"experiments.overrides.{name}: unknown key {', '.join(unknown)}; see the section depth"
            )


check_overrides()


def sources_of_scores(wildcards):
    """What a run is measured with: its model, if it is no prior, and the set."""
    prior = "prior" in PLAN["runs"][wildcards.run]
    model = f"{RESULTS}/models/{wildcards.run}-s{wildcards.seed}/model.safetensors"
    truth = f"{truth_of(wildcards.set)}/truth.parquet"
    return [*files_of_set(wildcards.set), truth] + ([] if prior else [model])


def options_of_scores(wildcards):
    """How `depth score` is told what to measure where."""
    run, chosen = PLAN["runs"][wildcards.run], PLAN["sets"][wildcards.set]
    model = ["--model", f"{RESULTS}/models/{wildcards.run}-s{wildcards.seed}"]
    words = ["--prior", run["prior"]] if "prior" in run else model
    words += ["--run", wildcards.run, "--set", wildcards.set]
    words += ["--root", folder_of(wildcards.set), "--truth", truth_of(wildcards.set)]
    words += ["--split", chosen.get("split", "test")]
    words += ["--unit", chosen.get("unit", "half width")]
    if "prior" in run:
        return f"{shlex.join(words)} {settings('depth', *PRIOR_SETTINGS)}"
    return shlex.join(words)


def scores_of_table(wildcards):
    """The score files of a table: each of its runs with each seed (priors have none) on each of its sets."""
    table = PLAN["tables"][wildcards.table]
    runs = [row["run"] for row in table["rows"] if has_run(row["run"])]
    return [
        f"{RESULTS}/scores/{run}-s{seed}/{name}.parquet"
        for name in filter(has_set, table["sets"])
        for run in runs
        for seed in (SEEDS[:1] if "prior" in PLAN["runs"][run] else SEEDS)
    ]


def models_of_figure(wildcards):
    """The models of a figure, of the first seed."""
    runs = filter(has_run, PLAN["figures"][wildcards.figure]["models"])
    return [f"{RESULTS}/models/{run}-s{SEEDS[0]}/model.safetensors" for run in runs]


def sets_of_figure(wildcards):
    """The sets of a figure: photographs need no true depth to be shown."""
    names = PLAN["figures"][wildcards.figure]["sets"]
    return [name for name in names if name == "sculptures" or has_set(name)]


def manifests_of_figure(wildcards):
    """What says that the sets of a figure are complete."""
    return [path for name in sets_of_figure(wildcards) for path in files_of_set(name)]


def options_of_figure(wildcards):
    """How `depth figure` is told its sets, its models and how many images to show."""
    figure = PLAN["figures"][wildcards.figure]
    runs = list(filter(has_run, figure["models"]))
    words = ["--models", *(f"{RESULTS}/models/{run}-s{SEEDS[0]}" for run in runs)]
    words += ["--methods", *map(method_name, runs)]
    words += ["--roots", *map(folder_of, sets_of_figure(wildcards))]
    return shlex.join([*words, "--images", str(figure.get("images", 1))])


def method_name(run):
    """What the tables call a run."""
    rows = (row for table in PLAN["tables"].values() for row in table["rows"])
    return next((row["method"] for row in rows if row["run"] == run), run)


def experiment_outputs():
    """All tables of the plan that have a set at hand, and all figures."""
    tables = [
        name
        for name, table in PLAN["tables"].items()
        if any(map(has_set, table["sets"]))
    ]
    return [
        *(f"{RESULTS}/tables/depth_table{name}.csv" for name in tables),
        *(f"{RESULTS}/figures/depth_figure{name}.html" for name in PLAN["figures"]),
    ]


def record_config():
    """Write the settings of this run, defaults included, beside its results."""
    Path(RESULTS).mkdir(parents=True, exist_ok=True)
    Path(RUN_CONFIG).write_text(
        yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    )
