"""
Helper functions of the experiments: what each run is trained from, measured on and shown beside.

As in common.smk, nothing here computes results. PLAN is workflow/experiments.yaml, which says what is trained on what
and stands in which table.
"""

EXPERIMENTS = config["experiments"]
PLAN_FILE = str(HOME / EXPERIMENTS["plan"])
PLAN = yaml.safe_load(Path(PLAN_FILE).read_text(encoding="utf-8"))
SEEDS = range(config["seed"], config["seed"] + EXPERIMENTS["seeds"])


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
    """Settings of a run: depth.train, the plan's, the run's, what the configuration overrides; the later ones win."""
    run = PLAN["runs"][wildcards.run]
    overrides = EXPERIMENTS["overrides"]
    settings = config["depth"]["train"]
    for changes in (
        PLAN.get("settings", {}),
        {"method": run.get("method", "correspondences")},
        run.get("settings", {}),
        overrides.get(run["train"], {}),
        overrides.get(wildcards.run, {}),
    ):
        settings = merged(settings, changes)
    return shlex.join(["--settings", json.dumps(settings, sort_keys=True)])


def merged(settings, changes):
    """Nested settings with some changed; what `changes` does not name stays, in groups too."""
    groups = {
        name
        for name, value in changes.items()
        if isinstance(value, dict) and isinstance(settings.get(name), dict)
    }
    inner = {name: merged(settings[name], changes[name]) for name in groups}
    return {**settings, **changes, **inner}


def check_overrides():
    """Refuse overrides of settings, sets or runs that do not exist."""
    schema = yaml.safe_load(
        (HOME / "workflow" / "schemas" / "config.schema.yaml").read_text(
            encoding="utf-8"
        )
    )
    training = schema["properties"]["depth"]["properties"]["train"]
    for name, values in EXPERIMENTS["overrides"].items():
        if name not in {*PLAN["runs"], *PLAN["sets"]}:
            raise WorkflowError(
                f"experiments.overrides: {name!r} is neither a run nor a training set of {EXPERIMENTS['plan']}"
            )
        wrong = configuration.problems(values, training)
        if wrong:
            raise WorkflowError(
                f"experiments.overrides.{name}: {'; '.join(wrong)}; see the section depth.train"
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
        words += ["--settings", section("depth.train.input")]
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
