"""Lists, documents, heads of models, cards and exports with bytes changed at random: a value or the declared error.

`python tests/data/test_foreign_fuzz.py 3600` does the same for an hour.
"""

import hashlib
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from byte_damage import damaged
from torch import nn

from liftnet.collect.sources.catalogue_data import csv_records, json_files, json_lines, json_list, without_html
from liftnet.collect.sources.lists import read_list
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings
from liftnet.data.dataset import open_shard
from liftnet.models.folder import ModelKind, SavedModel, load_model, save_model
from liftnet.reconstruct.study.plan import Plan, read_stored
from liftnet.segment.annotations import read_export
from liftnet.shard.described import card_of, croissant_of

SECONDS = 4.0  # a kind of file: a minute in all
SLOWEST = 5.0  # seconds that a small file may take, on a busy machine
PUT_IN = (b"99999999999", b"-1", b"NaN", b"1e999", b"[" * 99, b'{"a":' * 99, b'"', b"\n", b",", b"\0", b"\xff")
ROWS = "".join(f'Rodin,"Kiss, {n}",https://x.org/{n}.jpg,,1917\n' for n in range(9))
LIST = f"artist,work,url,mask,artist_died\n{ROWS}"
RECORDS = [{"id": n, "title": f"t{n}", "of": [{"name": "x", "born": 1900.5}]} for n in range(5)]
CARD = "---\nliftnet:\n  licence_profile: open\n  unknown_licences: false\ndataset_info:\n- config_name: pairs\n"
CARD += "  splits:\n  - name: train\n    num_examples: 18\n---\n# Card\n"
CROISSANT = {
    "distribution": [{"@id": "a", "sha256": "0" * 64}],
    "recordSet": [{"@id": "pairs", "annotation": [{"@id": "pairs/train", "value": 5}]}],
}
COCO = {
    "images": [{"id": 1, "width": 9, "height": 9, "file_name": "a.jpg"}],
    "annotations": [
        {"image_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]]},
        {"image_id": 1, "segmentation": {"counts": [9, 9, 63], "size": [9, 9]}},
    ],
}
CVAT = '<annotations><image name="a" width="9" height="9"><polygon points="1,1;5,1;5,5"/></image></annotations>'
HTML = "<p>a<b style='display:none'>x</b>&amp;<!-- c --><script>d</script>"


class Line(Settings):
    width: int = 3


LINE = ModelKind("line", Line, lambda settings: nn.Linear(settings.width, 2), "line train")


def parquet(path):
    rows = [
        {"artist": "Rodin", "work": f"w{n % 3}", "url": f"https://x.org/{n}", "artist_died": 1917} for n in range(40)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def model(path):
    save_model(path.parent, LINE, SavedModel(nn.Linear(3, 2), Line()))


def read_weights_as_they_are(path):
    """With the sum of the damaged file, or the sum would find everything."""
    config = json.loads((path.parent / "config.json").read_text())
    config["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "config.json").write_text(json.dumps(config))
    return load_model(path.parent, LINE)


def text(content):
    return lambda path: path.write_text(content if isinstance(content, str) else json.dumps(content))


KINDS = {  # name of the file: what makes it, what reads it
    "list.csv": (text(LIST), read_list),
    "list.parquet": (parquet, read_list),
    "shard.parquet": (parquet, open_shard),
    "dump.csv": (text(LIST), lambda path: list(csv_records(path, ["artist"]))),
    "dump.json": (text(RECORDS), lambda path: list(json_list(path))),
    "one/record.json": (text(RECORDS), lambda path: list(json_files(path.parent))),
    "dump.jsonl": (text("\n".join(map(json.dumps, RECORDS))), lambda path: list(json_lines(path))),
    "page.html": (text(HTML), lambda path: without_html(path.read_text("latin-1"))),
    "config.json": (model, lambda path: load_model(path.parent, LINE)),
    "model.safetensors": (model, read_weights_as_they_are),
    "README.md": (text(CARD), card_of),
    "croissant.json": (text(CROISSANT), croissant_of),
    "coco.json": (text(COCO), read_export),
    "cvat.xml": (text(CVAT), read_export),
    "plan.json": (text({"version": 1}), lambda path: read_stored(path, Plan)),
}


def fuzz(folder, name, seconds, seed=0):
    """How many damaged files of a kind gave what."""
    make, read = KINDS[name]
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    whole, generator, seen = path.read_bytes(), np.random.default_rng(seed), Counter()
    until = time.monotonic() + seconds
    for number in range(10**9):
        if time.monotonic() > until and number >= 20:
            return seen
        path.write_bytes(damaged(whole, generator, PUT_IN))
        start = time.monotonic()
        try:
            read(path)
            seen["read"] += 1
        except LiftnetError as error:
            seen["named" if str(folder) in str(error) else f"unnamed: {error}"] += 1
        assert time.monotonic() - start < SLOWEST, f"{name}: file {number} of seed {seed}"
    return seen


@pytest.mark.parametrize("name", KINDS)
def test_nothing_but_the_declared_error_leaves_a_reader(tmp_path, name):
    seen = fuzz(tmp_path, name, SECONDS)
    assert seen.keys() <= {"read", "named"}
    assert seen


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # of every damaged cell
    end, seed, files = time.monotonic() + float(sys.argv[1]), 1, Counter()
    while time.monotonic() < end:
        for name in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                found = fuzz(Path(folder), name, 20, seed)
            files[name] += found.total()
            if odd := found.keys() - {"read", "named"}:
                print(name, seed, odd, flush=True)
        print(f"{seed} rounds, {files.total():,} files:", *map("{0[0]} {0[1]:,}".format, files.items()), flush=True)
        seed += 1
