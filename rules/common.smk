"""
Configuration, work list and helper functions of all rules: what liftnet.workflow decides, for Snakemake.

Nothing here computes results: it names files and turns settings into options of the command line.
"""

import json
import os
import shlex
import sys
from functools import wraps
from pathlib import Path

from snakemake.exceptions import IncompleteCheckpointException
from snakemake.logging import logger

# The folder of this Snakefile, not of one that uses it as a module: a checkout, in which its own liftnet is imported, or
# what an installed liftnet brings along. Where Snakemake fetches single files (`github(...)`), it is no folder at all.
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
IS_CHECKOUT = (HERE / "liftnet").is_dir()
if IS_CHECKOUT:
    sys.path.insert(0, str(HERE))

from liftnet.workflow import configuration, events, experiments, home, jobs, outputs, reconstruction, remembered
from liftnet.workflow import results_folder, sources, user_paths

HOME = HERE if HERE.is_dir() else home.workflow_home()
CODE = HERE if IS_CHECKOUT else home.CODE

# Jobs find the interpreter that runs Snakemake even where its environment is not activated, and this liftnet; with
# --use-conda the job's own environment comes before it, in which envs/*.post-deploy.sh put the one of LIFTNET_HOME.
os.environ.update(
    LIFTNET_HOME=str(CODE),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    PYTHONPATH=os.pathsep.join(filter(None, [str(HERE) if IS_CHECKOUT else "", os.environ.get("PYTHONPATH")])),
)

SCHEMA_FILE = HOME / "workflow" / "schemas" / "config.schema.yaml"
SCHEMA = configuration.read_schema(SCHEMA_FILE)
IS_MODULE = not workflow.modifier.is_main_snakefile()
IS_UNLOCKING = "--unlock" in sys.argv  # from which nothing that is refused may keep
IS_UNLOCKED = "--nolock" in sys.argv
config = configuration.load_configuration(user_paths.words_as_written(config, SCHEMA, sys.argv), SCHEMA_FILE)
config["results"] = results_folder.results_path(config["results"])
if not IS_UNLOCKING:
    user_paths.check_words(sys.argv)
    sources.Sources.of(config).check()
    jobs.check_match(config["match"], SCHEMA["properties"]["match"])
    explicit = {} if IS_MODULE else workflow.config_settings.overwrite_config
    explicit = user_paths.words_as_written(explicit, SCHEMA, sys.argv)
    config, told = remembered.settings_of_call(config, explicit, SCHEMA, workflow.is_main_process)
    if workflow.is_main_process:  # the call itself, and not one of its jobs
        user_paths.tell(told)
        asked = sources.Sources.of(config)
        results_folder.check_results(asked.results, asked.folders(), HOME)
        user_paths.tell("" if IS_UNLOCKED else results_folder.told_of_locks(asked.results))
        user_paths.tell("" if events.is_started_by_us() else asked.layout())
        events.attach(logger)

RESULTS = user_paths.without_braces(config["results"], is_folder=True)
SOURCES = sources.Sources.of({**config, "results": RESULTS})
MUSEUM = SOURCES.is_museum
MUSEUM_FOLDER = SOURCES.museum_folder
RUN_CONFIG = f"{RESULTS}/{remembered.RECORD}"
HELD = []  # the lock on the results, from the first job on
PLANS = HOME / config["experiments"]["plans"]


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
    place=r"(demo/)?",


def options(path, *groups):
    """The seed and a subtree of the configuration, or some groups of it, as options of a command."""
    return shlex.join(["--seed", str(config["seed"]), "--settings", section(path, *groups)])


def reported(path, caption, category, **labels):
    """An output that `snakemake --report` shows, with a caption of workflow/report/."""
    where = f"../workflow/report/{caption}.rst"
    return report(path, caption=where, category=category, labels=labels or None)


def section(path, *groups):
    """A subtree of the configuration as JSON, for `--settings`; of it only `groups`, if some are named."""
    chosen, _ = subtrees(path, *groups)
    return user_paths.json_without_braces(json.dumps(chosen, sort_keys=True))


def subtrees(path, *groups):
    """A subtree of the configuration and of its schema; of both only `groups`, if some are named."""
    tree, schema = config, SCHEMA
    for name in path.split("."):
        tree, schema = tree[name], schema["properties"][name]
    return {group: tree[group] for group in groups} if groups else tree, schema


def state_of(path, *groups):
    """What changes when a user's file or folder that these settings name does; beside `options` of the same."""
    return sources.state_of_settings(*subtrees(path, *groups), RESULTS)


def list_inputs(wildcards):
    """The files that an entry of `sources:` is read from."""
    return sources.files_of_entry(SOURCES.entry(wildcards.source))


def list_settings(wildcards):
    """The options of an entry of `sources:`."""
    return sources.settings_of_entry(SOURCES.entry(wildcards.source))


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
    return jobs.read_download_plan(str(checkpoints.plan_downloads.get().output[0]))


def all_fetched(wildcards):
    """What is wanted, and the tables of all jobs of the plan."""
    return [f"{RESULTS}/downloads/wanted.parquet", *(f"{RESULTS}/fetched/{job}.parquet" for job in planned_jobs())]


def memory_of_job(wildcards):
    """Memory of a job of the plan."""
    return jobs.memory_of_fetch(planned_jobs()[wildcards.job])


def threads_of_job(wildcards):
    """Threads of a job of the plan."""
    return jobs.threads_of_fetch(wildcards.job)


@once_known
def memory_of_manifest(wildcards):
    """Memory of the job that joins all downloads."""
    return jobs.memory_of_manifest(sum(planned_jobs().values()))


def found_works():
    """The works that `collect` found."""
    return jobs.read_works(str(checkpoints.collect_images.get().output.works))


def match_environment():
    """The conda environment of `match`."""
    name = jobs.environment_of_match(config["match"], SCHEMA["properties"]["match"])
    return f"../envs/{name}.yaml"


def seconds_of_match():
    """How long the matcher may take for a pair."""
    return jobs.seconds_of_match(config["match"], SCHEMA["properties"]["match"])


def memory_of_match(wildcards, threads):
    """Memory of the job that matches a work."""
    return jobs.memory_of_match(config["match"], SCHEMA["properties"]["match"], threads)


def per_work(*folders):
    """An input function: the tables of every work in `folders`."""
    return lambda wildcards: [f"{RESULTS}/{folder}/{work}.parquet" for folder in folders for work in found_works()]


def mask_table_of_work(wildcards):
    """The mask table of the artist of a work."""
    return f"{RESULTS}/masks/{found_works()[wildcards.work].artist}.parquet"


def masks_to_match_on(wildcards):
    """The mask table of a work if its features are sought on the foreground alone."""
    first = config["match"]["search"]["mask_first"]
    return mask_table_of_work(wildcards) if first else []


def all_mask_tables(wildcards):
    """The mask tables of all artists."""
    return outputs.mask_tables(RESULTS, found_works())


def pairs_of_work(wildcards):
    """About how many image pairs of a work are tried."""
    return jobs.pairs_of_work(
        found_works()[wildcards.work].images,
        config["match"]["pairs"]["exhaustive_images"],
        config["match"]["pairs"]["neighbours"],
    )


def threads_of_work(wildcards):
    """Threads of the jobs of a work."""
    return jobs.threads_of_work(pairs_of_work(wildcards))


def minutes_of_work(wildcards):
    """Minutes of the jobs of a work."""
    return jobs.minutes_of_work(pairs_of_work(wildcards))


def minutes_of_matching(wildcards):
    """Minutes of the job that matches a work."""
    return jobs.minutes_of_work(pairs_of_work(wildcards), seconds_of_match())


def images_of_collection():
    """How many images all works have."""
    return sum(work.images for work in found_works().values())


@once_known
def threads_across(wildcards):
    """Threads of the jobs between splits."""
    return jobs.threads_of_collection(images_of_collection())


@once_known
def minutes_across(wildcards):
    """Minutes of the jobs between splits."""
    return jobs.minutes_of_collection(images_of_collection())


@once_known
def minutes_of_matching_across(wildcards):
    """Minutes of the job that matches between splits: each image with some others."""
    partners = config["match"]["cross_split"]["partners"]
    return jobs.minutes_of_collection(images_of_collection(), 1 + partners * (seconds_of_match() - 3))


def memory_of_matching_across(wildcards, threads):
    """Memory of that job: four gigabytes for the features of all images."""
    return 4000 + memory_of_match(wildcards, threads)


def minutes_of_set(name):
    """Minutes of the job that renders a set."""
    return jobs.minutes_of_set(name, config["render"]["orthographic"]["renderer"])


def groups_of_set(name):
    """The groups of `render` that decide what a rendered set holds."""
    return ["views", *([] if name == "scanned" else ["orthographic"]), name]


def files_of_set(wildcards):
    """The user's files that a rendered set is made of; those of ShapeNetCore are too many to be inputs."""
    folder = config["render"][wildcards.set]["folder"]
    return sources.inputs_below(folder) if folder and wildcards.set not in sources.OF_SHAPENET else []


def state_of_set(name):
    """What changes when one of the user's files of a set does."""
    return sources.state_of_set(name, config["render"][name]["folder"])


def scored_folders():
    """The shapes that are scored and their targets, two paths or none."""
    named = (config["drkfs"]["shapes"], config["drkfs"]["shape_targets"])
    return [path for path in named if path]


def scored_files(wildcards):
    """The files that scores depend on, in whatever folder."""
    return [file for path in scored_folders() for file in sources.inputs_below(path)]


def truth_tables(*names):
    """Tables that only the synthetic museum has."""
    return outputs.truth_tables(RESULTS, MUSEUM, names)


def museum_option():
    """Where the truth lies, for the commands that evaluate against it."""
    return f"--museum {shlex.quote(MUSEUM_FOLDER)}" if MUSEUM else ""


def record_config():
    """Write the settings of this run, defaults included, beside its results, which are held until it ends."""
    if not IS_UNLOCKED:
        HELD.append(results_folder.hold(RESULTS))
    remembered.record(config, RESULTS)


def config_option():
    """Where the settings of this run are recorded; Snakemake does not run `onstart:` of a module."""
    if IS_MODULE:
        return ""
    return f"--config {shlex.quote(RUN_CONFIG)}"


def drkfs_weights():
    """Files of weights and words that a score is made with; where a rule trains one of them, it is trained first."""
    return [
        user_paths.without_braces(path)
        for group, key in (
            ("metric", "detector"),
            ("metric", "descriptor_weights"),
            ("score", "vocabulary"),
            ("score", "mvcnn"),
        )
        if (path := config["drkfs"][group][key])
    ]


def drkfs_outputs():
    """What the target `drkfs` asks for."""
    return outputs.drkfs_outputs(RESULTS, config["drkfs"]["shapes"])


outputs.check_shapes(config["drkfs"]["shapes"], config["drkfs"]["shape_targets"])


DEPTH_EXPERIMENTS = experiments.DepthExperiments(
    experiments.read_plan(PLANS / "depth.yaml"),
    experiments.Configured.of(config, MUSEUM),
)
DEPTH_EXPERIMENTS.check_overrides(SCHEMA)
DRKFS_PLAN = experiments.read_plan(PLANS / "drkfs.yaml")
RECONSTRUCTION_PLAN = experiments.read_plan(PLANS / "reconstruction.yaml")
RECONSTRUCTIONS = {
    place: reconstruction.ReconstructionExperiments(
        RECONSTRUCTION_PLAN,
        reconstruction.ReconstructionConfigured.of(config),
        place,
    )
    for place in ("", reconstruction.DEMO)
}
RECONSTRUCTIONS[""].check_overrides(SCHEMA)
