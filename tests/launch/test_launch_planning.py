"""What a call means before Snakemake starts: its words, its folder, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from liftnet.core.errors import LiftnetError
from liftnet.launch import snakemake_call
from liftnet.launch.planning import Options, plan_resume, plan_run
from liftnet.launch.snakemake_call import find_profile, find_snakemake
from liftnet.workflow.configuration import load_configuration
from liftnet.workflow.home import workflow_home
from liftnet.workflow.remembered import PLANNED, record
from liftnet.workflow.results_folder import hold

HOME = workflow_home()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("statues/A/w/1.jpg", "statues/A/w/masks/1.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"1")
    return "statues"


def ran(photos, **settings):
    """Leave in `out` what a run leaves that has planned its downloads."""
    hold("out").close()
    config = load_configuration(
        {"photos": photos, "results": "out", **settings}, HOME / "workflow/schemas/config.schema.yaml"
    )
    record(config, "out")
    os.makedirs("out/downloads", exist_ok=True)
    kind = "museum" if photos is None else "directory"
    Path(f"out/{PLANNED}").write_text(json.dumps({"kind": kind, "origin": os.fsencode(photos or "").hex()}))


def test_a_run_of_photographs_is_one_command_without_a_shell(photos, tmp_path):
    options = Options(("match.search.ratio=0.7",), "3", "slurm", ("dataset",), "--use-conda --resources net=2")
    planned = plan_run(photos, False, "my results", (), options)
    assert planned.call.command()[1:] == [
        *("--snakefile", str(HOME / "Snakefile"), "--workflow-profile", str(HOME / "profiles" / "slurm")),
        *("--cores", "3", "--config", 'match={"search": {"ratio": 0.7}}', "photos=statues", "results=my results"),
        *("--use-conda", "--resources", "net=2", "--", "dataset"),
    ]
    assert planned.call.folder == tmp_path
    assert "'results=my results'" in planned.call.as_typed()
    assert planned.results == Path("my results")
    assert "statues: taken as artist/work/*" in planned.told[0]


def test_a_run_names_what_it_collects_once(photos):
    with pytest.raises(LiftnetError, match="no photographs are named"):
        plan_run(None, False, None, (), Options())
    with pytest.raises(LiftnetError, match="--demo"):
        plan_run(photos, True, None, (), Options())
    with pytest.raises(LiftnetError, match="Name it once"):
        plan_run(photos, False, None, (), Options(("photos=others",)))
    Path("mine.yaml").write_text("photos: statues\n")
    assert plan_run(None, False, None, (Path("mine.yaml"),), Options()).call.configfiles == (Path("mine.yaml"),)
    assert plan_run(None, True, None, (), Options()).told == ()
    with pytest.raises(LiftnetError, match="cannot be read"):
        plan_run(photos, False, None, (Path("none.yaml"),), Options())


def test_a_folder_of_another_run_is_refused_at_once(photos):
    ran("others")
    for call in ((photos, False), (None, True)):
        with pytest.raises(LiftnetError, match="is a run of the photographs of others"):
            plan_run(*call, "out", (), Options())
    assert plan_run(photos, False, "out", (), Options(("take_over=true",)))


def test_a_run_is_resumed_from_any_folder_with_its_settings(photos, tmp_path, monkeypatch):
    ran(photos, seed=3)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    planned = plan_resume("../out", Options(("match.search.ratio=0.7",)))
    assert planned.call.folder == tmp_path
    assert planned.call.configfiles == (tmp_path / "out" / "run_config.yaml",)
    assert planned.call.config == {"match": {"search": {"ratio": 0.7}}, "results": "out"}
    assert planned.call.as_typed().startswith(f"cd {tmp_path} && ")
    assert planned.results == tmp_path / "out"
    (tmp_path / "statues" / "A").rename(tmp_path / "gone")
    with pytest.raises(LiftnetError, match="statues: holds no files"):
        plan_resume("../out", Options())


def test_a_folder_without_a_run_cannot_be_resumed(photos, tmp_path):
    with pytest.raises(LiftnetError, match=r"holds no run.*liftnet run PHOTOS"):
        plan_resume("statues", Options())
    ran(photos)
    Path("out/.run.lock").write_text(
        json.dumps({"folder": "../../gone", "host": "h", "process": 1, "started": "yesterday"})
    )
    with pytest.raises(LiftnetError, match="which is not there"):
        plan_resume("out", Options())


def test_profiles_are_ours_or_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "profile.yaml").touch()
    assert find_profile("mine", HOME) == Path("mine")
    assert find_profile("default", HOME) == HOME / "profiles" / "default"
    with pytest.raises(LiftnetError, match="did you mean 'slurm'"):
        find_profile("slrum", HOME)


def test_missing_snakemake_is_named_with_what_installs_it(monkeypatch):
    assert Path(find_snakemake()).name == "snakemake"
    monkeypatch.setattr(snakemake_call, "find_program", lambda name, folder="": None)
    with pytest.raises(LiftnetError, match="pip install 'snakemake"):
        find_snakemake()


def test_a_package_without_its_workflow_says_so(tmp_path):
    with pytest.raises(LiftnetError, match="without its workflow"):
        workflow_home(tmp_path)
