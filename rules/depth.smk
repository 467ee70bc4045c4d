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
        settings=section("depth.train"),
        version=1,
    shell:
        """
        python -m liftnet depth train --root "$(dirname {input.manifest:q})" --dataset {input.dataset:q} \
            --model "$(dirname {output.model:q})" --threads {threads} --seed {params.seed} \
            --settings {params.settings:q} 2>&1 | tee {log:q}
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
        settings=section("depth.evaluate"),
        version=1,
    shell:
        """
        python -m liftnet depth evaluate --root "$(dirname {input.manifest:q})" --dataset {input.dataset:q} \
            --model "$(dirname {input.model:q})" {params.museum} --tables "$(dirname {output.tables[0]:q})" \
            --threads {threads} --seed {params.seed} --settings {params.settings:q} 2>&1 | tee {log:q}
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
        settings=section("depth.sfm"),
        truth=branch(MUSEUM, then=f"--truth {shlex.quote(MUSEUM_FOLDER)}", otherwise=""),
        version=1,
    shell:
        """
        python -m liftnet depth sfm --root "$(dirname {input.manifest:q})" --out "$(dirname {output.truth:q})" \
            --tables "$(dirname {output.table:q})" {params.truth} --threads {threads} --seed {params.seed} \
            --settings {params.settings:q} 2>&1 | tee {log:q}
        """
