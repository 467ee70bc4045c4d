"""The experiments of the papers as jobs: what each run is trained from, measured on and shown beside.

A plan (workflow/experiments/depth.yaml) says what is trained on what and stands in which table; the configuration says
how often, with what settings that differ, and what data are at hand.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftnet.core.documents import parse_own_yaml
from liftnet.core.errors import LiftnetError
from liftnet.core.opening import read_text
from liftnet.workflow.configuration import problems

MUSEUM = "museum"  # the folder of the synthetic museum below the results, where its true depth lies
SCANS = "scans"  # the set whose folder the user names
Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Configured:
    """What the configuration says of the experiments.

    Args:
        results: Folder of all outputs.
        has_museum: Whether the run collects the synthetic museum, whose true depth is known.
        seeds: Seeds of the trainings of each run.
        scans: Folder of the set SCANS, None without.
        training: Settings of a training, nested as in config.yaml.
        prior: Settings of what a prior sees of an image.
        overrides: Settings of a training that differ, by training set or run.
    """

    results: str
    has_museum: bool
    seeds: range
    scans: str | None
    training: Tree
    prior: Tree
    overrides: Mapping[str, Tree]

    @classmethod
    def of(cls, config: Tree, has_museum: bool) -> Configured:
        """What a configuration with all its defaults says."""
        own, training = config["experiments"]["depth"], config["depth"]["train"]
        return cls(
            results=config["results"].rstrip("/"),
            has_museum=has_museum,
            seeds=range(config["seed"], config["seed"] + own["seeds"]),
            scans=own["scans"],
            training=training,
            prior=training["input"],
            overrides=own["overrides"],
        )


@dataclass(frozen=True)
class DepthExperiments:
    """The jobs of the experiments of the LiftNet paper.

    Args:
        plan: What workflow/experiments/depth.yaml holds.
        configured: What the configuration says of them.
    """

    plan: Tree
    configured: Configured

    def has_images(self, name: str) -> bool:
        """Whether a set of the plan is at hand: of real scans the user names the folder."""
        return name != SCANS or self.configured.scans is not None

    def has_truth(self, name: str) -> bool:
        """Whether a set of the plan with true depth is at hand."""
        museum_only = self.plan["sets"][name].get("truth") == MUSEUM
        return self.has_images(name) and (self.configured.has_museum or not museum_only)

    def can_train(self, run: str) -> bool:
        """Whether a run can be trained: one that learns from the museum's true depth needs the museum."""
        return self.configured.has_museum or self.plan["runs"][run].get("targets") != MUSEUM

    def training_inputs(self, run: str) -> list[str]:
        """The files a run is trained from: those of its set, and the depth that it regresses."""
        entry = self.plan["runs"][run]
        truth = [f"{self._below(entry['targets'])}/truth.parquet"] if entry.get("targets") else []
        return [*self._files_of_set(entry["train"]), *truth]

    def training_options(self, run: str) -> str:
        """How `depth train` is told where a run's set and targets lie."""
        entry = self.plan["runs"][run]
        folder = self._folder(entry["train"])
        targets = ["--targets", self._below(entry["targets"])] if entry.get("targets") else []
        return shlex.join(["--root", folder, *targets])

    def training_settings(self, run: str) -> str:
        """The settings of a run as JSON: the configuration's, the plan's, the run's, what the configuration overrides.

        The later ones win, setting by setting.
        """
        entry, overrides = self.plan["runs"][run], self.configured.overrides
        layers = (
            self.plan.get("settings", {}),
            {"method": entry.get("method", "correspondences")},
            entry.get("settings", {}),
            overrides.get(entry["train"], {}),
            overrides.get(run, {}),
        )
        settings = dict(self.configured.training)
        for layer in layers:
            settings = merged(settings, layer)
        return json.dumps(settings, sort_keys=True)

    def score_inputs(self, run: str, seed: str, name: str) -> list[str]:
        """The files a run is measured with: its set with the truth, and its model if it is no prior."""
        truth = f"{self._truth(name)}/truth.parquet"
        model = [] if self._is_prior(run) else [f"{self._model(run, seed)}/model.safetensors"]
        return [*self._files_of_set(name), truth, *model]

    def score_options(self, run: str, seed: str, name: str) -> str:
        """How `depth score` is told what to measure where."""
        entry, chosen = self.plan["runs"][run], self.plan["sets"][name]
        what = ["--prior", entry["prior"]] if self._is_prior(run) else ["--model", self._model(run, seed)]
        where = ["--set", name, "--root", self._folder(name), "--truth", self._truth(name)]
        how = ["--split", chosen.get("split", "test"), "--unit", chosen.get("unit", "half width")]
        sees = ["--settings", json.dumps(self.configured.prior, sort_keys=True)] if self._is_prior(run) else []
        return shlex.join([*what, "--run", run, *where, *how, *sees])

    def table_scores(self, table: str) -> list[str]:
        """The score files of a table: each of its runs with each seed (priors have none) on each of its sets."""
        entry = self.plan["tables"][table]
        runs = [row["run"] for row in entry["rows"] if self.can_train(row["run"])]
        return [
            f"{self.configured.results}/scores/{run}-s{seed}/{name}.parquet"
            for name in filter(self.has_truth, entry["sets"])
            for run in runs
            for seed in self.configured.seeds[: 1 if self._is_prior(run) else None]
        ]

    def figure_models(self, figure: str) -> list[str]:
        """The models of a figure, of the first seed."""
        return [f"{self._model(run, self._first_seed)}/model.safetensors" for run in self._runs_of_figure(figure)]

    def figure_manifests(self, figure: str) -> list[str]:
        """What says that the sets of a figure are complete."""
        return [path for name in self._sets_of_figure(figure) for path in self._files_of_set(name)]

    def figure_options(self, figure: str) -> str:
        """How `experiments figure` is told its sets, its models and how many images to show."""
        runs = self._runs_of_figure(figure)
        words = ["--models", *(self._model(run, self._first_seed) for run in runs)]
        words += ["--methods", *map(self._method_name, runs)]
        words += ["--roots", *map(self._folder, self._sets_of_figure(figure))]
        return shlex.join([*words, "--images", str(self.plan["figures"][figure].get("images", 1))])

    def outputs(self) -> list[str]:
        """All tables that have a set with true depth at hand, and all figures."""
        results = self.configured.results
        tables = [name for name, table in self.plan["tables"].items() if any(map(self.has_truth, table["sets"]))]
        return [
            *(f"{results}/tables/depth_table{name}.csv" for name in tables),
            *(f"{results}/figures/depth_figure{name}.html" for name in self.plan.get("figures", {})),
        ]

    def check_overrides(self, schema: Tree) -> None:
        """Refuse overrides of sets and runs that do not exist, and settings that a training does not have.

        Args:
            schema: JSON schema of the configuration.

        Raises:
            LiftnetError: Something is overridden that is not there, or a value is not allowed.
        """
        known = {"run": set(self.plan["runs"]), "training set": set(self.plan["sets"])}
        check_overrides(self.configured.overrides, known, "depth", "depth", schema)

    @property
    def _first_seed(self) -> int:
        return self.configured.seeds[0]

    def _is_prior(self, run: str) -> bool:
        return "prior" in self.plan["runs"][run]

    def _model(self, run: str, seed: str | int) -> str:
        return f"{self.configured.results}/models/{run}-s{seed}"

    def _folder(self, name: str) -> str:
        if name == SCANS:
            return str(self.configured.scans).rstrip("/")
        return self._below(self.plan["sets"][name]["folder"])

    def _truth(self, name: str) -> str:
        truth = self.plan["sets"][name].get("truth")
        return self._below(truth) if truth else self._folder(name)

    def _below(self, folder: str) -> str:
        """A folder of the plan, which stands below the results."""
        return self.configured.results if folder == "." else f"{self.configured.results}/{folder}"

    def _files_of_set(self, name: str) -> list[str]:
        """What says that a set is complete: with a manifest a rendered set has all else, the run itself has not."""
        folder = self._folder(name)
        own = [f"{folder}/dataset"] if folder == self.configured.results else []
        return [f"{folder}/manifest.parquet", *own]

    def _runs_of_figure(self, figure: str) -> list[str]:
        return [run for run in self.plan["figures"][figure]["models"] if self.can_train(run)]

    def _sets_of_figure(self, figure: str) -> list[str]:
        """Photographs need no true depth to be shown."""
        return [name for name in self.plan["figures"][figure]["sets"] if self.has_images(name)]

    def _method_name(self, run: str) -> str:
        """What the tables call a run."""
        return next((row["method"] for row in self._rows() if row["run"] == run), run)

    def _rows(self) -> Iterator[Tree]:
        return (row for table in self.plan["tables"].values() for row in table["rows"])


def check_overrides(
    overrides: Mapping[str, Tree], known: Mapping[str, Collection[str]], section: str, stage: str, schema: Tree
) -> None:
    """Refuse overrides of what a plan does not have, and settings that the stage's training does not have.

    Args:
        overrides: Settings of a training by the name of what they are for.
        known: What there is, by what it is called: two kinds.
        section: Of `experiments` in the configuration.
        stage: What trains, a section of the configuration.
        schema: JSON schema of the configuration.

    Raises:
        LiftnetError: Something is overridden that is not there, or a value is not allowed.
    """
    training = schema["properties"][stage]["properties"]["train"]
    for name, values in overrides.items():
        where = f"experiments.{section}.overrides.{name}"
        if not any(name in names for names in known.values()):
            raise LiftnetError(where, f"{name!r} is neither a {' nor a '.join(known)} of the plan", "Correct it")
        found = problems(values, training)
        if found:
            raise LiftnetError(where, "; ".join(found), f"See {stage}.train of config.yaml")


def merged(settings: Tree, changes: Tree) -> dict[str, Any]:
    """Nested settings with some changed; what `changes` does not name stays, in groups too.

    >>> merged({"network": {"width": 16, "levels": 6}, "seed": 0}, {"network": {"width": 8}})
    {'network': {'width': 8, 'levels': 6}, 'seed': 0}
    """
    result = dict(settings)
    for key, value in changes.items():
        inner = result.get(key)
        is_group = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = merged(inner, value) if is_group else value  # type: ignore[arg-type]
    return result


def read_plan(file: Path) -> dict[str, Any]:
    """What a plan of experiments holds, unchecked: the commands check it.

    Raises:
        LiftnetError: There is no such file.
    """
    try:
        plan: dict[str, Any] = parse_own_yaml(read_text(file))
    except FileNotFoundError as error:
        raise LiftnetError(file, "does not exist", "Name the folder of the plans with experiments.plans") from error
    return plan


def drkfs_outputs(results: str, plan: Tree) -> list[str]:
    """The tables of the experiments of the DR-KFS paper."""
    return [f"{results}/tables/drkfs_{name}.csv" for name in plan["experiments"]]
