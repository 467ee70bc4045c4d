"""
Images, hand-made masks and the manifest, from lists of URLs or paths, folders, or the museum served over HTTP.

NEEDS   the sources: the museum, or what `photos:` and `sources:` name
GIVES   <results>/lists/, a list of images for each entry of `sources:`
GIVES   <results>/downloads/ (the plan and the journals), <results>/fetched/, one table a job of the plan
GIVES   <results>/images/, <results>/hand_masks/, <results>/manifest.parquet, <results>/works.tsv, <results>/splits/

How servers are asked is a resource of the jobs, not a parameter: it changes nothing in the files, so it runs no job
again. A job has hosts of its own, so that a rate limit holds however many cores a run has; `--resources net=2` lets two jobs
fetch at a time. Jobs run where Snakemake runs: compute nodes of a cluster often have no network.
"""


rule list_source:
    input:
        list_inputs,
    output:
        "<results>/lists/{source}.parquet",
    log:
        "<logs>/list_source/{source}.log",
    benchmark:
        "<benchmarks>/list_source/{source}.tsv"
    localrule: True
    conda:
        "../envs/collect.yaml"
    resources:
        queries=section("collect.permissions", "collect.politeness"),
        mem_mb=2000,
        net=1,
        runtime=4320,
    params:
        kind=lambda wildcards: SOURCES.entry(wildcards.source)["kind"],
        settings=list_settings,
        version=1,
    shell:
        """
        python -m liftnet collect list {params.kind} --out {output:q} --settings {params.settings:q} \
            --settings {resources.queries:q} \
            --host-leases "$(dirname "$(dirname {output:q})")/downloads" 2>&1 | tee {log:q}
        """


checkpoint plan_downloads:
    input:
        sources=SOURCES.files(),
    output:
        jobs="<results>/downloads/jobs.tsv",
        wanted="<results>/downloads/wanted.parquet",
        sources="<results>/downloads/sources.json",
        table="<results>/downloads/plan.csv",
    log:
        "<logs>/plan_downloads.log",
    benchmark:
        "<benchmarks>/plan_downloads.tsv"
    localrule: True
    conda:
        "../envs/collect.yaml"
    resources:
        politeness=section("collect.politeness", named=True),
        mem_mb=4000,
        runtime=60,
    params:
        settings=section("collect.permissions", "collect.pictures"),
        source=SOURCES.options(),
        version=1,
    shell:
        """
        python -m liftnet collect plan {params.source} --out "$(dirname "$(dirname {output.jobs:q})")" \
            --settings {params.settings:q} --settings {resources.politeness:q} 2>&1 | tee {log:q}
        """


rule fetch_host:
    input:
        requests="<results>/downloads/{job}.parquet",
    output:
        fetched="<results>/fetched/{job}.parquet",
    log:
        "<logs>/fetch_host/{job}.log",
    benchmark:
        "<benchmarks>/fetch_host/{job}.tsv"
    localrule: True
    conda:
        "../envs/collect.yaml"
    threads: threads_of_job
    resources:
        politeness=section("collect.politeness", named=True),
        mem_mb=memory_of_job,
        net=1,
        runtime=4320,
    params:
        settings=section("collect.permissions", "collect.pictures"),
        version=1,
    shell:
        """
        python -m liftnet collect fetch --out "$(dirname "$(dirname {output.fetched:q})")" --job {wildcards.job} \
            --threads {threads} --settings {params.settings:q} --settings {resources.politeness:q} 2>&1 | tee {log:q}
        """


checkpoint collect_images:
    input:
        fetched=all_fetched,
        wanted="<results>/downloads/wanted.parquet",
        splits=sources.split_lists(config["collect"]["splits"]["lists"]),
    output:
        manifest="<results>/manifest.parquet",
        works="<results>/works.tsv",
    log:
        "<logs>/collect_images.log",
    benchmark:
        "<benchmarks>/collect_images.tsv"
    localrule: True
    conda:
        "../envs/collect.yaml"
    threads: 8
    resources:
        mem_mb=memory_of_manifest,
        runtime=720,
    params:
        settings=section("collect.pictures", "collect.duplicates", "collect.splits"),
        version=3,
    shell:
        """
        python -m liftnet collect manifest --out "$(dirname {output.manifest:q})" \
            --threads {threads} --settings {params.settings:q} 2>&1 | tee {log:q}
        """
