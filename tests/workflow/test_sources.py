"""`sources:` in the configuration: each entry becomes a list; what it may say depends on its kind."""

import pytest
import yaml
from pydantic import ValidationError
from workflow_tools import scheduled

from liftnet.collect.sources.lists import read_list
from liftnet.config import Config

pytestmark = pytest.mark.workflow
TABLE = {
    "name": "mine",
    "kind": "table",
    "file": "theirs.csv",
    "columns": ["artist=maker", "work={no} it's", "image=pic"],
}


def test_an_entry_becomes_a_list_with_its_options(workflow):
    (workflow.folder / "theirs.csv").write_text("maker,no,pic\nA,1,x.jpg\nA,2,y.jpg\n")
    workflow.configure(sources=[TABLE | {"none_of": []}, {"name": "met", "kind": "met", "departments": [12]}])
    run = workflow.run("results/lists/mine.parquet")
    assert run.returncode == 0, run.stdout + run.stderr
    rows = read_list(workflow.folder / "results/lists/mine.parquet").rows
    assert [(row.artist, row.work, row.image.path.name) for row in rows] == [
        ("A", "1 it's", "x.jpg"),
        ("A", "2 it's", "y.jpg"),
    ]
    (workflow.folder / "x.jpg").touch()  # named by the table, and there only now
    targets = ["results/lists/met.parquet", "results/downloads/jobs.tsv"]
    run = workflow.run("--dry-run", "--printshellcmds", "--workflow-profile", "none", *targets)
    told = run.stdout + run.stderr
    assert "collect list met --out results/lists/met.parquet" in told, told
    assert '"departments": [12]' in told
    assert scheduled(run)["list_source"] == 2
    assert "--list results/lists/mine.parquet results/lists/met.parquet" in told


WRONG = [  # an entry, and what is told of it
    ({"name": "a", "kind": "louvre"}, ["sources.0.kind", "commons"]),
    ({"kind": "met"}, ["sources.1", "'name' is a required property"]),
    ({"name": "a", "kind": "met", "categories": ["x"]}, ["unknown key 'categories'", "departments"]),
    ({"name": "a", "kind": "commons", "width": 1000}, ["sources.3.width", "1280"]),
    ({"name": "A b", "kind": "met"}, ["sources.4.name"]),
]


def test_entries_that_do_not_fit_their_kind_are_refused(workflow):
    workflow.configure(sources=[entry for entry, _ in WRONG])
    run = workflow.run("--dry-run")
    assert run.returncode != 0
    words = [word for _, words in WRONG for word in words]
    assert [word for word in words if word not in run.stdout + run.stderr] == []
    for entry, _ in WRONG:
        with pytest.raises(ValidationError):
            Config(sources=[entry])


def test_two_entries_of_one_name_are_refused(workflow):
    with pytest.raises(ValidationError, match="two sources have one name"):
        Config(sources=[TABLE, TABLE])
    assert Config(**yaml.safe_load(yaml.safe_dump({"sources": [TABLE]}))).sources[0].kind == "table"
    workflow.configure(sources=[TABLE, TABLE])
    run = workflow.run("--dry-run", "results/lists/mine.parquet")
    assert "each needs a name of its own" in run.stdout + run.stderr
