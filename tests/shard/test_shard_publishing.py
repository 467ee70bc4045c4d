"""What is published: licences, attribution, card, Croissant, the small dataset; nothing odd from the web in it."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.codes import LEFT_OUT, SPLITS
from liftnet.data.dataset import load_image, load_pair, read_pairs
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, PAIRS, TRIED, read_table, write_table
from liftnet.shard.card import IMAGE_COLUMNS, PAIR_COLUMNS
from liftnet.shard.check import verify_dataset
from liftnet.shard.images import collected_rows, licence_reasons, stored_rows
from liftnet.shard.settings import LicenceSettings, ShardSettings
from liftnet.shard.write import LARGEST_SHARE, draw_works, write_dataset

DOCS = Path(__file__).resolve().parents[2] / "docs" / "dataset.md"


def works_of(dataset):
    return {pair.work_id.removesuffix("-000002") for split in SPLITS for pair in read_pairs(dataset, split)}


def statuses(dataset):
    rows = read_table(dataset / "collected.parquet", MANIFEST).to_pylist()
    return {row["work_id"].removesuffix("-000002"): (row["status"], row["reason"]) for row in rows if row["image_url"]}


def bytes_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("profile", "unknown", "works"),
    [
        ("research", True, {"king", "queen", "wave", "kiss", "thinker", "david"}),
        ("research", False, {"king", "queen", "wave", "kiss", "david"}),
        ("open", True, {"king", "queen", "kiss", "david"}),
        ("pd-only", True, {"queen", "kiss"}),
    ],
)
def test_profiles_keep_what_they_allow_and_tell_of_the_rest(run, tmp_path, profile, unknown, works):
    settings = ShardSettings(licences=LicenceSettings(profile=profile, keep_unknown=unknown))
    write_dataset(run, tmp_path / "dataset", settings)
    assert works_of(tmp_path / "dataset") == works
    kept = {work for work, (status, _) in statuses(tmp_path / "dataset").items() if status == "ok"}
    assert kept == works
    refused = [reason for status, reason in statuses(tmp_path / "dataset").values() if status == "licence_rejected"]
    assert len(refused) == 6 - len(works)
    assert all("licence" in reason or "sculpture" in reason for reason in refused)
    tried = read_table(tmp_path / "dataset" / "tried.parquet", TRIED).to_pylist()
    assert len(tried) == 36
    assert [row["reason"] for row in tried if not row["kept"]] == ["licence_rejected"] * 6 * (6 - len(works))
    assert verify_dataset(tmp_path / "dataset").count == 0
    assert verify_dataset(tmp_path / "dataset" / "mini").count == 0


def test_pairs_of_an_image_that_is_no_longer_collected_are_left_out(run, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(run, root)
    rows = read_table(root / "manifest.parquet", MANIFEST).to_pylist()
    taken_back = next(row["image_id"] for row in rows if row["status"] == "ok")
    gone = {"status": "http_410", "reason": "the server has removed it", "image_id": None, "file": None}
    rows = [row | gone if row["image_id"] == taken_back else row for row in rows]
    write_table(root / "manifest.parquet", rows, MANIFEST)
    write_dataset(root, tmp_path / "dataset", ShardSettings())
    pairs = [pair for split in SPLITS for pair in read_pairs(tmp_path / "dataset", split)]
    held = {image for pair in pairs for image in (pair.image_a, pair.image_b)}
    assert held
    assert taken_back not in held
    tried = read_table(tmp_path / "dataset" / "tried.parquet", TRIED).to_pylist()
    assert {row["reason"] for row in tried if taken_back in row["pair_id"]} == {"not_collected"}
    assert verify_dataset(tmp_path / "dataset").count == 0


SCRIPT = "<script>alert(1)</script>\x1b[2J\n[x](javascript:a)"


def test_words_of_strangers_mean_nothing_in_what_is_published(run, tmp_path, capsys):
    root = tmp_path / "run"
    shutil.copytree(run, root)
    rows = read_table(root / "manifest.parquet", MANIFEST).to_pylist()
    hostile = {"source": SCRIPT, "reason": SCRIPT, "license": SCRIPT, "artist": f"={SCRIPT}", "work": SCRIPT}
    rows = [row | hostile | ({} if row["status"] == "ok" else {"status": SCRIPT}) for row in rows]
    rows.append(rows[0] | {"status": SCRIPT, "image_id": None, "file": None})
    write_table(root / "manifest.parquet", rows, MANIFEST)
    write_dataset(root, tmp_path / "dataset", ShardSettings(licences=LicenceSettings(profile="research")))
    card = (tmp_path / "dataset" / "README.md").read_text()
    assert "&lt;script>alert(1)&lt;/script>" in card
    assert "\\](javascript" in card
    for name in ("README.md", "croissant.json", "ATTRIBUTION.html"):
        text = (tmp_path / "dataset" / name).read_text()
        assert "<script" not in text
        assert "\x1b" not in text
    statuses = json.loads((tmp_path / "dataset" / "croissant.json").read_text())["rai:dataCollectionMissingData"]
    assert SCRIPT in statuses  # as it was, to who reads the JSON
    with open(tmp_path / "dataset" / "ATTRIBUTION.csv", newline="", encoding="utf-8") as file:
        assert all(row["artist"].startswith("'=") for row in csv.DictReader(file))
    assert main(["shard", "verify", "--dataset", str(tmp_path / "dataset")]) == 1  # one artist in all splits
    said = capsys.readouterr().out
    assert "<script>" in said
    assert all(line.isprintable() for line in said.split("\n"))


def test_an_unknown_licence_is_flagged_in_the_card(run, published, tmp_path):
    text = (published / "README.md").read_text()
    assert "4 of the\nphotographs in the dataset have a licence that is not stated or not understood: **do not" in text
    assert "| ask the gate-keeper (not understood) | 4 |" in text
    write_dataset(run, tmp_path / "strict", ShardSettings(licences=LicenceSettings(keep_unknown=False)))
    assert (
        "0 of the\nphotographs in the dataset have a licence that is not"
        in (tmp_path / "strict/README.md").read_text()
    )


def test_licences_are_judged_once_for_each_kind_of_row(monkeypatch):
    calls = []
    monkeypatch.setattr("liftnet.shard.images.allowed", lambda *row: (calls.append(row), (False, "no"))[1])
    rows = pa.Table.from_pylist([{"license_spdx": "CC0-1.0"}] * 500 + [{"license": "CC BY 4.0"}] * 500, MANIFEST)
    assert licence_reasons(rows, "open", False) == ["no"] * 1000
    assert [row[1] for row in calls] == ["CC0-1.0", "CC-BY-4.0"]


def test_withheld_images_are_left_out_with_their_pairs(new_run, tmp_path):
    rows = new_run(tmp_path / "run")
    write_table(
        tmp_path / "run" / "manifest.parquet",
        [
            row | ({"status": "withheld", "reason": "near a test image", "image_id": None} if work == "wave" else {})
            for work, images in rows.items()
            for row in images
        ],
        MANIFEST,
    )
    write_dataset(tmp_path / "run", tmp_path / "dataset", ShardSettings())
    assert "wave" not in works_of(tmp_path / "dataset")
    assert statuses(tmp_path / "dataset")["wave"] == ("withheld", "near a test image")
    assert "4 photographs are left out because they are tied" in (tmp_path / "dataset" / "README.md").read_text()
    assert verify_dataset(tmp_path / "dataset").count == 0


def test_works_that_matches_link_across_splits_are_left_out_on_the_lower_side(new_run, tmp_path):
    rows = new_run(tmp_path / "run")
    low, high = rows["king"][0], rows["kiss"][0]
    link = {"image_a": low["image_id"], "image_b": high["image_id"], "reason": "kept", "n_inliers": 80}
    write_table(tmp_path / "run" / "across" / "pairs.parquet", [link], PAIRS)
    write_dataset(tmp_path / "run", tmp_path / "dataset", ShardSettings())
    assert works_of(tmp_path / "dataset") == {"queen", "wave", "kiss", "thinker", "david"}
    assert statuses(tmp_path / "dataset")["king"] == (
        "withheld",
        "its matches show the same object as Kiss by Rodin, which is in val",
    )
    tried = read_table(tmp_path / "dataset" / "tried.parquet", TRIED).to_pylist()
    assert {row["reason"] for row in tried if row["work_id"] == "king-000002"} == {"withheld"}
    assert verify_dataset(tmp_path / "dataset").count == 0


def test_addresses_keep_no_secrets(published):
    text = {
        path: data for path, data in bytes_of(published).items() if path.endswith((".csv", ".html", ".md", ".json"))
    }
    urls = [
        str(row[name])
        for row in read_table(published / "collected.parquet", MANIFEST).to_pylist()
        for name in ("image_url", "final_url", "page_url")
    ]
    for secret in ("/home/ada", "ada:", "secret", "s3cret"):
        assert not any(secret in url for url in urls)
        assert not any(secret.encode() in data for data in text.values())
    assert "https://api.example.org/q?api_key=removed&id=7" in urls
    assert "https://example.org/1.jpg" in urls
    assert "1.jpg" in urls
    assert "https://example.org/wave/2.jpg" in urls


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (None, None),
        ("photos/king/1.jpg", "photos/king/1.jpg"),
        ("file:///home/ada/1.jpg", "1.jpg"),
        (r"C:\Users\ada\1.jpg", "1.jpg"),
        ("~/1.jpg", "1.jpg"),
        ("https://h.org/a@b.jpg?x=1&Token=abc#t", "https://h.org/a@b.jpg?x=1&Token=removed"),
        ("https://u:p@ss@h.org:81/a.jpg", "https://h.org:81/a.jpg"),
        ("https://h.org/a;jsessionid=9/b.jpg;c", "https://h.org/a;jsessionid=removed/b.jpg;c=removed"),
        ("https://h.org/a.jpg#access_token=abc", "https://h.org/a.jpg"),
        ("https://h.org/?s3cret", "https://h.org/?removed"),
        ("https://h.org/?id=eyJhbGciOi.eyJz.c2ln&title=Le+Penseur", "https://h.org/?id=removed&title=Le+Penseur"),
        ("https://h.org/?%61uth_token=a;sessionid=b", "https://h.org/?%61uth_token=removed&sessionid=removed"),
        ("https://h.org/?file=http://u:p@i.org/a.jpg", "https://h.org/?file=removed"),
        ("http://[::1]/a.jpg?w=300", "http://[::1]/a.jpg?w=300"),
        ("//u:p@h.org/a.jpg", "//h.org/a.jpg"),
        *(
            (f"https://h.org/a.jpg?id=7&{name}=abc", f"https://h.org/a.jpg?id=7&{name}=removed")
            for name in (
                *("auth_token", "X-Goog-Signature", "X-Amz-Credential", "client_secret", "jwt", "sessionid", "sid"),
                *("Policy", "Key-Pair-Id", "se", "sig", "hash", "email", "user", "PHPSESSID", "apikey", "code"),
            )
        ),
    ],
)
def test_addresses_as_published(address, shown):
    rows = pa.Table.from_pylist([{"image_id": "a", "image_url": address}], MANIFEST)
    assert collected_rows(rows, {}).column("image_url").to_pylist() == [shown]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("the same image as 12 (https://h.org/a.jpg?jwt=x)", "the same image as 12 (https://h.org/a.jpg?jwt=removed)"),
        ("the file does not exist: /home/ada/photos/1.jpg", "the file does not exist: 1.jpg"),
        ("a link to ../x/y.jpg, which does not exist", "a link to ../x/y.jpg, which does not exist"),
        ("10 and/or 3/4 px at 60 px/s", "10 and/or 3/4 px at 60 px/s"),
        (None, None),
    ],
)
def test_reasons_as_published(reason, shown):
    rows = pa.Table.from_pylist([{"image_id": "a", "reason": reason, "mask_reason": reason}], MANIFEST)
    published = collected_rows(rows, {})
    assert (published["reason"].to_pylist(), published["mask_reason"].to_pylist()) == ([shown], [shown])


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]


def test_attribution_as_table_and_as_page(published):
    with open(published / "ATTRIBUTION.csv", newline="", encoding="utf-8") as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file)}
    images = stored_rows(read_table(published / "collected.parquet", MANIFEST)).to_pylist()
    assert set(rows) == {row["image_id"] for row in images}
    hostile = "=HYPERLINK(1)|<script>alert(1)</script>"
    for row in images:
        shown = rows[row["image_id"]]
        assert (shown["license"], shown["license_spdx"]) == (row["license"], row["license_spdx"] or "")
        assert shown["attribution"] == (f"'{hostile}" if row["attribution"] == hostile else row["attribution"])
    text = (published / "ATTRIBUTION.html").read_text()
    page = Page()
    page.feed(text)
    assert not page.tags & {"script", "img", "iframe", "link", "object", "base"}
    assert page.links
    assert all(link.startswith("https://") for link in page.links)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert all(row["image_id"] in text for row in images)


def test_the_card_names_every_column_and_survives_hostile_texts(published):
    text = (published / "README.md").read_text()
    assert all(f"| `{name}` |" in text for name in (*PAIR_COLUMNS, *IMAGE_COLUMNS))
    assert "<script" not in text
    assert "Published by The Example Group; questions and removals: data@example.org" in text
    assert "1 of the stored files still carry" in text
    assert "in more than one split: 0 artists, 0 works, 0 groups, 0 images." in text
    assert not re.search(r"\{\{ |\{%|None|nan\b", text)


def test_every_number_of_a_stored_file_with_a_position_is_told(published):
    assert "(EXIF), 1 of these a position" in (published / "README.md").read_text()


def test_a_dataset_without_images_has_a_card_of_its_own(run, tmp_path):
    write_dataset(run, tmp_path / "dataset", ShardSettings(images=False))
    text = (tmp_path / "dataset" / "README.md").read_text()
    assert "images-" not in text
    assert "load_image" not in text
    assert "pd.read_parquet" in text
    assert "mini-images" not in text
    assert verify_dataset(tmp_path / "dataset").count == 0
    with pytest.raises(LiftnetError, match="holds no images-train shards"):
        load_image(tmp_path / "dataset", "0" * 16)


def test_checksums_are_those_of_sha256sum(published):
    for folder in (published, published / "mini"):
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", "checksums.sha256"], cwd=folder, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        assert len(done.stdout.splitlines()) == len(files) - 1


def test_two_writes_give_the_same_bytes_and_a_date_only_where_it_is_set(joined, published, tmp_path, monkeypatch):
    settings = changed(
        ShardSettings(), url="https://example.org/sculptures", creator="The Example Group", contact="data@example.org"
    )
    write_dataset(joined, tmp_path / "again", settings)
    assert bytes_of(tmp_path / "again") == bytes_of(published)
    assert b"datePublished" not in (published / "croissant.json").read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    write_dataset(joined, tmp_path / "dated", settings)
    assert json.loads((tmp_path / "dated" / "croissant.json").read_text())["datePublished"] == "2023-11-14"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(LiftnetError, match="SOURCE_DATE_EPOCH: 'yesterday' is not a number of seconds"):
        write_dataset(joined, tmp_path / "dated", settings)


def test_images_and_pairs_are_read_by_their_ids(published):
    for split in SPLITS:
        for path in published.glob(f"images-{split}-*.parquet"):
            for row in pq.read_table(path, columns=["image_id", "image"]).to_pylist():
                assert hashlib.sha256(row["image"]["bytes"]).hexdigest()[:16] == row["image_id"]
                assert load_image(published, row["image_id"]).shape == (48, 64, 3)
    with pytest.raises(LiftnetError, match="has no image 'ffff'"):
        load_image(published, "ffff")


def test_a_loaded_image_has_the_pixels_of_the_run(run, published):
    pair = next(read_pairs(published, "test"))
    assert (load_image(published, pair.image_a) == read_image(run / "images" / f"{pair.image_a}.jpg")).all()
    assert load_pair(published / "mini", pair.pair_id).points_a.tolist() == pair.points_a.tolist()


def test_the_lists_of_collect_are_published_where_there_are_some(new_run, tmp_path):
    new_run(tmp_path / "run")
    lists = tmp_path / "run" / "splits"
    lists.mkdir()
    for split in SPLITS:
        for kind in ("artists", "works"):
            (lists / f"{split}_{kind}.txt").write_text(f"{kind} of {split}\n")
    (lists / "groups.csv").write_text("group,split\n")
    write_dataset(tmp_path / "run", tmp_path / "dataset", ShardSettings())
    for folder in (tmp_path / "dataset", tmp_path / "dataset" / "mini"):
        own = {"withheld.csv": b"image_id,image_url,artist,work,split,reason\n"}
        assert bytes_of(folder / "splits") == bytes_of(lists) | own


def test_without_lists_they_are_made_from_the_manifest(published):
    assert (published / "splits" / "train_artists.txt").read_text() == "Hepworth\nMoore\n"
    assert (published / "splits" / "test_works.txt").read_text() == "Buonarroti\tDavid\n"


def test_the_small_dataset_is_whole_works_of_every_split(published):
    small = published / "mini"
    pairs = {split: list(read_pairs(small, split)) for split in SPLITS}
    assert all(pairs.values())
    for split in SPLITS:
        works = {pair.work_id for pair in pairs[split]}
        whole = [pair for pair in read_pairs(published, split) if pair.work_id in works]
        assert [pair.pair_id for pair in whole] == [pair.pair_id for pair in pairs[split]]
        assert len(works) == 1  # at most a quarter of them, at least one
        rows = pq.read_table(next(small.glob(f"images-{split}-*.parquet")))
        everywhere = pq.read_table(next(published.glob(f"images-{split}-*.parquet")))
        expected = everywhere.filter(pc.is_in(everywhere["work_id"], value_set=pa.array(sorted(works))))
        assert rows.equals(expected)
    tried = read_table(small / "tried.parquet", TRIED)
    assert tried.num_rows == sum(map(len, pairs.values()))
    assert "**This is the small dataset.**" in (small / "README.md").read_text()
    assert not (small / "mini").exists()


def test_the_size_of_the_small_dataset_is_kept_whatever_the_works(new_run, tmp_path, caplog):
    rows = new_run(tmp_path / "run", views=3)
    write_dataset(tmp_path / "run", tmp_path / "dataset", ShardSettings(mini_mb=0))
    assert not (tmp_path / "dataset" / "mini").exists()
    stored = stored_rows(read_table(tmp_path / "dataset" / "collected.parquet", MANIFEST))
    large = dict.fromkeys((row["file"] for images in rows.values() for row in images), b"\x00" * 400000)
    for name, data in large.items():
        (tmp_path / "run" / "images" / name).write_bytes(data)  # 1.2 MB a work
    drawn = {mb: draw_works(tmp_path / "dataset", stored, tmp_path / "run" / "images", mb) for mb in (3, 5, 20)}
    assert drawn[3] == set()
    assert "no work of train fits into mini/" in caplog.text
    assert {work[:-7] for work in drawn[5]} < set(rows)
    assert {work[:-7] for work in drawn[20]} >= {"david"}
    assert drawn[5] <= drawn[20]
    assert LARGEST_SHARE <= 0.5


def test_every_reason_to_leave_out_is_explained(published):
    text = (published / "README.md").read_text()
    assert set(LEFT_OUT) == {"licence_rejected", "withheld", "missing_file"}
    assert "| http_404 | 1 |" in text


def test_what_only_the_publisher_can_say_is_asked_for(run, tmp_path, caplog):
    with caplog.at_level("INFO"):
        write_dataset(run, tmp_path / "dataset", changed(ShardSettings(), creator="The Example Group", mini_mb=0))
    unstated = "shard.publication.url, shard.publication.contact, SOURCE_DATE_EPOCH"
    assert f"for a publication, state {unstated}: see docs/dataset.md" in caplog.text
    assert "1 stored files say where they were taken" in caplog.text
    assert "4 images have an unknown licence" in caplog.text


def test_writing_and_verifying_load_nothing_that_their_environment_has_not():
    code = "import sys, liftnet.shard.write, liftnet.shard.check; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "torch", "scipy", "cv2", "numba", "mlcroissant", "datasets", "duckdb"} & set(loaded)


def test_the_documented_commands_of_the_hub_exist():
    hub = Path(sys.executable).with_name("hf")
    if not hub.exists():
        pytest.skip("hf is not installed")
    lines = re.findall(r"^ +hf (.*)$", DOCS.read_text(), re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        words = line.split()
        command = words[: next((n for n, word in enumerate(words) if not word.islower() or word == "dataset"), None)]
        done = subprocess.run([hub, *command, "--help"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert [word for word in words if word.startswith("--") and word not in done.stdout] == []


def test_the_docs_show_the_snippets_of_the_card():
    snippets = files("liftnet.shard").joinpath("snippets.md").read_text()
    assert snippets.strip() in DOCS.read_text()
