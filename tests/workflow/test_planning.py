"""What the Snakefile decides without Snakemake: sources, options, resources and outputs."""

import base64
import json
import os
import shlex
from functools import cache
from pathlib import Path

import pytest
import yaml

from liftnet.core.errors import LiftnetError
from liftnet.workflow import jobs, outputs, sources
from liftnet.workflow.sources import Sources
from liftnet.workflow.user_paths import check_words, json_without_braces, without_braces, words_as_written

SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "config.schema.yaml"
TABLE = {"name": "mine", "kind": "table", "file": "theirs.csv"}
MET = {"name": "met", "kind": "met", "departments": [12]}


def test_nothing_named_is_the_museum():
    museum = Sources("out", None, ())
    assert museum.is_museum
    assert museum.files() == ["out/museum/sources.csv"]
    assert museum.options() == "--museum out/museum"


def test_lists_of_catalogues_come_before_the_users_own(tmp_path):
    (tmp_path / "sources.csv").touch()
    asked = Sources("out", None, (TABLE, MET))
    assert asked.files() == ["out/lists/mine.parquet", "out/lists/met.parquet"]
    assert asked.options() == "--list out/lists/mine.parquet out/lists/met.parquet --trusted-folder ."
    both = Sources("out", str(tmp_path), (MET,))
    assert both.files() == ["out/lists/met.parquet"]
    assert both.options() == f"--list out/lists/met.parquet --csv {tmp_path}/sources.csv"
    assert not both.is_museum


def test_photographs_are_a_list_or_a_folder_of_artists_and_works(tmp_path):
    folder = tmp_path / "my photos"
    (folder / "Artist" / "Work").mkdir(parents=True)
    for name in ("b.jpg", "a.jpg"):
        (folder / "Artist" / "Work" / name).touch()
    (folder / "Artist" / "note.txt").touch()
    own = Sources("out", str(folder), ())
    assert own.files() == []
    assert shlex.split(own.options()) == ["--directory", str(folder)]
    parquet = tmp_path / "list.parquet"
    parquet.touch()
    assert Sources("out", str(parquet), ()).options() == f"--list {parquet}"
    assert Sources("out", str(parquet), (MET,)).options() == f"--list out/lists/met.parquet {parquet}"


def test_every_change_in_a_folder_of_photographs_is_seen_whatever_the_names(tmp_path):
    states = [Sources("out", str(tmp_path), ()).state()]
    own = Sources("out", str(tmp_path), ())
    folder = tmp_path / "{artist}" / "{left}"
    folder.mkdir(parents=True)
    name = os.fsdecode(b"b\xfcste {x}.jpg")
    for change in (
        lambda: (folder / name).write_bytes(b"1"),
        lambda: (folder / name).write_bytes(b"12"),
        lambda: os.utime(folder / name, ns=(1, 1)),
        lambda: (folder / "nothing.jpg").symlink_to("gone"),
        lambda: (folder / "up").symlink_to(tmp_path),
        lambda: (folder / name).unlink(),
    ):
        change()
        assert own.state() == own.state()
        states.append(own.state())
    assert len(set(states)) == len(states) - 1  # a link back up shows no new file
    listed = tmp_path / "list.csv"
    listed.write_text("artist")
    before = Sources("out", str(listed), ()).state()
    listed.write_text("artists")
    assert Sources("out", str(listed), ()).state() != before
    assert Sources("out", None, ()).state() == ""


def test_every_change_of_a_file_that_a_list_names_is_seen(tmp_path):
    (tmp_path / "sources.csv").write_text(
        "artist,work,image,mask\nA,1,{a}.jpg,m.png\nA,1,https://example.org/b.jpg,\n"
    )
    image, mask = tmp_path / "{a}.jpg", tmp_path / "m.png"
    table = TABLE | {"file": str(tmp_path / "theirs.csv"), "columns": ["artist=maker", "image=pic"]}
    (tmp_path / "theirs.csv").write_text("maker,pic\nA,{a}.jpg\nA,m.png\n")
    folder = {"name": "mine", "kind": "folder", "folder": str(tmp_path)}
    states = []
    for change in (
        lambda: image.write_bytes(b"1"),
        lambda: mask.write_bytes(b"1"),
        lambda: os.utime(mask, ns=(1, 1)),
        image.unlink,
    ):
        change()
        states += [Sources("out", str(tmp_path / name), ()).state() for name in ("", "sources.csv")]
        states += [sources.state_of_entry(entry) for entry in (table, folder)]
    assert len(set(states)) == len(states) - 4  # a folder with sources.csv is that list
    assert sources.state_of_entry(MET) == ""


def test_paths_with_braces_are_reached_through_links(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert without_braces("plain/x.csv") == "plain/x.csv"
    (tmp_path / "{a}.pt").write_text("weights")
    link = Path(without_braces("{a}.pt"))
    assert not {"{", "}"} & set(str(link))
    assert (link.read_text(), link.suffix) == ("weights", ".pt")
    assert without_braces("{a}.pt") == str(link)
    (Path(without_braces("re{sul}ts", is_folder=True)) / "x").write_text("1")
    assert (tmp_path / "re{sul}ts" / "x").read_text() == "1"
    text = json.dumps({"{a}": {"b": "x{y}\\"}})
    assert "{y}" not in json_without_braces(text)
    assert json.loads(json_without_braces(text)) == json.loads(text)


def test_words_that_look_like_numbers_are_as_they_were_written():
    schema = {"properties": {"photos": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "seed": {"type": "integer"}}}
    given = {"photos": 7, "seed": 7}
    encoded = "base64//" + base64.b64encode(b"photos=007").decode()
    for argv in (["--config", "photos=007", "seed=7"], [encoded]):
        assert words_as_written(given, schema, argv) == {"photos": "007", "seed": 7}
    assert words_as_written(given, schema, []) == {"photos": "7", "seed": 7}
    assert words_as_written({"photos": None}, schema, []) == {"photos": None}
    assert words_as_written({"photos": None}, schema, ["--config", "photos="]) == {"photos": ""}


def test_words_that_mean_numbers_or_yes_and_no_are_so_where_the_schema_has_no_texts():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    given = {
        "take_over": "true",
        "photos": "12",
        "match": {"search": {"ratio": ".7", "mutual": "False", "device": "cpu"}},
        "reconstruct": {"train": {"iterations": "1e3"}},
        "render": {"reconstruction": {"voxels": ["16", "x"]}},
    }
    assert words_as_written(given, schema, []) == {
        "take_over": True,
        "photos": "12",
        "match": {"search": {"ratio": 0.7, "mutual": False, "device": "cpu"}},
        "reconstruct": {"train": {"iterations": 1000.0}},
        "render": {"reconstruction": {"voxels": [16, "x"]}},
    }


def test_a_second_config_which_would_drop_the_first_is_refused():
    check_words(["snakemake", "--config", "photos=a", "results=b", "-n"])
    with pytest.raises(LiftnetError, match="--config: is given twice"):
        check_words(["snakemake", "--config", "photos=a", "--config", "results=b"])


def test_photographs_that_are_not_there_are_refused():
    Sources("out", None, ()).check()
    for photos, words in (("no/such", "photos: no/such does not exist"), ("", "photos: is empty")):
        with pytest.raises(LiftnetError, match=words):
            Sources("out", photos, ()).check()


def test_what_a_folder_of_photographs_is_taken_for_is_told(tmp_path):
    own = Sources("out", str(tmp_path), ({"name": "mine", "kind": "folder", "folder": "others"}, MET))
    with pytest.raises(LiftnetError, match=f"{tmp_path}: holds no files"):
        own.layout()
    for name in ("A/1/x.jpg", "A/1/x_mask.png", "A/2/y.jpg", "note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    told = f"{tmp_path}: taken as artist/work/*: 2 photographs of 2 works by 1 artists, 1 masks"
    assert own.layout() == told
    assert own.folders() == [str(tmp_path), "others"]
    (tmp_path / "sources.csv").touch()
    assert own.layout() == f"{tmp_path}/sources.csv says what is collected, not the folder it lies in"
    assert own.folders() == ["others"]
    assert Sources("out", str(tmp_path / "sources.csv"), ()).layout() == Sources("out", None, ()).layout() == ""


@pytest.mark.parametrize(("entries", "count"), [((), 0), ((MET, MET), 2)])
def test_an_entry_is_found_by_its_own_name(entries, count):
    with pytest.raises(LiftnetError, match=f"{count} entries have the name met"):
        Sources("out", None, entries).entry("met")
    assert Sources("out", None, (TABLE, MET)).entry("met") is MET


def test_an_entry_depends_on_the_files_it_names(tmp_path):
    file = tmp_path / "theirs.csv"
    assert sources.files_of_entry(TABLE | {"file": str(file)}) == []
    file.touch()
    assert sources.files_of_entry(TABLE | {"file": str(file)}) == [str(file)]
    assert sources.files_of_entry({"name": "mine", "kind": "new", "lines": str(file), "max_per_work": 3}) == [
        str(file)
    ]


def test_the_settings_of_an_entry_are_all_it_says_but_its_name_and_kind():
    assert sources.settings_of_entry(MET | {"none_of": []}) == '{"departments": [12], "none_of": []}'


SEGMENT = {"weights": None, "data": {"extra_roots": [], "corrections": None}, "network": {"encoder": "imagenet"}}


@cache
def schema_of_segment():
    return yaml.safe_load(SCHEMA.read_text())["properties"]["segment"]


def state(segment, results="out"):
    return sources.state_of_settings(segment, schema_of_segment(), str(results))


def test_what_settings_name_is_seen_when_it_comes_goes_or_is_replaced_by_an_older_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("imagenet").touch()  # a word that is no path, even where a file has its name
    assert state(SEGMENT) == state(SEGMENT | {"weights": "not/yet"}) == ""
    mine = SEGMENT | {"weights": "model", "data": {"extra_roots": ["other"], "corrections": "mended"}}
    seen = [state(mine)]
    for name in ("model/model.safetensors", "other/manifest.parquet", "other/hand_masks/a.png", "mended/a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
        seen.append(state(mine))
    os.utime("mended/a.png", ns=(1, 1))
    seen.append(state(mine))
    assert len(set(seen)) == len(seen)
    Path("other/report.html").touch()  # of another run what trains counts
    assert state(mine) == seen[-1]


def test_what_other_rules_make_is_left_to_snakemake(tmp_path):
    model = tmp_path / "out/models/segmenter"
    model.mkdir(parents=True)
    (model / "model.safetensors").touch()
    named = SEGMENT | {"weights": str(model)}
    assert state(named, tmp_path / "out") == ""
    assert state(named, tmp_path / "elsewhere")


def test_a_folder_of_split_lists_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LiftnetError, match=r"collect.splits.lists: .*gone is no folder"):
        sources.split_lists(str(tmp_path / "gone"))


def test_split_lists_are_the_files_of_their_folder(tmp_path):
    assert sources.split_lists(None) == []
    for name in ("val.txt", "test.txt"):
        (tmp_path / name).touch()
    assert sources.split_lists(str(tmp_path)) == [f"{tmp_path}/test.txt", f"{tmp_path}/val.txt"]


def test_tables_of_checkpoints_are_read_and_read_again_when_changed(tmp_path):
    plan = tmp_path / "jobs.tsv"
    plan.write_text("job\thosts\tn_requests\nlocal\t-\t7\nexample-org\texample.org\t250\n")
    assert jobs.read_download_plan(str(plan)) == {"local": 7, "example-org": 250}
    works = tmp_path / "works.tsv"
    works.write_text("work_id\tartist_id\tn_images\tsplit\na-1\ta\t3\ttrain\n")
    found = jobs.read_works(str(works))
    assert found == {"a-1": jobs.Work("a", 3)}
    assert jobs.read_works(str(works)) is found
    works.write_text("work_id\tartist_id\tn_images\tsplit\na-1\ta\t3\ttrain\nb-1\tb\t4\ttest\n")
    os.utime(works, ns=(1, 1))
    again = jobs.read_works(str(works))
    assert again == {"a-1": jobs.Work("a", 3), "b-1": jobs.Work("b", 4)}
    assert outputs.mask_tables("out", again) == ["out/masks/a.parquet", "out/masks/b.parquet"]


def test_pairs_are_all_of_a_small_work_and_neighbours_of_a_large_one():
    pairs = [jobs.pairs_of_work(images, 300, 50) for images in (1, 12, 300, 301, 5000)]
    assert pairs == [0, 66, 44850, 301 * 50, 250_000]


@pytest.mark.parametrize(
    ("ask", "most"),
    [(jobs.minutes_of_work, 10**6), (jobs.minutes_of_collection, 10**6), (jobs.memory_of_fetch, 10**7)],
)
def test_more_work_never_asks_for_less_but_where_threads_share_it(ask, most):
    asked = [ask(amount) for amount in (0, 1, 100, 1999, 2000, most)]
    assert asked[0] > 0
    assert asked[3] >= asked[2] >= asked[1] >= asked[0]
    assert asked[-1] > asked[-2]


def test_minutes_suffice_at_three_seconds_of_a_thread_for_a_pair_and_one_for_an_image():
    for amount in (10, 1999, 2000, 44850):
        assert jobs.minutes_of_work(amount) * 60 * jobs.threads_of_work(amount) >= 3 * amount
        assert jobs.minutes_of_collection(amount) * 60 * jobs.threads_of_collection(amount) >= amount


def test_only_views_by_blender_take_a_day():
    asked = [jobs.minutes_of_set(name, by) for name in ("shapenet", "scanned") for by in ("blender", "embree")]
    assert asked == [1440, 60, 60, 60]


def test_the_environment_of_match_is_that_of_its_programs():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))["properties"]["match"]

    def ask(extractor, matcher, device):
        chosen = {"features": {"extractor": extractor}, "search": {"matcher": matcher, "device": device}}
        return jobs.environment_of_match(chosen, schema)

    assert [ask("colmap", "exact", "cpu"), ask("opencv", "colmap", "cuda")] == ["colmap", "colmap"]
    assert [ask("opencv", "exact", "cuda"), ask("openmvg", "openmvg", "cpu")] == ["torch", "vision"]


def test_hosts_send_slowly_and_files_at_hand_are_decoded_by_eight():
    assert [jobs.threads_of_fetch(job) for job in ("local", "museum", "example-org")] == [8, 8, 2]


def test_truth_is_known_of_the_museum_alone():
    assert outputs.truth_tables("out", True, ["a", "b"]) == ["out/tables/a.csv", "out/tables/b.csv"]
    assert outputs.truth_tables("out", False, ["a", "b"]) == []


def test_shapes_are_scored_where_shapes_and_targets_are_given():
    assert "out/tables/drkfs_scores.csv" in outputs.drkfs_outputs("out", "shapes")
    assert "out/tables/drkfs_scores.csv" not in outputs.drkfs_outputs("out", None)
    outputs.check_shapes(None, None)
    outputs.check_shapes("a", "b")
    for given in (("a", None), (None, "b")):
        with pytest.raises(LiftnetError, match="go together"):
            outputs.check_shapes(*given)


def test_the_report_shows_measurements_against_the_truth_where_there_is_one():
    own, museum = outputs.report_tables("out", False), outputs.report_tables("out", True)
    assert "out/tables/statistics.csv" in own
    assert set(museum) - set(own) == set(
        outputs.truth_tables("out", True, ["segmentation_truth", "correspondences_truth", "depth_demo"])
    )


def test_files_below_a_folder_are_those_of_all_its_folders_whatever_their_names(tmp_path):
    for name in ("top.ply", "a {b}/box.ply", ".hidden/x.ply", "a {b}/._y.ply"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sources.files_below(tmp_path) == [tmp_path / "a {b}" / "box.ply", tmp_path / "top.ply"]
    assert sources.files_below(tmp_path / "top.ply") == [tmp_path / "top.ply"]
    assert sources.inputs_below(str(tmp_path)) == [str(tmp_path / "top.ply")]


def test_the_state_of_files_changes_when_one_comes_goes_or_becomes_older(tmp_path):
    (tmp_path / "a.ply").write_text("x")
    states = [sources.state_of_files(str(tmp_path))]
    (tmp_path / "b.ply").write_text("x")
    states.append(sources.state_of_files(str(tmp_path)))
    os.utime(tmp_path / "b.ply", (1, 1))
    states.append(sources.state_of_files(str(tmp_path)))
    assert len(set(states)) == 3
    (tmp_path / "b.ply").unlink()
    assert sources.state_of_files(str(tmp_path), None) == states[0]


@pytest.mark.parametrize("name", sources.OF_SHAPENET)
def test_the_state_of_a_folder_of_shapenet_follows_its_meshes_and_its_table(tmp_path, name):
    mesh = tmp_path / "03001627" / "1a" / "models" / "model_normalized.obj"
    mesh.parent.mkdir(parents=True)
    assert len({sources.state_of_set(name, folder) for folder in (None, str(tmp_path))}) == 1
    states = []
    for change in (
        lambda: mesh.write_text("v 0 0 0"),
        lambda: mesh.write_text("v 0 0 1\n"),
        lambda: os.utime(mesh, (1, 1)),
        lambda: (tmp_path / "all.csv").write_text("id"),
    ):
        change()
        states.append(sources.state_of_set(name, str(tmp_path)))
    mesh.with_name("picture.png").touch()
    assert len(set(states)) == 4
    assert sources.state_of_set(name, str(tmp_path)) == states[-1]


def test_a_matcher_that_was_not_made_for_the_features_is_refused_when_the_run_is_planned():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))["properties"]["match"]

    def chosen(extractor, matcher):
        return {"features": {"extractor": extractor}, "search": {"matcher": matcher, "device": "cpu"}}

    for extractor, matcher in (("opencv", "exact"), ("xfeat", "exact"), ("disk", "lightglue"), ("colmap", "openmvg")):
        jobs.check_match(chosen(extractor, matcher), schema)
    said = (
        r"lightglue: does not compare features of opencv, but those of aliked, disk, xfeat\. With .*opencv go .*exact"
    )
    with pytest.raises(LiftnetError, match=said):
        jobs.check_match(chosen("opencv", "lightglue"), schema)
    asked = [jobs.memory_of_match(chosen("disk", matcher), schema, 2) for matcher in ("exact", "lightglue")]
    assert asked[1] >= asked[0] > jobs.memory_of_match(chosen("opencv", "exact"), schema, 2) == 4000
    seconds = [jobs.seconds_of_match(chosen("disk", matcher), schema) for matcher in ("exact", "lightglue")]
    assert (
        jobs.minutes_of_work(2000, seconds[1]) > jobs.minutes_of_work(2000, seconds[0]) == jobs.minutes_of_work(2000)
    )
    assert jobs.environment_of_match(chosen("disk", "lightglue"), schema) == "learned"
