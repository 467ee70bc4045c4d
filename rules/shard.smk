"""
The dataset: tracks, Parquet shards split by artist, and the statistics counted from the shards alone.

NEEDS   <results>/pairs/, manifest.parquet, images/, across/pairs.parquet
GIVES   <results>/tracks/, linked/, which `join_tracks` owns without declaring more than their list, so that it resumes;
        <results>/dataset/ (with its card, Croissant, attribution, checksums and mini/), <results>/tables/statistics.*,
        split_sizes.*, sources.*, funnel_by_source.* and others, <results>/tables/figures/
"""


rule join_tracks:
    input:
        manifest="<results>/manifest.parquet",
        pairs=per_work("pairs"),
        across="<results>/across/pairs.parquet",
    output:
        works="<results>/tracks/works.csv",
    log:
        "<logs>/join_tracks.log",
    benchmark:
        "<benchmarks>/join_tracks.tsv"
    conda:
        "../envs/vision.yaml"
    threads: threads_across
    resources:
        mem_mb=8000,
        runtime=minutes_across,
    params:
        root=subpath(input.manifest, parent=True),
        settings=section("shard", "licences", "images", "tracks"),
    shell:
        "python -m liftnet shard tracks --root {params.root:q} --threads {threads} --settings {params.settings:q}"
        " --log {log:q}"


rule write_shards:
    input:
        manifest="<results>/manifest.parquet",
        pairs=per_work("pairs"),
        tracks="<results>/tracks/works.csv",
        across="<results>/across/pairs.parquet",
    output:
        dataset=directory("<results>/dataset"),
    log:
        "<logs>/write_shards.log",
    benchmark:
        "<benchmarks>/write_shards.tsv"
    conda:
        "../envs/collect.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        root=subpath(input.manifest, parent=True),
        settings=section("shard"),
    shell:
        "python -m liftnet shard write --root {params.root:q} --out {output.dataset:q}"
        " --settings {params.settings:q} --log {log:q}"


rule count_leakage:
    input:
        dataset="<results>/dataset",
        across="<results>/across/pairs.parquet",
    output:
        table=reported("<results>/tables/leakage.csv", "leakage", "Dataset", table="leakage"),
    log:
        "<logs>/count_leakage.log",
    benchmark:
        "<benchmarks>/count_leakage.tsv"
    conda:
        "../envs/collect.yaml"
    threads: threads_across
    resources:
        mem_mb=4000,
        runtime=minutes_across,
    params:
        root=subpath(input.dataset, parent=True),
        near_bits=config["collect"]["duplicates"]["near_duplicate_max_bits"],
    shell:
        "python -m liftnet shard leakage --root {params.root:q} --near-bits {params.near_bits} --threads {threads}"
        " --log {log:q}"


rule count_statistics:
    input:
        dataset="<results>/dataset",
        truth=branch(MUSEUM, then="<results>/museum/truth.parquet", otherwise=[]),
    output:
        table=reported("<results>/tables/statistics.csv", "statistics", "Dataset", table="statistics"),
        others=outputs.statistics_tables(RESULTS),
        figures=directory("<results>/tables/figures"),
    log:
        "<logs>/count_statistics.log",
    benchmark:
        "<benchmarks>/count_statistics.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        tables=subpath(output.table, parent=True),
        museum=museum_option(),
    shell:
        "python -m liftnet shard statistics --dataset {input.dataset:q} {params.museum} --tables {params.tables:q}"
        " --log {log:q}"
