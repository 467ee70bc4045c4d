"""
The papers' experiments: what is trained, scored, tabled and drawn, by the plans in workflow/experiments/.

NEEDS   <results>/manifest.parquet, dataset/, images/, masks/, <results>/renders/<set>/, <results>/sfm/
GIVES   <results>/models/<run>-s<seed>/, <results>/scores/<run>-s<seed>/<set>.parquet,
        <results>/tables/depth_table<k>.*, <results>/figures/depth_figure<k>.*,
        <results>/tables/drkfs_<experiment>*.*, <results>/figures/drkfs_<experiment>.png,
        <results>/reconstruct/models/<run>-s<seed>/, scores/<run>-s<seed>.parquet with meshes beside it,
        <results>/tables/reconstruction*.*, <results>/figures/reconstruction_figure<k>.*; of the demo below
        <results>/demo/
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
        state=lambda wildcards: state_of("depth.train"),
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
        options=f"--settings {shlex.quote(section('drkfs', 'metric'))} {options('experiments', 'drkfs')}",
        state=lambda wildcards: state_of("drkfs", "metric") + state_of("experiments", "drkfs"),
    shell:
        "python -m liftnet experiments drkfs {wildcards.name} --plan {input.plan:q} --out {params.out:q}"
        " --threads {threads} {params.options} --log {log:q}"


rule render_shapes_of_demo:
    output:
        shapes="<results>/demo/renders/reconstruction/shapes.parquet",
        views="<results>/demo/renders/reconstruction/views.parquet",
    log:
        "<logs>/render_shapes_of_demo.log",
    benchmark:
        "<benchmarks>/render_shapes_of_demo.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 32
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        out=subpath(output.shapes, parent=True),
        seed=config["seed"],
        settings=RECONSTRUCTIONS["demo/"].rendering_settings(),
        state=state_of_set("reconstruction"),
    shell:
        "python -m liftnet render set --set reconstruction --out {params.out:q} --lenient --threads {threads}"
        " --seed {params.seed} --settings {params.settings:q} --log {log:q}"


rule describe_true_shapes:
    input:
        lambda wildcards: RECONSTRUCTIONS[wildcards.place].truth_inputs(),
    output:
        done=touch("<results>/{place}renders/reconstruction/descriptors.done"),
    log:
        "<logs>/{place}describe_true_shapes.log",
    benchmark:
        "<benchmarks>/{place}describe_true_shapes.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        root=subpath(output.done, parent=True),
        seed=config["seed"],
        settings=lambda wildcards: RECONSTRUCTIONS[wildcards.place].evaluation_settings(),
        state=lambda wildcards: state_of("reconstruct.evaluate"),
    shell:
        "python -m liftnet reconstruct describe --root {params.root:q} --threads {threads} --seed {params.seed}"
        " --settings {params.settings:q} --log {log:q}"


rule train_reconstruction_run:
    input:
        lambda wildcards: RECONSTRUCTIONS[wildcards.place].training_inputs(wildcards.run, wildcards.seed),
    output:
        model="<results>/{place}reconstruct/models/{run}-s{seed}/model.safetensors",
    log:
        "<logs>/{place}train_reconstruction_run/{run}-s{seed}.log",
    benchmark:
        "<benchmarks>/{place}train_reconstruction_run/{run}-s{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1  # runs go side by side
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=1440,
    params:
        model=subpath(output.model, parent=True),
        settings=lambda wildcards: RECONSTRUCTIONS[wildcards.place].training_settings(wildcards.run, wildcards.seed),
        state=lambda wildcards: state_of("reconstruct.train"),
        sources=lambda wildcards: RECONSTRUCTIONS[wildcards.place].training_options(wildcards.run, wildcards.seed),
    shell:
        "python -m liftnet reconstruct train {params.sources} --model {params.model:q} --threads {threads}"
        " --seed {wildcards.seed} --settings {params.settings:q} --log {log:q}"


rule evaluate_reconstruction_run:
    input:
        lambda wildcards: RECONSTRUCTIONS[wildcards.place].score_inputs(wildcards.run, wildcards.seed),
    output:
        scores="<results>/{place}reconstruct/scores/{run}-s{seed}.parquet",
    log:
        "<logs>/{place}evaluate_reconstruction_run/{run}-s{seed}.log",
    benchmark:
        "<benchmarks>/{place}evaluate_reconstruction_run/{run}-s{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        options=lambda wildcards: RECONSTRUCTIONS[wildcards.place].score_options(wildcards.run, wildcards.seed),
        seed=config["seed"],
        settings=lambda wildcards: RECONSTRUCTIONS[wildcards.place].evaluation_settings(),
        state=lambda wildcards: state_of("reconstruct.evaluate"),
    shell:
        "python -m liftnet reconstruct evaluate {params.options} --out {output.scores:q} --threads {threads}"
        " --seed {params.seed} --settings {params.settings:q} --log {log:q}"


rule compile_reconstruction_table:
    input:
        plan=f"{PLANS}/reconstruction.yaml",
        scores=lambda wildcards: RECONSTRUCTIONS[wildcards.place].table_scores(wildcards.comparison),
    output:
        table=reported(
            "<results>/{place}tables/{comparison}.csv", "reconstruction", "Reconstruction", table="{comparison}"
        ),
    log:
        "<logs>/{place}compile_reconstruction_table/{comparison}.log",
    benchmark:
        "<benchmarks>/{place}compile_reconstruction_table/{comparison}.tsv"
    wildcard_constraints:
        comparison="|".join(RECONSTRUCTIONS[""].plan["tables"]),
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        out=subpath(output.table, strip_suffix=".csv"),
        seeds=lambda wildcards: list(RECONSTRUCTIONS[wildcards.place].seeds()),
    shell:
        "python -m liftnet experiments reconstruction-table --table {wildcards.comparison} --plan {input.plan:q}"
        " --scores {input.scores:q} --seeds {params.seeds} --out {params.out:q} --log {log:q}"


rule draw_reconstruction_figure:
    input:
        plan=f"{PLANS}/reconstruction.yaml",
        shapes="<results>/{place}renders/reconstruction/shapes.parquet",
        scores=lambda wildcards: RECONSTRUCTIONS[wildcards.place].figure_scores(wildcards.figure),
    output:
        page=reported(
            "<results>/{place}figures/reconstruction_figure{figure}.html", "reconstruction_figure", "Reconstruction"
        ),
        picture="<results>/{place}figures/reconstruction_figure{figure}.png",
    log:
        "<logs>/{place}draw_reconstruction_figure/{figure}.log",
    benchmark:
        "<benchmarks>/{place}draw_reconstruction_figure/{figure}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        root=subpath(input.shapes, parent=True),
        out=subpath(output.page, strip_suffix=".html"),
    shell:
        "python -m liftnet experiments reconstruction-figure --figure {wildcards.figure} --plan {input.plan:q}"
        " --root {params.root:q} --scores {input.scores:q} --out {params.out:q} --log {log:q}"
