"""A few small shapes with two reconstructions each, on disk as a study takes them, and studies made of them."""

import numpy as np
import pandas as pd
import trimesh
from PIL import Image

from liftnet.core.settings import changed
from liftnet.reconstruct.study.build import build_study
from liftnet.reconstruct.study.items import items_of_table
from liftnet.reconstruct.study.plan import Key, Plan, PlannedItem, Question
from liftnet.reconstruct.study.settings import ExclusionSettings, StudySettings

SMALL = changed(StudySettings(), questions=6, checks=2, picture_px=64)
SHAPES = {
    "ball": lambda scale: trimesh.creation.icosphere(1, radius=scale),
    "box": lambda scale: trimesh.creation.box((1, scale, 1)),
}


def written_items(folder, per_class=5, classes=("ball", "box"), networks=("atlasnet",)):
    """The path of a table of items; the reconstructions are the truth made wider, and pictures of one colour."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for place, class_name in enumerate(classes):
        for number in range(per_class):
            name = f"no{place}-{number}"
            truth = list(SHAPES.values())[place % 2](0.5 + 0.1 * number)
            truth.export(folder / f"{name}.ply")
            Image.new("RGB", (90, 90), (40 * number, 90, 120 * place)).save(folder / f"{name}.png")
            for network in networks:
                for model, wider in (("original", 1.6), ("drkfs", 1.2)):
                    mesh = trimesh.Trimesh(truth.vertices * [wider, 1, 1], truth.faces)
                    mesh.export(folder / f"{name}-{network}-{model}.ply")
                files = {model: f"{name}-{network}-{model}.ply" for model in ("original", "drkfs")}
                rows.append(
                    {"shape": name, "class": class_name, "network": network, "azimuth": 40 * number, "elevation": 20}
                    | {"picture": f"{name}.png", "truth": f"{name}.ply"}
                    | files
                )
    pd.DataFrame(rows).to_csv(folder / "items.csv", index=False)
    return folder / "items.csv"


def built_study(folder, settings=SMALL, seed=0, name="ps1", **items):
    """A small study in `folder`; returns its plan."""
    table = written_items(folder / "items", **items)
    return build_study(items_of_table(table), folder, name, settings, seed)


def planned(items=50, checks=5, page_seed=1, classes=("chair", "lamp")):
    """A plan and a key of any size, without pictures."""
    rng = np.random.default_rng(page_seed)
    questions = [
        Question(item=f"atlasnet/s{n}/000", shape=f"s{n}", class_name=classes[n % 2], network="atlasnet", a=a, b=b)
        for n in range(items)
        for a, b in [(("original", "drkfs"), ("drkfs", "original"))[int(rng.integers(2))]]
    ]
    questions += [
        Question(item=f"c{n}", shape=f"c{n}", class_name=classes[n % 2], network="", a=a, b=b)
        for n in range(checks)
        for a, b in [(("truth", "other"), ("other", "truth"))[int(rng.integers(2))]]
    ]
    trials = [f"t{n + 1:02d}" for n in range(len(questions))]
    plan = Plan(
        study="ps1-0123456789ab",
        name="ps1",
        made_by="a test",
        seed=0,
        page_seed=page_seed,
        participants=80,
        selection="all",
        chosen_from=items,
        items=[
            PlannedItem(item=q.item, shape=q.shape, class_name=q.class_name, network=q.network, sha256={})
            for q in questions[:items]
        ],
        checks=[f"c{n}" for n in range(checks)],
        trials=trials,
        exclusion=ExclusionSettings(),
        exclusion_words=[],
        page_sha256="",
    )
    order = rng.permutation(len(questions))
    return plan, Key(study=plan.study, trials={name: questions[n] for name, n in zip(trials, order, strict=True)})
