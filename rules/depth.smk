"""
LiftNet: depth from a single image, trained from the correspondences, evaluated beside its baselines.

NEEDS   <results>/dataset/, images/, masks/ (and the museum's truth to measure depth)
GIVES   <results>/models/liftnet/ with its card, <results>/tables/depth_pairs.* and depth_demo.*, <results>/predictions/

COLMAP's depth, which the experiments regress:

NEEDS   <results>/images/, masks/
GIVES   <results>/sfm/, <results>/tables/sfm.*
"""


rule train_liftnet:
    input:
        dataset="<results>/dataset",
    output:
        model="<results>/models/liftnet/model.safetensors",
    log:
        "<logs>/train_liftnet.log",
    benchmark:
        "<benchmarks>/train_liftnet.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=1440,
    params:
        root=subpath(input.dataset, parent=True),
        options=options("depth.train"),
        state=lambda wildcards: state_of("depth.train"),
    shell:
        "python -m liftnet depth train --root {params.root:q} --threads {threads} {params.options} --log {log:q}"


rule evaluate_depth:
    input:
        dataset="<results>/dataset",
        model="<results>/models/liftnet/model.safetensors",
        truth=branch(MUSEUM, then="<results>/museum/truth.parquet", otherwise=[]),
    output:
        predictions=directory("<results>/predictions"),
        tables=reported(["<results>/tables/depth_pairs.csv", *truth_tables("depth_demo")], "depth", "Depth"),
    log:
        "<logs>/evaluate_depth.log",
    benchmark:
        "<benchmarks>/evaluate_depth.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=120,
    params:
        root=subpath(input.dataset, parent=True),
        options=f"{museum_option()} {options('depth.evaluate')}",
    shell:
        "python -m liftnet depth evaluate --root {params.root:q} --threads {threads} {params.options} --log {log:q}"


rule write_model_card:
    input:
        model="<results>/models/liftnet/model.safetensors",
        pairs="<results>/tables/depth_pairs.csv",
        demo=truth_tables("depth_demo"),
    output:
        card="<results>/models/liftnet/README.md",
        curves="<results>/models/liftnet/training.png",
    log:
        "<logs>/write_model_card.log",
    benchmark:
        "<benchmarks>/write_model_card.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        model=subpath(output.card, parent=True),
        tables=subpath(input.pairs, parent=True),
    shell:
        "python -m liftnet depth card --model {params.model:q} --tables {params.tables:q} --log {log:q}"


rule reconstruct_works:
    input:
        manifest="<results>/manifest.parquet",
        masks=all_mask_tables,
    output:
        truth="<results>/sfm/truth.parquet",
        table=reported("<results>/tables/sfm.csv", "sfm", "Depth"),
    log:
        "<logs>/reconstruct_works.log",
    benchmark:
        "<benchmarks>/reconstruct_works.tsv"
    conda:
        "../envs/colmap.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        root=subpath(input.manifest, parent=True),
        options=options("depth.sfm"),
        truth=branch(MUSEUM, then=f"--truth {shlex.quote(MUSEUM_FOLDER)}", otherwise=""),
    shell:
        "python -m liftnet depth sfm --root {params.root:q} {params.truth} --threads {threads} {params.options}"
        " --log {log:q}"
