"""The card of a trained MVCNN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from liftnet.core.files import write_text
from liftnet.core.tables import markdown_table
from liftnet.shape.mvcnn.model import Mvcnn

TEXT = """---
library_name: liftnet
license: other
tags:
- 3d-shape-retrieval
- mvcnn
---
# MVCNN of {classes} classes

A network that describes a 3D shape by {views} shaded views from around it, after Su et al., Multi-view Convolutional
Neural Networks for 3D Shape Recognition (ICCV 2015). The features of the views, the largest over all views, scaled to
length 1, are the shape's descriptor; two shapes are compared by the Euclidean distance of their descriptors.

- Backbone: {backbone}, started from {start}.
- Views: {size} px, {elevation:g} degrees above the horizon, gray before black.
- Classes: {names}.
- Trained on {train} shapes, seed {seed}: {single} epochs on single views, {multi} on {step_views} views of a shape
  together, Adam at {rate:g}. The best epoch of the second stage by {val} shapes of val is kept: epoch {best}.
- The descriptor knows what tells these classes apart. What lies outside them it was not asked to tell.

```python
from liftnet.shape.mvcnn import describe, distance, load_mvcnn
from liftnet.mesh.reading import load_mesh

model = load_mvcnn("FOLDER OF THIS FILE")
print(distance(describe(load_mesh("a.obj"), model), describe(load_mesh("b.obj"), model)))
```

{metrics}
"""


def write_card(path: Path, model: Mvcnn, metrics: pd.DataFrame, config: dict[str, Any], train: int, val: int) -> None:
    """Write README.md beside the model: what it is, how it was trained, how to use it, its metrics."""
    chosen = model.settings
    text = TEXT.format(
        classes=len(model.classes),
        views=chosen.views,
        backbone=chosen.backbone,
        start=config["start"],
        size=chosen.image_size,
        elevation=chosen.elevation,
        train=train,
        val=val,
        names=", ".join(model.classes),
        seed=config["seed"],
        single=chosen.single_epochs,
        multi=chosen.multi_epochs,
        step_views=min(chosen.step_views, chosen.views),
        rate=chosen.learning_rate,
        best=config["best_epoch"],
        metrics=markdown_table(metrics.map(lambda value: f"{value:.4f}" if isinstance(value, float) else str(value))),
    )
    write_text(path, text)
