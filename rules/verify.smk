"""
Verified pairs: foreground, fundamental matrix under RANSAC; chance, copies, watermarks and planes thrown out.

NEEDS   <results>/matches/, masks/, manifest.parquet, features/, images/ (and the museum's truth to measure precision)
GIVES   <results>/pairs/<work>.parquet, across/pairs.parquet, <results>/tables/pairs_by_reason.*, correspondences_truth.* and cuts.*
"""


rule verify_work:
    input:
        manifest="<results>/manifest.parquet",
        masks=mask_table_of_work,
        matches="<results>/matches/{work}.parquet",
    output:
        pairs="<results>/pairs/{work}.parquet",
    log:
        "<logs>/verify_work/{work}.log",
    benchmark:
        "<benchmarks>/verify_work/{work}.tsv"
    conda:
        "../envs/vision.yaml"
    threads: threads_of_work
    resources:
        mem_mb=2000,
        runtime=minutes_of_work,
    params:
        root=subpath(input.manifest, parent=True),
        options=options("verify"),
    shell:
        "python -m liftnet verify run --root {params.root:q} --matches {input.matches:q} --out {output.pairs:q}"
        " --threads {threads} {params.options} --log {log:q}"


use rule verify_work as verify_across with:
    input:
        manifest="<results>/manifest.parquet",
        masks=all_mask_tables,
        matches="<results>/across/matches.parquet",
    output:
        pairs="<results>/across/pairs.parquet",
    log:
        "<logs>/verify_across.log",
    benchmark:
        "<benchmarks>/verify_across.tsv"
    threads: threads_across
    resources:
        mem_mb=2000,
        runtime=minutes_across,


rule evaluate_pairs:
    input:
        manifest="<results>/manifest.parquet",
        pairs=per_work("pairs"),
        truth=branch(MUSEUM, then="<results>/museum/truth.parquet", otherwise=[]),
    output:
        tables=["<results>/tables/pairs_by_reason.csv", *truth_tables("correspondences_truth")],
    log:
        "<logs>/evaluate_pairs.log",
    benchmark:
        "<benchmarks>/evaluate_pairs.tsv"
    conda:
        "../envs/vision.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        root=subpath(input.manifest, parent=True),
        museum=museum_option(),
    shell:
        "python -m liftnet verify evaluate --root {params.root:q} {params.museum} --log {log:q}"


rule count_cuts:
    input:
        manifest="<results>/manifest.parquet",
        pairs=per_work("pairs"),
        truth=branch(MUSEUM, then="<results>/museum/truth.parquet", otherwise=[]),
    output:
        table=reported("<results>/tables/cuts.csv", "cuts", "Dataset", table="cuts"),
    log:
        "<logs>/count_cuts.log",
    benchmark:
        "<benchmarks>/count_cuts.tsv"
    conda:
        "../envs/vision.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        root=subpath(input.manifest, parent=True),
        museum=museum_option(),
        settings=section("verify"),
    shell:
        "python -m liftnet verify cuts --root {params.root:q} {params.museum} --settings {params.settings:q}"
        " --log {log:q}"
