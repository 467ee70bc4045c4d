"""The experiments with reconstruction networks as jobs: what each run goes on from, learns by and is measured on.

The plan (workflow/experiments/reconstruction.yaml) says what is trained by what; the configuration how often and with
what settings that differ. The demo is the same with what the plan's `demo` leaves of it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liftnet.workflow.experiments import check_overrides, merged

Tree = Mapping[str, Any]
DEMO = "demo/"


@dataclass(frozen=True)
class ReconstructionConfigured:
    """What the configuration says of these experiments.

    Args:
        results: Folder of all outputs.
        seeds: Seeds of the trainings of each run.
        rendering: Settings of the set of shapes.
        training: Settings of a training.
        evaluation: Settings of an evaluation.
        overrides: Settings of a training that differ, by network or run.
    """

    results: str
    seeds: range
    rendering: Tree
    training: Tree
    evaluation: Tree
    overrides: Mapping[str, Tree]

    @classmethod
    def of(cls, config: Tree) -> ReconstructionConfigured:
        """What a configuration with all its defaults says."""
        own = config["experiments"]["reconstruction"]
        return cls(
            results=config["results"].rstrip("/"),
            seeds=range(config["seed"], config["seed"] + own["seeds"]),
            rendering=config["render"]["reconstruction"],
            training=config["reconstruct"]["train"],
            evaluation=config["reconstruct"]["evaluate"],
            overrides=own["overrides"],
        )


@dataclass(frozen=True)
class ReconstructionExperiments:
    """The jobs of the experiments with reconstruction networks, or of their demo.

    Args:
        plan: What workflow/experiments/reconstruction.yaml holds.
        configured: What the configuration says of them.
        place: Folder below the results in which all of it lies: "" or DEMO.
    """

    plan: Tree
    configured: ReconstructionConfigured
    place: str = ""

    @property
    def folder(self) -> str:
        """Where models and scores lie."""
        return f"{self._results}/reconstruct"

    @property
    def shapes(self) -> str:
        """Folder of the set of shapes."""
        return f"{self._results}/renders/reconstruction"

    def seeds(self) -> range:
        """Seeds of the trainings of each run; of the demo one."""
        return self.configured.seeds[:1] if self.is_demo else self.configured.seeds

    @property
    def is_demo(self) -> bool:
        """Whether this is the demo."""
        return self.place == DEMO

    def rendering_settings(self) -> str:
        """The settings of the set of shapes as JSON."""
        return _json({"reconstruction": self._of_demo(self.configured.rendering, "rendering")})

    def training_inputs(self, run: str, seed: str) -> list[str]:
        """The files a run is trained from: the set, the model it goes on from, and those that set its pace."""
        entry = self.plan["runs"][run]
        pace = entry.get("pace", {})
        runs = [name for name in (entry.get("start"), pace.get("as_long_as"), pace.get("by")) if name]
        return [f"{self.shapes}/shapes.parquet", *(self._weights(name, seed) for name in runs)]

    def training_settings(self, run: str, seed: str) -> str:
        """The settings of a run as JSON; the later of what says them win, setting by setting.

        The configuration's, the plan's, those of runs that go on from another one, the run's, those of the demo, what
        the configuration overrides by network and by run.
        """
        entry, overrides = self.plan["runs"][run], self.configured.overrides
        start = entry.get("start")
        own = {"network": {"architecture": entry["network"]}}
        layers = [
            self.plan.get("settings", {}),
            self.plan.get("further", {}) if start else {},
            own,
            entry.get("settings", {}),
            self.plan["demo"].get("training", {}) if self.is_demo else {},
            overrides.get(entry["network"], {}),
            overrides.get(run, {}),
        ]
        settings = dict(self.configured.training)
        for layer in layers:
            settings = merged(settings, layer)
        settings |= {"losses": entry.get("losses", {}), "init_from": self._model(start, seed) if start else None}
        return _json(settings)

    def training_options(self, run: str, seed: str) -> str:
        """How `reconstruct train` is told where the set lies, and how long it may take."""
        pace = self.plan["runs"][run].get("pace")
        words = ["--root", self.shapes]
        if pace:
            words += [
                "--as-long-as",
                self._model(pace["as_long_as"], seed),
                "--paced-by",
                self._model(pace["by"], seed),
            ]
        return shlex.join(words)

    def truth_inputs(self) -> list[str]:
        """The files that the true shapes are described with."""
        network = self._evaluation()["comparison"].get("mvcnn")
        return [f"{self.shapes}/shapes.parquet", *([f"{network}/model.safetensors"] if network else [])]

    def score_inputs(self, run: str, seed: str) -> list[str]:
        """The files a run is measured with: the described set, and its model if it is no reference."""
        model = [] if self._is_reference(run) else [self._weights(run, seed)]
        return [f"{self.shapes}/descriptors.done", *self.truth_inputs(), *model]

    def score_options(self, run: str, seed: str) -> str:
        """How `reconstruct evaluate` is told what to measure where."""
        reference = self.plan["runs"][run].get("reference")
        what = ["--reference", reference] if reference else ["--model", self._model(run, seed)]
        return shlex.join([*what, "--run", run, "--root", self.shapes])

    def evaluation_settings(self) -> str:
        """The settings of an evaluation as JSON."""
        return _json(self._evaluation())

    def table_scores(self, table: str) -> list[str]:
        """The score files of a table: each of its runs with each seed; references have none."""
        rows = self.plan["tables"][table]["rows"]
        runs = dict.fromkeys(name for row in rows for name in (row["run"], row.get("than")) if name)
        return [
            f"{self.folder}/scores/{run}-s{seed}.parquet"
            for run in filter(self._is_run, runs)
            for seed in self.seeds()[: 1 if self._is_reference(run) else None]
        ]

    def figure_scores(self, figure: str) -> list[str]:
        """The score files, beside which meshes lie, of a figure; of the first seed."""
        runs = [run for group in self.plan["figures"][figure]["runs"].values() for run in group]
        seed = self.seeds()[0]
        return [f"{self.folder}/scores/{run}-s{seed}.parquet" for run in filter(self._is_run, runs)]

    def outputs(self) -> list[str]:
        """All tables and figures that have a run."""
        tables = [name for name in self.plan["tables"] if self.table_scores(name)]
        figures = [name for name in self.plan.get("figures", {}) if self.figure_scores(name)]
        return [
            *(f"{self._results}/tables/{name}.csv" for name in tables),
            *(f"{self._results}/figures/reconstruction_figure{name}.html" for name in figures),
        ]

    def check_overrides(self, schema: Tree) -> None:
        """Refuse overrides of networks and runs that do not exist, and settings that a training does not have.

        Args:
            schema: JSON schema of the configuration.

        Raises:
            LiftnetError: Something is overridden that is not there, or a value is not allowed.
        """
        networks = {run["network"] for run in self.plan["runs"].values() if "network" in run}
        known = {"run": set(self.plan["runs"]), "network": networks}
        check_overrides(self.configured.overrides, known, "reconstruction", "reconstruct", schema)

    @property
    def _results(self) -> str:
        return f"{self.configured.results}/{self.place}".rstrip("/")

    def _evaluation(self) -> dict[str, Any]:
        planned = merged(dict(self.configured.evaluation), self.plan.get("evaluation", {}))
        settings = self._of_demo(planned, "evaluation")
        if "mvcnn" in settings["metrics"] and settings["comparison"].get("mvcnn") is None:
            settings = merged(settings, {"comparison": {"mvcnn": f"{self.configured.results}/models/mvcnn"}})
        return settings

    def _of_demo(self, settings: Tree, group: str) -> dict[str, Any]:
        return merged(settings, self.plan["demo"].get(group, {}) if self.is_demo else {})

    def _is_run(self, run: str) -> bool:
        """Whether a run is carried out: all are but those of networks that the demo leaves out."""
        network = self.plan["runs"][run].get("network")
        return not self.is_demo or network is None or network in self.plan["demo"]["networks"]

    def _is_reference(self, run: str) -> bool:
        return "reference" in self.plan["runs"][run]

    def _model(self, run: str, seed: str | int) -> str:
        return f"{self.folder}/models/{run}-s{seed}"

    def _weights(self, run: str, seed: str | int) -> str:
        return f"{self._model(run, seed)}/model.safetensors"


def _json(settings: Tree) -> str:
    return json.dumps(settings, sort_keys=True)
