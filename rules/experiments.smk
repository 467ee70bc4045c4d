"""
The papers' experiments: what is trained, scored, tabled and drawn, by the plans in workflow/experiments/.

NEEDS   <results>/manifest.parquet, dataset/, images/, masks/, <results>/renders/<set>/, <results>/sfm/
GIVES   <results>/models/<run>-s<seed>/, <results>/scores/<run>-s<seed>/<set>.parquet,
        <results>/tables/depth_table<k>.*, <results>/figures/depth_figure<k>.*,
        <results>/tables/drkfs_<experiment>*.*, <results>/figures/drkfs_<experiment>.png
"""


rule train_run:
    input:
        lambda wildcards: DEPTH_EXPERIMENTS.training_inputs(wildcards.run),
    output:
        model="<results>/models/{run}-s{seed}/model.safetensors",
    log:
        "<logs>/train_run/{run}-s{seed}.log",
    benchmark:
        "<benchmarks>/train_run/{run}-s{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1  # runs go side by side
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=1440,
    params:
        model=subpath(output.model, parent=True),
        settings=lambda wildcards: DEPTH_EXPERIMENTS.training_settings(wildcards.run),
        sources=lambda wildcards: DEPTH_EXPERIMENTS.training_options(wildcards.run),
    shell:
        "python -m liftnet depth train {params.sources} --model {params.model:q} --threads {threads}"
        " --seed {wildcards.seed} --settings {params.settings:q} --log {log:q}"


rule score_run:
    input:
        lambda wildcards: DEPTH_EXPERIMENTS.score_inputs(*wildcards),
    output:
        scores="<results>/scores/{run}-s{seed}/{set}.parquet",
    log:
        "<logs>/score_run/{run}-s{seed}/{set}.log",
    benchmark:
        "<benchmarks>/score_run/{run}-s{seed}/{set}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        options=lambda wildcards: DEPTH_EXPERIMENTS.score_options(*wildcards),
    shell:
        "python -m liftnet depth score {params.options} --out {output.scores:q} --threads {threads} --log {log:q}"


rule compile_depth_table:
    input:
        plan=f"{PLANS}/depth.yaml",
        scores=lambda wildcards: DEPTH_EXPERIMENTS.table_scores(wildcards.table),
    output:
        table=reported("<results>/tables/depth_table{table}.csv", "depth_table", "Depth", table="{table}"),
    log:
        "<logs>/compile_depth_table/{table}.log",
    benchmark:
        "<benchmarks>/compile_depth_table/{table}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        out=subpath(output.table, strip_suffix=".csv"),
        seed=config["seed"],
    shell:
        "python -m liftnet experiments table --table {wildcards.table} --plan {input.plan:q}"
        " --scores {input.scores:q} --out {params.out:q} --seed {params.seed} --log {log:q}"


rule draw_depth_figure:
    input:
        models=lambda wildcards: DEPTH_EXPERIMENTS.figure_models(wildcards.figure),
        manifests=lambda wildcards: DEPTH_EXPERIMENTS.figure_manifests(wildcards.figure),
    output:
        page=reported("<results>/figures/depth_figure{figure}.html", "depth_figure", "Depth", figure="{figure}"),
        picture="<results>/figures/depth_figure{figure}.png",
    log:
        "<logs>/draw_depth_figure/{figure}.log",
    benchmark:
        "<benchmarks>/draw_depth_figure/{figure}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        out=subpath(output.page, strip_suffix=".html"),
        options=lambda wildcards: DEPTH_EXPERIMENTS.figure_options(wildcards.figure),
    shell:
        "python -m liftnet experiments figure --figure {wildcards.figure} {params.options} --out {params.out:q}"
        " --threads {threads} --log {log:q}"


rule run_drkfs_experiment:
    input:
        plan=f"{PLANS}/drkfs.yaml",
    output:
        table=reported("<results>/tables/drkfs_{name}.csv", "drkfs_experiment", "DR-KFS", experiment="{name}"),
        picture=reported("<results>/figures/drkfs_{name}.png", "drkfs_experiment", "DR-KFS", experiment="{name}"),
    log:
        "<logs>/run_drkfs_experiment/{name}.log",
    benchmark:
        "<benchmarks>/run_drkfs_experiment/{name}.tsv"
    wildcard_constraints:
        name="|".join(DRKFS_PLAN["experiments"]),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        out=subpath(output.table, ancestor=2),
        metric=section("drkfs", "metric"),
        options=options("experiments", "drkfs"),
    shell:
        "python -m liftnet experiments drkfs {wildcards.name} --plan {input.plan:q} --out {params.out:q}"
        " --threads {threads} --settings {params.metric:q} {params.options} --log {log:q}"
