"""
LiftNet: depth from a single image, trained from the correspondences, evaluated beside its baselines.

NEEDS   <results>/dataset/, images/, masks/ (and the museum's truth to measure depth)
GIVES   <results>/models/liftnet/ with its card, <results>/tables/depth_pairs.* and depth_demo.*, <results>/predictions/

The experiments of the paper, which `depth_tables` runs by the plan workflow/experiments.yaml:

NEEDS   the same, and <results>/renders/<set>/
GIVES   <results>/sfm/, <results>/models/<run>-s<seed>/, <results>/scores/<run>-s<seed>/<set>.parquet,
        <results>/tables/depth_table<k>.*, <results>/figures/depth_figure<k>.*
"""


rule train_liftnet:
    input:
        manifest="<results>/manifest.parquet",
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
        seed=config["seed"],
        settings=settings("depth", *DEPTH_TRAINING),
        version=1,
    shell:
        """
        python -m liftnet depth train --root "$(dirname {input.manifest:q})" --dataset {input.dataset:q} \
            --model "$(dirname {output.model:q})" --threads {threads} --seed {params.seed} {params.settings} \
            2>&1 | tee {log:q}
        """


rule evaluate_depth:
    input:
        manifest="<results>/manifest.parquet",
        dataset="<results>/dataset",
        model="<results>/models/liftnet/model.safetensors",
        truth=branch(MUSEUM, then="<results>/museum/truth.parquet", otherwise=[]),
    output:
        predictions=directory("<results>/predictions"),
        tables=report(
            ["<results>/tables/depth_pairs.csv", *truth_tables("depth_demo")],
            caption="../workflow/report/depth.rst",
            category="Depth",
        ),
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
        museum=museum_option(),
        seed=config["seed"],
        settings=settings("depth", *DEPTH_EVALUATION),
        version=1,
    shell:
        """
        python -m liftnet depth evaluate --root "$(dirname {input.manifest:q})" --dataset {input.dataset:q} \
            --model "$(dirname {input.model:q})" {params.museum} --tables "$(dirname {output.tables[0]:q})" \
            --threads {threads} --seed {params.seed} {params.settings} 2>&1 | tee {log:q}
        """


rule write_model_card:
    input:
        model="<results>/models/liftnet/model.safetensors",
        tables=["<results>/tables/depth_pairs.csv", *truth_tables("depth_demo")],
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
        version=1,
    shell:
        """
        python -m liftnet depth card --model "$(dirname {output.card:q})" --tables "$(dirname {input.tables[0]:q})" \
            2>&1 | tee {log:q}
        """


rule reconstruct_works:
    input:
        manifest="<results>/manifest.parquet",
        masks=all_mask_tables,
    output:
        truth="<results>/sfm/truth.parquet",
        table=report(
            "<results>/tables/sfm.csv",
            caption="../workflow/report/sfm.rst",
            category="Depth",
        ),
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
        seed=config["seed"],
        settings=settings("depth", *DEPTH_SFM),
        truth=branch(MUSEUM, then=f"--truth {shlex.quote(MUSEUM_FOLDER)}", otherwise=""),
        version=1,
    shell:
        """
        python -m liftnet depth sfm --root "$(dirname {input.manifest:q})" --out "$(dirname {output.truth:q})" \
            --tables "$(dirname {output.table:q})" {params.truth} --threads {threads} --seed {params.seed} \
            {params.settings} 2>&1 | tee {log:q}
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
        python -m liftnet depth table --table {wildcards.table} --experiments {input.plan:q} \
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
        python -m liftnet depth figure --figure {wildcards.figure} {params.options} \
            --out "${{out%.html}}" --threads {threads} 2>&1 | tee {log:q}
        """
