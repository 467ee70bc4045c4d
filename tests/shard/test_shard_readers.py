"""Others read the dataset as its card says: every snippet of the card runs, and what comes out is what went in."""

import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from liftnet.core.settings import changed
from liftnet.data.codes import SPLITS
from liftnet.shard.check_files import split_of
from liftnet.shard.settings import ShardSettings
from liftnet.shard.write import write_dataset

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
READ_ALL = """
import hashlib, json
from datasets import get_dataset_config_names, load_dataset

counts = {}
for name in get_dataset_config_names("dataset"):
    parts = load_dataset("dataset", name)
    counts[name] = {split: len(rows) for split, rows in parts.items()}
    if name == "images":
        pixels = {row["image_id"]: hashlib.sha256(row["image"].tobytes()).hexdigest() for row in parts["train"]}
    if name == "pairs":
        points = parts["validation"][0]
print(json.dumps([counts, pixels, points]))
"""


def rows_of(dataset, prefix):
    """All rows with the split of their file, in the order of the file names."""
    for path in sorted(dataset.glob(f"{prefix}*-*-of-*.parquet")):
        if prefix or path.name.split("-")[0] in SPLITS:
            for row in pq.read_table(path).to_pylist():
                yield split_of(path), row


HUB = {"train": "train", "validation": "val", "test": "test"}


def row_count(dataset, prefix):
    return sum(pq.read_metadata(path).num_rows for path in dataset.glob(f"{prefix}*.parquet"))


def run_python(code, folder, home):
    environment = os.environ | OFFLINE | {"HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_every_snippet_of_the_card_and_of_the_docs_runs(published, tmp_path):
    docs = Path(__file__).resolve().parents[2] / "docs" / "dataset.md"
    card, blocks = (BLOCK.findall(path.read_text()) for path in (published / "README.md", docs))
    assert (len(card), len(blocks)) == (6, 7)
    assert card == blocks[:6]
    marked = "".join(f"print('--- {number}')\n{block}" for number, block in enumerate(blocks))
    output = re.split(r"--- \d\n", run_python(marked, published.parent, tmp_path / "hub").stdout)[1:]
    train = [row for split, row in rows_of(published, "") if split == "train"]
    images = {row["image_id"]: row for split, row in rows_of(published, "images-") if split == "train"}
    first = train[0]
    assert output[0].startswith(f"Pair({first['work_id']}: {first['n']} correspondences")
    assert output[0].endswith(f"({first['n']}, 2) (48, 64, 3)\n")
    longest = max((row for split, row in rows_of(published, "tracks-") if split == "train"), key=lambda row: row["n"])
    assert output[1].startswith(f"Track({longest['track_id']}: seen in {longest['n']} images")
    assert output[1].endswith("0 correspondences that were not verified\n")
    assert first["pair_id"] in output[2]
    shown = np.array2string(np.array(first["x1"][:3]) / 32)
    assert shown in output[2]
    assert "king-000002" in output[3]
    assert "8.5" in output[3]
    earliest = images[min(images)]
    assert output[4] == f"(64, 48) {earliest['attribution']}\n"
    assert output[5] == f"{first['pair_id']} (64, 48)\n"
    assert output[6] == f"{next(row['n'] for split, row in rows_of(published, '') if split == 'test')}\n"


def test_hugging_face_reads_all_configurations_and_decodes_the_images(published, tmp_path):
    import hashlib

    done = run_python(READ_ALL, published.parent, tmp_path / "hub")
    assert "Ignoring" not in done.stderr  # it says so of a block of YAML that it does not understand
    counts, pixels, first = json.loads(done.stdout)
    assert counts == {
        "pairs": {"train": 18, "validation": 12, "test": 6},
        "images": {"train": 12, "validation": 8, "test": 4},
        "mini": {"train": 6, "validation": 6, "test": 6},
        "mini-images": {"train": 4, "validation": 4, "test": 4},
        **{
            f"{mini}tracks": {hub: row_count(published / folder, f"tracks-{split}-") for hub, split in HUB.items()}
            for folder, mini in ((".", ""), ("mini", "mini-"))
        },  # and no configuration of linked pairs, of which there are none
    }
    assert counts["tracks"]["train"] > 50
    assert row_count(published, "linked-") == 0
    for split, row in rows_of(published, "images-"):
        if split == "train":
            picture = Image.open(io.BytesIO(row["image"]["bytes"]))
            assert hashlib.sha256(picture.tobytes()).hexdigest() == pixels[row["image_id"]]
    assert first == next(row for split, row in rows_of(published, "") if split == "val")


def same(name, found, stored):
    """Whether a value that mlcroissant gives is the one in the shard."""
    if stored is None:
        return found is None
    if name == "image":
        return found.tobytes() == Image.open(io.BytesIO(stored["bytes"])).tobytes()
    if isinstance(stored, datetime):
        return found.to_pydatetime().astimezone(UTC) == stored
    if isinstance(stored, list):
        return [value.decode() if isinstance(value, bytes) else int(value) for value in found] == stored
    return found.decode() == stored if isinstance(stored, str) else found == stored


@pytest.fixture(scope="module")
def dated(joined, tmp_path_factory):
    """The dataset with everything that Croissant asks for."""
    out = tmp_path_factory.mktemp("dated") / "dataset"
    settings = changed(
        ShardSettings(), url="https://example.org/sculptures", creator="The Example Group", contact="a@example.org"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        write_dataset(joined, out, settings)
    return out


@pytest.mark.parametrize("folder", [".", "mini"])
def test_croissant_is_valid_and_gives_the_records_of_the_shards(dated, folder, caplog):
    import mlcroissant

    dataset = mlcroissant.Dataset(str(dated / folder / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])
    assert str(dataset.metadata.ctx.conforms_to.value).endswith("croissant/1.1")
    for table, prefix in (("pairs", ""), ("images", "images-"), ("tracks", "tracks-"), ("linked", "linked-")):
        records = list(dataset.records(table))
        rows = list(rows_of(dated / folder, prefix))
        assert len(records) == len(rows)
        assert rows or table == "linked"
        for record, (split, row) in zip(records, rows, strict=True):
            assert record.pop(f"{table}/in_split").decode() == split
            assert {name.removeprefix(f"{table}/") for name in record} == set(row)
            assert [n for n, value in row.items() if not same(n, record[f"{table}/{n}"], value)] == []
    assert "Could not match" not in caplog.text


def test_croissant_lists_every_file_with_its_checksum_and_the_splits_by_their_meaning(dated):
    import mlcroissant

    described = json.loads((dated / "croissant.json").read_text())
    assert described["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    listed = {entry["@id"]: entry["sha256"] for entry in described["distribution"] if "sha256" in entry}
    sums = dict(reversed(line.split("  ")) for line in (dated / "checksums.sha256").read_text().splitlines())
    apart = ("mini/", "croissant.json", "README.md")
    assert listed == {name: sums[name] for name in sums if not name.startswith(apart)}
    records = {
        row["splits/name"]: row["splits/url"]
        for row in mlcroissant.Dataset(str(dated / "croissant.json")).records("splits")
    }
    assert records == {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
    assert set(records) == set(SPLITS)


def test_croissant_answers_for_its_data(dated):
    described = json.loads((dated / "croissant.json").read_text())
    terms = {name.removeprefix("rai:"): value for name, value in described.items() if name.startswith("rai:")}
    assert set(terms) >= {
        *("dataCollection", "dataCollectionType", "dataCollectionRawData", "dataCollectionMissingData"),
        *("dataPreprocessingProtocol", "dataAnnotationProtocol", "machineAnnotationTools", "dataLimitations"),
        *("dataBiases", "dataUseCases", "dataSocialImpact", "personalSensitiveInformation"),
        "dataReleaseMaintenancePlan",
    }
    assert all(terms.values())
    assert "commons (24)" in terms["dataCollectionRawData"]
    assert "1 addresses gave no image of the dataset: http_404 1." in terms["dataCollectionMissingData"]
    assert described["license"] == [
        *(
            f"https://spdx.org/licenses/{name}.html"
            for name in ("CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC0-1.0")
        ),
        "LicenseRef-public-domain",
        "ask the gate-keeper (not understood)",
    ]
    assert described["datePublished"] == "2023-11-14"
