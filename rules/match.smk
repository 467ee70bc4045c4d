"""
Putative matches between the image pairs of a work: features and matching by OpenCV, COLMAP, OpenMVG or networks.

NEEDS   <results>/manifest.parquet, images/ (and masks/ with `mask_first: true`)
GIVES   <results>/matches/<work>.parquet and, beside it, features/<recipe>/<image>.safetensors: a cache, no output,
        since Snakemake would delete it before the job; <results>/across/matches.parquet, between splits
"""


rule match_work:
    input:
        manifest="<results>/manifest.parquet",
        masks=masks_to_match_on,
    output:
        matches="<results>/matches/{work}.parquet",
    log:
        "<logs>/match_work/{work}.log",
    benchmark:
        "<benchmarks>/match_work/{work}.tsv"
    conda:
        match_environment()
    threads: threads_of_work
    resources:
        mem_mb=memory_of_match,
        runtime=minutes_of_matching,
    params:
        root=subpath(input.manifest, parent=True),
        options=options("match", "features", "search", "pairs", "openmvg"),
        state=lambda wildcards: state_of("match"),
    shell:
        "python -m liftnet match --root {params.root:q} --work {wildcards.work:q} --out {output.matches:q}"
        " --threads {threads} {params.options} --log {log:q}"


rule match_across:
    input:
        manifest="<results>/manifest.parquet",
        masks=all_mask_tables,
        # for their features, which are found once
        matches=per_work("matches"),
    output:
        matches="<results>/across/matches.parquet",
    log:
        "<logs>/match_across.log",
    benchmark:
        "<benchmarks>/match_across.tsv"
    conda:
        match_environment()
    threads: threads_across
    resources:
        mem_mb=memory_of_matching_across,
        runtime=minutes_of_matching_across,
    params:
        root=subpath(input.manifest, parent=True),
        options=options("match"),
        state=lambda wildcards: state_of("match"),
    shell:
        "python -m liftnet match --cross-split --root {params.root:q} --out {output.matches:q} --threads {threads}"
        " {params.options} --log {log:q}"
