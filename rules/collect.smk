"""
Images, manual masks and the manifest, from lists of URLs or paths, folders, or the museum served over HTTP.

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
        queries=section("collect", "permissions", "politeness"),
        mem_mb=2000,
        net=1,
        runtime=4320,
    params:
        kind=lambda wildcards: SOURCES.entry(wildcards.source)["kind"],
        settings=list_settings,
        state=lambda wildcards: sources.state_of_entry(SOURCES.entry(wildcards.source)),
        results=subpath(output[0], ancestor=2),
    shell:
        "python -m liftnet collect list {params.kind} --out {output:q} --host-leases {params.results:q}/downloads"
        " --settings {params.settings:q} --settings {resources.queries:q} --log {log:q}"


checkpoint plan_downloads:
    input:
        sources=SOURCES.files(),
    output:
        multiext("<results>/downloads/", "jobs.tsv", "wanted.parquet", "sources.json", "plan.csv"),
    log:
        "<logs>/plan_downloads.log",
    benchmark:
        "<benchmarks>/plan_downloads.tsv"
    localrule: True
    conda:
        "../envs/collect.yaml"
    resources:
        politeness=section("collect", "politeness"),
        mem_mb=4000,
        runtime=60,
    params:
        settings=section("collect", "permissions", "pictures"),
        source=lambda wildcards: SOURCES.options(),
        state=lambda wildcards: SOURCES.state(),
        results=subpath(output[0], ancestor=2),
    shell:
        "python -m liftnet collect plan {params.source} --out {params.results:q} --settings {params.settings:q}"
        " --settings {resources.politeness:q} --log {log:q}"


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
        politeness=section("collect", "politeness"),
        mem_mb=memory_of_job,
        net=1,
        runtime=4320,
    params:
        settings=section("collect", "permissions", "pictures"),
        results=subpath(output.fetched, ancestor=2),
    shell:
        "python -m liftnet collect fetch --out {params.results:q} --job {wildcards.job} --threads {threads}"
        " --settings {params.settings:q} --settings {resources.politeness:q} --log {log:q}"


checkpoint collect_images:
    input:
        fetched=all_fetched,
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
        settings=section("collect", "pictures", "duplicates", "splits"),
        state=lambda wildcards: state_of("collect", "splits"),
        results=subpath(output.manifest, parent=True),
    shell:
        "python -m liftnet collect manifest --out {params.results:q} --threads {threads}"
        " --settings {params.settings:q} --log {log:q}"
