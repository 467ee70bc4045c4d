"""What others name is opened without waiting; what is our own is written without following a link."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from liftnet.collect.fetch.fetch import read_local
from liftnet.collect.fetch.jobs import Request, write_jobs
from liftnet.collect.fetch.journal import Journal
from liftnet.collect.manifest import _remove_unused
from liftnet.collect.sources.lists import read_csv, read_list
from liftnet.collect.sources.records import Location
from liftnet.collect.split_lists import read_lists
from liftnet.collect.web.transport import FetchError
from liftnet.core.documents import read_json_file
from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import own_entries, own_path, remove, write_text
from liftnet.core.journal import append_entry
from liftnet.core.log import copied_to
from liftnet.data.dataset import open_shard, replaced_folder
from liftnet.data.features import read_features
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.data.truth import load_truth
from liftnet.depth.objectives.ordinal import read_diw
from liftnet.experiments.plan import DepthPlan, read_plan
from liftnet.learn.checkpoint import read_checkpoint
from liftnet.match.methods.openmvg.files import read_sfm_data
from liftnet.mesh.reading import read_mesh
from liftnet.models.encoders import read_state_dict
from liftnet.reconstruct.study.items import items_of_table
from liftnet.reconstruct.study.plan import Plan, read_stored
from liftnet.segment.annotations import read_export
from liftnet.shape.shape_google import load_vocabulary
from liftnet.shard.checksums import read_checksums
from liftnet.shard.described import card_of

READERS = {
    "a.jpg": read_image,
    "b.jpg": lambda path: read_local(path, 1000),
    "a.csv": read_csv,
    "a.parquet": read_list,
    "a.json": lambda path: read_json_file(path, "", ""),
    "b.json": read_export,
    "m.parquet": lambda path: read_table(path, MANIFEST),
    "s.parquet": open_shard,
    "val_artists.txt": lambda path: read_lists(path.parent),
    "links.csv": lambda path: read_lists(path.parent),
    "a.obj": read_mesh,
    "w.safetensors": read_state_dict,
    "w.pth": read_state_dict,
    "v.safetensors": load_vocabulary,
    "f.safetensors": read_features,
    "t.npz": load_truth,
    "checkpoint.pt": read_checkpoint,
    "plan.yaml": lambda path: read_plan(path, DepthPlan),
    "diw.csv": read_diw,
    "items.csv": items_of_table,
    "plan.json": lambda path: read_stored(path, Plan),
    "README.md": card_of,
    "checksums.sha256": lambda path: read_checksums(path.parent),
    "sfm_data.json": read_sfm_data,
}


def refused(read, path):
    """What `read` says of a path, within five seconds."""
    said = []

    def reading():
        try:
            read(path)
        except LiftnetError as error:
            said.append(str(error))

    thread = threading.Thread(target=reading, daemon=True)
    thread.start()
    thread.join(5)
    return said


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_or_a_device_is_refused_at_once(name, tmp_path):
    os.mkfifo(tmp_path / name)
    (said,) = refused(READERS[name], tmp_path / name)
    assert "it is a pipe or a device, not a file" in said
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    (said,) = refused(READERS[name], tmp_path / name)
    assert "it is a pipe or a device, not a file" in said


def test_errors_of_pictures_and_downloads_keep_their_status(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(BadImageError) as picture:
        read_image(tmp_path / "a.jpg")
    with pytest.raises(FetchError) as fetched:
        read_local(tmp_path / "a.jpg", 1000)
    assert (picture.value.status, fetched.value.status) == ("unreadable_file", "unreadable_file")


@pytest.fixture
def precious(tmp_path):
    """A file and a folder of somebody's outside the results."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "precious.parquet").write_text("precious")
    (tmp_path / "home" / ".a.part-b").write_text("precious")
    os.utime(tmp_path / "home" / ".a.part-b", (0, 0))
    yield tmp_path / "home"
    assert {path.name: path.read_text() for path in (tmp_path / "home").iterdir()} == {
        "precious.parquet": "precious",
        ".a.part-b": "precious",
    }


def test_links_of_a_results_folder_are_not_written_through(precious, tmp_path):
    run = tmp_path / "results"
    (run / "downloads").mkdir(parents=True)
    for name in ("job.jsonl", "other.lock", "log.txt", "journal.jsonl", "page.html"):
        (run / "downloads" / name).symlink_to(precious / "precious.parquet")
    with Journal(run / "downloads" / "job.jsonl") as journal:  # written anew: the link is gone
        journal.add({"key": "a"})
    with pytest.raises(LiftnetError, match="a link stands where"), Journal(run / "downloads" / "other.jsonl"):
        pass
    with pytest.raises(LiftnetError, match="a link stands"):
        append_entry(run / "downloads" / "journal.jsonl", {"a": 1})
    with copied_to(run / "downloads" / "log.txt"):
        print("a line")
    write_text(run / "downloads" / "page.html", "a page")
    assert not (run / "downloads" / "page.html").is_symlink()


def test_hard_links_and_pipes_of_a_results_folder_are_not_written_to(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kept").write_text("precious")
    for name in ("journal.jsonl", "other.lock"):
        os.link(tmp_path / "home" / "kept", tmp_path / name)
    with pytest.raises(LiftnetError, match="second name elsewhere"):
        append_entry(tmp_path / "journal.jsonl", {"a": 1})
    with pytest.raises(LiftnetError, match="second name elsewhere"), Journal(tmp_path / "other.jsonl"):
        pass
    assert (tmp_path / "home" / "kept").read_text() == "precious"
    os.mkfifo(tmp_path / "pipe.jsonl")
    (said,) = refused(lambda path: append_entry(path, {"a": 1}), tmp_path / "pipe.jsonl")
    assert "cannot be written" in said


def test_a_socket_is_no_file(tmp_path):
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(tmp_path / "a.csv"))
        (said,) = refused(read_csv, tmp_path / "a.csv")
    assert "cannot be read" in said


def test_links_of_a_results_folder_are_not_emptied(precious, tmp_path):
    run = tmp_path / "results"
    run.mkdir()
    (run / "downloads").symlink_to(precious)
    (run / "images").symlink_to(precious)
    _remove_unused(run, [], {})
    (run / "downloads").unlink()
    (run / "downloads").mkdir()
    (run / "downloads" / "masks").symlink_to(precious)
    entry = {"key": "a", "file": "../home/precious.parquet", "replaced": ["images/precious.parquet", "/etc/x"]}
    (run / "downloads" / "job.jsonl").write_text(json.dumps(entry) + "\n")
    _remove_unused(run, [], {})
    (run / "jobs").symlink_to(precious)
    write_jobs(tmp_path / "jobs", {"local": [Request("image", "local", Location("a", Path("a")))]}, tmp_path)
    assert own_entries(run, "jobs", "*.parquet") == []
    (run / "folder").symlink_to(precious)
    remove(run / "folder")
    assert not (run / "folder").is_symlink()


def test_a_dataset_that_is_a_link_is_replaced_and_what_it_leads_to_stays(precious, tmp_path):
    (tmp_path / "dataset").symlink_to(precious)
    for _ in range(2):
        with replaced_folder(tmp_path / "dataset") as folder:
            (folder / "README.md").write_text("new")
    assert not (tmp_path / "dataset").is_symlink()


def test_names_that_lead_out_of_a_folder_are_no_paths_of_it(tmp_path):
    (tmp_path / "link").symlink_to("/")
    for name in ("../a", "a/../../b", "/etc/passwd", "link/etc/passwd", ""):
        assert own_path(tmp_path, name) is None
    assert own_path(tmp_path, "images/a.jpg") == tmp_path / "images/a.jpg"
