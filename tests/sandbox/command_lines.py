"""The command lines that the sandbox runs upon hostile files, and the commands that it does not, each with a reason.

In a line, {box} holds what is hostile; {out} is the line's own folder; {run} and {shapes} are its own copies of a
folder of results and of a set of shapes, which commands may change; {study} is one for all.
"""

import argparse
import re
import shutil

from liftnet.__main__ import build_parser

HOSTILE = """
render set --set sketchfab --sketchfab.folder {box}/classes --out {out}
render set --set shapenet --shapenet.folder {box}/classes --out {out}
render set --set scanned --scanned.folder {box}/recordings --out {out}
render set --set reconstruction --reconstruction.folder {box}/classes --out {out}
collect list artic --dump {box}/dumps/folder --out {out}/l.parquet
collect list cleveland --dump {box}/dumps/data.json --out {out}/l.parquet
collect list smithsonian --dump {box}/dumps --out {out}/l.parquet
collect list table --file {box}/dumps/table.csv --columns artist=artist work=work image=url --out {out}/l.parquet
collect list folder --folder {box}/dumps/folder --out {out}/l.parquet
collect list sculptures6k --folder {box}/dumps/folder --out {out}/l.parquet
collect list name_that_sculpture --folder {box}/dumps/folder --works {box}/dumps/table.csv --out {out}/l.parquet
collect list shape_attributes --folder {box}/dumps/folder --works {box}/dumps/table.csv --out {out}/l.parquet
collect list tanks_and_temples --folder {box}/dumps/folder --out {out}/l.parquet
collect plan --csv {box}/lists/list.csv --out {out}
collect fetch --job local --out {run}
collect manifest --out {run}
segment train --root {run} --network.encoder-weights --network.channels 8 --network.image-size 64
    --train.iterations 1 --train.batch-size 2
segment crossvalidate --root {run} --network.encoder-weights --folds.count 2 --folds.iterations 1 --out {out}
segment evaluate --root {run} --museum {run}
segment predict --root {run} --artist a --out {out}/m.parquet --model {box}/models/segmenter
segment propose --root {run} --out {out} --reference-segmenter-onnx {box}/pictures/fine.jpg
segment sheet --root {run} --out {out}
segment release --root {run} --model {box}/models/segmenter --out {out}
segment correct --root {run} --masks {box}/pictures
match --root {run} --work v --out {out}/m.parquet
match --root {run} --cross-split --out {out}/m.parquet
verify run --root {run} --matches {run}/matches/v.parquet --out {out}/p.parquet
verify evaluate --root {run} --museum {run}
verify cuts --root {run}
shard tracks --root {run}
shard write --root {run} --out {out}/dataset
shard checksums --dataset {run}/dataset
shard leakage --root {run}
shard statistics --dataset {run}/dataset --tables {out}
shard export --dataset {run}/dataset --to colmap --out {out}/exported
depth train --root {run} --iterations 1 --batch-size 1 --no-compile
depth evaluate --root {run} --model {box}/models/depth
depth score --root {run} --model {box}/models/depth --out {out}/s.parquet
depth export --model {box}/models/hub --out {out}/m.onnx
depth card --model {run}/absurd --tables {run}/tables
depth sfm --root {run}
drkfs score {box}/meshes/chair {box}/classes/chair --metrics chamfer_l1 --out {out}/s.csv
drkfs score {box}/pictures {box}/classes --metrics chamfer_l1 --out {out}/s.csv
drkfs train detector --root {run} --model {out}
drkfs train descriptor --root {run} --model {out}
drkfs train vocabulary --meshes {box}/classes --model {out}
drkfs train mvcnn --meshes {box}/classes --model {out} --views 2 --image-size 32 --single-epochs 1 --multi-epochs 1
reconstruct train --root {shapes} --model {out} --iterations 1
reconstruct predict {box}/study/a.jpg {box}/pictures/drawing.jpg --mask none --model {box}/models/reconstruction
    --out {out}
reconstruct evaluate --root {shapes} --model {box}/models/reconstruction --out {out}/s.parquet
reconstruct evaluate --root {shapes} --reference mean --out {out}/s.parquet
reconstruct describe --root {shapes}
reconstruct study build --items {box}/study/items.csv --out {study}
reconstruct study analyse --plan {study}/ps1-plan.json --key {study}/ps1-key.json --answers {box}/study/answers
    --out {out}/t
reconstruct study simulate --plan {study}/ps1-plan.json --key {study}/ps1-key.json --out {out}
report --root {run} --out {out}/report.html
experiments table --table 4 --plan {box}/study/plan.yaml --scores {run}/scores/a.parquet --out {out}/t
experiments figure --figure 4 --models {box}/models/depth --roots {run} --out {out}/f
experiments reconstruction-table --table reconstruction --plan {box}/study/plan.yaml --scores
    {run}/scores/r.parquet --out {out}/t
experiments reconstruction-figure --figure 5 --root {shapes} --plan {box}/study/plan.yaml --scores
    {run}/scores/r.parquet --out {out}/f
experiments picture {run} --out {out}/result.jpg
"""

NOT_RUN = {  # command: why it reads nothing of others, or where it is tried instead
    "run": "it starts Snakemake, whose jobs are the commands above",
    "resume": "it starts Snakemake, whose jobs are the commands above",
    "completion": "it reads nothing",
    "render museum": "it reads nothing",
    "render shapes": "it reads nothing",
    "collect list commons": "it reads answers of its interface alone: tests/collect/test_collect_sources_catalogues",
    "collect list met": "it asks the interface for each object: tests/collect/test_collect_sources_catalogues",
    "experiments drkfs": "it reads what an earlier run of it has written, and its plan",
    "experiments reproduction": "it reads the project's page and what other commands have written",
}


def leaves(parser=None, words=()):
    """The commands that the command line has, as their words."""
    parser = parser or build_parser()
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        return {" ".join(words)}
    return {leaf for one in inner for name, below in one.choices.items() for leaf in leaves(below, (*words, name))}


def hostile_lines(box, out):
    """Each line of `HOSTILE` by itself, with the folders put in."""
    lines = {}
    for number, line in enumerate(re.sub(r"\n +", " ", HOSTILE).strip().splitlines()):
        places = {"box": box, "out": out / f"h{number}", "study": out / "study"}
        for name in ("run", "shapes"):
            places[name] = out / f"{name}{number}"
            if f"{{{name}}}" in line:
                shutil.copytree(out / name, places[name], symlinks=True)
        lines[line] = [word.format(**places) for word in line.split()]
    return lines
