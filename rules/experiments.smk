"""
The papers' experiments: what is trained, scored, tabled and drawn, by the plan workflow/experiments.yaml.

NEEDS   <results>/manifest.parquet, dataset/, images/, masks/, <results>/renders/<set>/, <results>/sfm/
GIVES   <results>/models/<run>-s<seed>/, <results>/scores/<run>-s<seed>/<set>.parquet,
        <results>/tables/depth_table<k>.*, <results>/figures/depth_figure<k>.*,
        <results>/tables/drkfs_<experiment>*.*, <results>/figures/drkfs_<experiment>.png
"""


rule train_run:
    input:
        sources_of_run,
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
        settings=settings_of_run,
        sources=source_options_of_run,
        version=1,
    shell:
        """
        python -m liftnet depth train {params.sources} --model "$(dirname {output.model:q})" \
            --threads {threads} --seed {wildcards.seed} {params.settings} 2>&1 | tee {log:q}
        """


rule score_run:
    input:
        sources_of_scores,
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
        options=options_of_scores,
        version=1,
    shell:
        """
        python -m liftnet depth score {params.options} --out {output.scores:q} --threads {threads} 2>&1 | tee {log:q}
        """


rule compile_depth_table:
    input:
        plan=PLAN_FILE,
        scores=scores_of_table,
    output:
        table=report(
            "<results>/tables/depth_table{table}.csv",
            caption="../workflow/report/depth_table.rst",
            category="Depth",
            labels={"table": "{table}"},
        ),
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
        seed=config["seed"],
        version=1,
    shell:
        """
        out={output.table:q}
        python -m liftnet experiments table --table {wildcards.table} --plan {input.plan:q} \
            --scores {input.scores:q} --out "${{out%.csv}}" --seed {params.seed} 2>&1 | tee {log:q}
        """


rule draw_depth_figure:
    input:
        models=models_of_figure,
        manifests=manifests_of_figure,
    output:
        page=report(
            "<results>/figures/depth_figure{figure}.html",
            caption="../workflow/report/depth_figure.rst",
            category="Depth",
            labels={"figure": "{figure}"},
        ),
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
        options=options_of_figure,
        version=1,
    shell:
        """
        out={output.page:q}
        python -m liftnet experiments figure --figure {wildcards.figure} {params.options} \
            --out "${{out%.html}}" --threads {threads} 2>&1 | tee {log:q}
        """


rule run_drkfs_experiment:
    output:
        table=report(
            "<results>/tables/drkfs_{experiment}.csv",
            caption="../workflow/report/drkfs_experiment.rst",
            category="DR-KFS",
            labels={"experiment": "{experiment}"},
        ),
        picture=report(
            "<results>/figures/drkfs_{experiment}.png",
            caption="../workflow/report/drkfs_experiment.rst",
            category="DR-KFS",
            labels={"experiment": "{experiment}"},
        ),
    log:
        "<logs>/run_drkfs_experiment/{experiment}.log",
    benchmark:
        "<benchmarks>/run_drkfs_experiment/{experiment}.tsv"
    wildcard_constraints:
        experiment="|".join(DRKFS_EXPERIMENTS),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        seed=config["seed"],
        settings=section("drkfs.metric", "experiments.drkfs"),
        version=1,
    shell:
        """
        python -m liftnet experiments drkfs {wildcards.experiment} --out "$(dirname "$(dirname {output.table:q})")" \
            --threads {threads} --seed {params.seed} --settings {params.settings:q} 2>&1 | tee {log:q}
        """
