"""
LiftNet: depth from a single image, trained from the correspondences, evaluated beside its baselines.

NEEDS   <results>/dataset/, images/, masks/ (and the museum's truth to measure depth)
GIVES   <results>/models/liftnet/, <results>/tables/depth_pairs.* and depth_demo.*, <results>/predictions/
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
