"""The example of docs/drkfs.md runs as it stands, at a smaller size."""

import re
from pathlib import Path

import pytest
import trimesh

PAGE = Path(__file__).resolve().parents[2] / "docs" / "drkfs.md"


def test_the_example_gives_a_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    assert "image_size=256, views=25" in blocks[0]
    monkeypatch.chdir(tmp_path)
    trimesh.creation.box((1, 0.5, 0.5)).export("chair.obj")
    trimesh.creation.icosphere(subdivisions=1).export("truth.glb")
    found: dict[str, object] = {}
    exec(compile(blocks[0].replace("image_size=256, views=25", "image_size=64, views=2"), PAGE, "exec"), found)
    vertices, loss = found["vertices"], found["loss"]
    assert loss.item() > 0
    assert vertices.grad.shape == vertices.shape
    assert vertices.grad.abs().max() > 0
