"""
Foreground masks: a network trained from the manual masks, then run on every image.

NEEDS   <results>/manifest.parquet, images/, hand_masks/
GIVES   <results>/models/segmenter/, <results>/masks/, <results>/tables/segmentation.* and segmentation_truth.*;
        on demand <results>/tables/segmentation_folds.* (target masks_table), <results>/sheets/masks/ (masks_sheet) and
        <results>/release/segmenter/, the model as it ships (release_segmenter)
"""


rule train_segmenter:
    input:
        manifest="<results>/manifest.parquet",
    output:
        model="<results>/models/segmenter/model.safetensors",
        table="<results>/tables/segmentation.csv",
    log:
        "<logs>/train_segmenter.log",
    benchmark:
        "<benchmarks>/train_segmenter.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        root=subpath(input.manifest, parent=True),
        options=options("segment", "weights", "network", "data", "augmentation", "train", "predict"),
        state=lambda wildcards: state_of("segment", "weights", "network", "data", "train"),
    shell:
        "python -m liftnet segment train --root {params.root:q} --threads {threads} {params.options} --log {log:q}"


rule predict_masks:
    input:
        manifest="<results>/manifest.parquet",
        model="<results>/models/segmenter/model.safetensors",
    output:
        masks="<results>/masks/{artist}.parquet",
    log:
        "<logs>/predict_masks/{artist}.log",
    benchmark:
        "<benchmarks>/predict_masks/{artist}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        root=subpath(input.manifest, parent=True),
        settings=section("segment.predict"),
    shell:
        "python -m liftnet segment predict --root {params.root:q} --artist {wildcards.artist:q} --out {output.masks:q}"
        " --threads {threads} --settings {params.settings:q} --log {log:q}"


rule evaluate_masks:
    input:
        manifest="<results>/manifest.parquet",
        masks=all_mask_tables,
        truth="<results>/museum/truth.parquet",
    output:
        table="<results>/tables/segmentation_truth.csv",
    log:
        "<logs>/evaluate_masks.log",
    benchmark:
        "<benchmarks>/evaluate_masks.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        root=subpath(input.manifest, parent=True),
        museum=subpath(input.truth, parent=True),
    shell:
        "python -m liftnet segment evaluate --root {params.root:q} --museum {params.museum:q} --log {log:q}"


rule crossvalidate_masks:
    input:
        manifest="<results>/manifest.parquet",
    output:
        folds="<results>/tables/segmentation_folds.csv",
        confidence="<results>/tables/segmentation_confidence.csv",
        images="<results>/tables/segmentation_images.csv",
    log:
        "<logs>/crossvalidate_masks.log",
    benchmark:
        "<benchmarks>/crossvalidate_masks.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=720,
    params:
        root=subpath(input.manifest, parent=True),
        options=options("segment"),
        state=lambda wildcards: state_of("segment"),
    shell:
        "python -m liftnet segment crossvalidate --root {params.root:q} --threads {threads} {params.options}"
        " --log {log:q}"


rule release_segmenter:
    input:
        manifest="<results>/manifest.parquet",
        model="<results>/models/segmenter/model.safetensors",
    output:
        release=directory("<results>/release/segmenter"),
    log:
        "<logs>/release_segmenter.log",
    benchmark:
        "<benchmarks>/release_segmenter.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        root=subpath(input.manifest, parent=True),
        model=subpath(input.model, parent=True),
        seed=config["seed"],
    shell:
        "python -m liftnet segment release --root {params.root:q} --model {params.model:q} --out {output.release:q}"
        " --seed {params.seed} --log {log:q}"


rule draw_mask_sheet:
    input:
        manifest="<results>/manifest.parquet",
        masks=all_mask_tables,
    output:
        page="<results>/sheets/masks/sheet.html",
    log:
        "<logs>/draw_mask_sheet.log",
    benchmark:
        "<benchmarks>/draw_mask_sheet.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        root=subpath(input.manifest, parent=True),
        out=subpath(output.page, parent=True),
    shell:
        "python -m liftnet segment sheet --root {params.root:q} --out {params.out:q} --log {log:q}"
