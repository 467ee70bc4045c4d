"""`study build`, `simulate` and `analyse` as they are typed."""

import pandas as pd
import pytest
from study_items import written_items

from liftnet.__main__ import build_parser
from liftnet.core.errors import LiftnetError


def command(*words):
    arguments = build_parser().parse_command(["reconstruct", "study", *map(str, words)])
    return arguments.run(arguments)


def test_a_study_is_built_tried_and_analysed_by_three_commands(tmp_path):
    table = written_items(tmp_path / "items", per_class=6)
    small = "--questions", 8, "--checks", 3, "--picture-px", 64
    command("build", "--items", table, "--out", tmp_path, "--seed", 3, *small)
    files = "--plan", tmp_path / "ps1-plan.json", "--key", tmp_path / "ps1-key.json"
    command("simulate", *files, "--out", tmp_path / "voters", "--voters", 20, "--share", 0.9, "--careless", 0)
    command("analyse", *files, "--answers", tmp_path / "voters", "--out", tmp_path / "tables" / "study_ps1")
    row = pd.read_csv(tmp_path / "tables" / "study_ps1.csv").iloc[0]
    assert row["items"] == 8
    assert row["participants"] >= 18
    assert row["share"] > 0.7
    assert (tmp_path / "tables" / "study_ps1.md").read_text().startswith("Simulated PS-1")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ((), "needs --root and --models, or --items"),
        (("--root", "r"), "needs --root and --models, or --items"),
        (("--root", "r", "--models", "a=b,c", "--items", "i.csv"), "needs --root and --models, or --items"),
        (("--root", "r", "--models", "a=b"), "names no network and two tables"),
        (("--items", "gone.csv"), "cannot be read as CSV"),
    ],
)
def test_what_is_missing_or_too_much_is_named(tmp_path, words, fault):
    with pytest.raises(LiftnetError, match=fault):
        command("build", "--out", tmp_path, *words)


def test_no_voters_are_too_few(tmp_path):
    files = "--plan", tmp_path / "p", "--key", tmp_path / "k"
    with pytest.raises(LiftnetError, match="--voters"):
        command("simulate", *files, "--out", tmp_path, "--voters", 0)
