"""
Images, hand-made masks and the manifest, from a list of URLs or paths, a folder, or the museum served over HTTP.

NEEDS   the sources: the museum, or what `photos:` names
GIVES   <results>/images/, <results>/hand_masks/, <results>/manifest.parquet, <results>/works.tsv
"""


localrules:
    collect_images,


checkpoint collect_images:
    input:
        sources=source_files(),
    output:
        manifest="<results>/manifest.parquet",
        works="<results>/works.tsv",
    log:
        "<logs>/collect_images.log",
    benchmark:
        "<benchmarks>/collect_images.tsv"
    conda:
        "../envs/collect.yaml"
    threads: 8
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        settings=settings("collect"),
        source=source_option(),
        version=1,
    shell:
        """
        python -m liftnet collect {params.source} --out "$(dirname {output.manifest:q})" \
            --threads {threads} {params.settings} 2>&1 | tee {log:q}
        """
