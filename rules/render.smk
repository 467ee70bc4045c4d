"""
The demo museum: procedural sculptures, photographed, with their true depth kept aside.

NEEDS   nothing
GIVES   <results>/museum/: sources.csv, images/, masks/ (those given away), truth/, truth.parquet
"""


rule render_museum:
    output:
        sources="<results>/museum/sources.csv",
        truth="<results>/museum/truth.parquet",
    log:
        "<logs>/render_museum.log",
    benchmark:
        "<benchmarks>/render_museum.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 32
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        seed=config["seed"],
        settings=settings("render"),
        version=1,
    shell:
        """
        python -m liftnet render museum --out "$(dirname {output.sources:q})" \
            --threads {threads} --seed {params.seed} {params.settings} 2>&1 | tee {log:q}
        """
