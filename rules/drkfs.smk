"""
DR-KFS: how alike two shapes look, as a metric and as a loss; its detector and its descriptor.

NEEDS   shapes and their targets, if drkfs names some
NEEDS   <results>/dataset/, images/ (to train the detector of points of interest and the descriptor of patches)
GIVES   <results>/models/, <results>/tables/drkfs_*.*, <results>/figures/drkfs_*.*
"""


rule train_detector:
    input:
        dataset="<results>/dataset",
        masks=all_mask_tables,
        shapes="<results>/shapes",
    output:
        model="<results>/models/points/model.safetensors",
        card="<results>/models/points/README.md",
    log:
        "<logs>/train_detector.log",
    benchmark:
        "<benchmarks>/train_detector.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        root=subpath(input.dataset, parent=True),
        options=options("drkfs.detector"),
    shell:
        "python -m liftnet drkfs train detector --root {params.root:q} --meshes {input.shapes:q} --threads {threads}"
        " {params.options} --log {log:q}"


rule train_descriptor:
    input:
        dataset="<results>/dataset",
    output:
        model="<results>/models/hardnet/model.safetensors",
        card="<results>/models/hardnet/README.md",
    log:
        "<logs>/train_descriptor.log",
    benchmark:
        "<benchmarks>/train_descriptor.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=4000,
        runtime=1440,
    params:
        root=subpath(input.dataset, parent=True),
        options=options("drkfs.descriptor"),
    shell:
        "python -m liftnet drkfs train descriptor --root {params.root:q} --threads {threads} {params.options}"
        " --log {log:q}"


rule train_vocabulary:
    input:
        shapes="<results>/shapes",
    output:
        vocabulary="<results>/models/vocabulary/vocabulary.safetensors",
    log:
        "<logs>/train_vocabulary.log",
    benchmark:
        "<benchmarks>/train_vocabulary.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        model=subpath(output.vocabulary, parent=True),
        options=options("drkfs.shape_google"),
    shell:
        "python -m liftnet drkfs train vocabulary --meshes {input.shapes:q} --model {params.model:q}"
        " --threads {threads} {params.options} --log {log:q}"


rule train_mvcnn:
    input:
        shapes="<results>/shapes",
    output:
        model="<results>/models/mvcnn/model.safetensors",
    log:
        "<logs>/train_mvcnn.log",
    benchmark:
        "<benchmarks>/train_mvcnn.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        model=subpath(output.model, parent=True),
        options=options("drkfs.mvcnn"),
        state=lambda wildcards: state_of("drkfs.mvcnn"),
    shell:
        "python -m liftnet drkfs train mvcnn --meshes {input.shapes:q} --model {params.model:q}"
        " --threads {threads} {params.options} --log {log:q}"


rule score_shapes:
    input:
        meshes=scored_files,
        weights=lambda wildcards: drkfs_weights(),
    output:
        table=reported("<results>/tables/drkfs_scores.csv", "drkfs_scores", "DR-KFS", table="scores"),
    log:
        "<logs>/score_shapes.log",
    benchmark:
        "<benchmarks>/score_shapes.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=1440,
    params:
        pictures=f"{RESULTS}/figures/drkfs_scores",
        folders=lambda wildcards: scored_folders(),
        state=lambda wildcards: sources.state_of_files(*scored_folders()) + state_of("drkfs", "metric", "score"),
        options=f"--up {config['drkfs']['shapes_up']} {options('drkfs', 'metric', 'score')}",
    shell:
        "python -m liftnet drkfs score {params.folders:q} --out {output.table:q} --lenient"
        " --pictures {params.pictures:q} --threads {threads} {params.options} --log {log:q}"
