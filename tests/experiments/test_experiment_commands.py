"""The commands that write docs/reproduction.md and docs/result.jpg, from files to files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from liftnet.__main__ import main
from liftnet.core.files import write_text
from liftnet.data.schemas import RECONSTRUCTION_SCORES, SCORES, write_table
from liftnet.experiments.reproduction import PARTS

ROOT = Path(__file__).resolve().parents[2]


RECONSTRUCTED = [
    {"seed": 0, "class": "car", "work_id": f"car-{k}", "image_id": f"car-{k}-0", "status": "ok", "steps": 10}
    for k in range(4)
]


def score_rows(run, rmse):
    errors = dict.fromkeys(("l1", "rel_l1", "rel_sq", "rmse_affine"), 0.1)
    about = {"run": run, "seed": 0, "set": "sketchfab", "split": "test", "class": "sculpture", "unit": "half width"}
    end = {"status": "ok", "reason": "", "n_pixels": 9, "resolution": 64}
    return [
        about | end | errors | {"work_id": f"w{k}", "image_id": f"w{k}-0", "rmse": rmse + k / 100} for k in range(8)
    ]


def test_the_page_is_filled_in_from_a_runs_files(tmp_path):
    page = tmp_path / "page.md"
    write_text(page, "\n\n".join(f"# {name}\n{begin}\nold\n{end}" for name, (begin, end) in PARTS.items()))
    for run, rmse in (("liftnet-sculptures", 0.2), ("colmap-sculptures", 0.3)):
        write_table(tmp_path / "scores" / f"{run}-s0" / "sketchfab.parquet", score_rows(run, rmse), SCORES)
    words = ["experiments", "reproduction", str(tmp_path), "--page", str(page)]
    assert main([*words, "--plans", str(ROOT / "workflow" / "experiments")]) == 0
    text = page.read_text()
    line = next(row for row in text.splitlines() if "better than regressing COLMAP" in row)
    assert "0.235 beside 0.335; difference -0.1000" in line
    assert "| 8 views of 8 shapes, SketchFab | holds |" in line
    drkfs = text[text.index(PARTS["drkfs"][0]) :]
    assert "\nold\n" in drkfs, "no experiment of DR-KFS was run"
    falls = pd.DataFrame({"loss": ["a", "a"], "step": [0, 9], "drkfs": [2.0, 1.0]})
    write_text(tmp_path / "tables" / "drkfs_sphere.csv", falls.to_csv(index=False))
    assert main([*words, "--plans", str(ROOT / "workflow" / "experiments")]) == 0
    text = page.read_text()
    assert "a: 2 to 1 in 9 steps | holds |" in text
    assert text.count("\nold\n") == 1, "no reconstruction network was run"
    for run, lfd in (("generator-drkfs", 4000.0), ("generator-mse", 5000.0), ("generator-drkfs-silhouettes", 7000.0)):
        rows = [row | {"run": run, "lfd": lfd + k} for k, row in enumerate(RECONSTRUCTED)]
        write_table(tmp_path / "reconstruct" / "scores" / f"{run}-s0.parquet", rows, RECONSTRUCTION_SCORES)
    assert main([*words, "--plans", str(ROOT / "workflow" / "experiments")]) == 0
    text = page.read_text()
    assert "| LFD 4,002, 5,002, 7,002 (2 of 2 steps beyond chance) | 4 shapes of 1 classes, seeds: 1 | holds |" in text
    assert "\nold\n" not in text


def test_the_result_picture_shows_held_out_predictions(tmp_path):
    rng = np.random.default_rng(0)
    folder, rows = tmp_path / "predictions", []
    folder.mkdir()
    for k in range(4):
        depth = rng.random((32, 32)).astype(np.float32)
        mask = np.zeros((32, 32), bool)
        mask[8:24, 8:24] = True
        rgb = rng.integers(0, 256, (32, 32, 3), np.uint8)
        np.savez(folder / f"{k}.npz", rgb=rgb, depth=depth, mask=mask, truth=np.where(mask, depth, np.nan))
        rows.append({"image_id": f"i{k}", "work_id": f"w{k % 3}", "npz": f"{k}.npz"})
    (folder / "index.json").write_text(json.dumps(rows))
    out = tmp_path / "result.jpg"
    assert main(["experiments", "picture", str(tmp_path), "--out", str(out)]) == 0
    picture = np.asarray(Image.open(out).convert("RGB"))
    assert picture.shape[1] > picture.shape[0] > 500
    assert picture.std() > 10
