"""
The synthetic museum: procedural sculptures, photographed, with their true depth kept aside; and rendered sets: views of
shapes by the paper's protocols, with true depth and exact correspondences; and pictures of shapes to be reconstructed.

NEEDS   nothing, or the folders of meshes that render.sketchfab, .shapenet, .scanned and .reconstruction name
GIVES   <results>/museum/: sources.csv, images/, masks/ (those given away), truth/, truth.parquet
GIVES   <results>/renders/<set>/: the files of a run, truth/, truth.parquet, shapes.parquet
GIVES   <results>/renders/reconstruction/: shapes.parquet, views.parquet, shapes/<shape>/ with mesh, target, pictures
GIVES   <results>/shapes/<class>/<name>.ply, shapes.csv: meshes of the generated classes
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
        out=subpath(output.sources, parent=True),
        options=options("render.museum"),
    shell:
        "python -m liftnet render museum --out {params.out:q} --threads {threads} {params.options} --log {log:q}"


rule render_set:
    input:
        files_of_set,
    output:
        tables=multiext("<results>/renders/{set}/", "truth.parquet", "manifest.parquet", "shapes.parquet"),
        dataset=directory("<results>/renders/{set}/dataset"),
    log:
        "<logs>/render_set/{set}.log",
    benchmark:
        "<benchmarks>/render_set/{set}.tsv"
    wildcard_constraints:
        set="shapenet|sketchfab|scanned",
    conda:
        "../envs/vision.yaml"
    threads: 32
    resources:
        mem_mb=8000,
        runtime=lambda wildcards: minutes_of_set(wildcards.set),
    params:
        out=subpath(output.dataset, parent=True),
        options=lambda wildcards: options("render", *groups_of_set(wildcards.set)),
        state=lambda wildcards: state_of_set(wildcards.set),
    shell:
        "python -m liftnet render set --set {wildcards.set} --out {params.out:q} --lenient --threads {threads}"
        " {params.options} --log {log:q}"


rule render_reconstruction_set:
    output:
        shapes="<results>/renders/reconstruction/shapes.parquet",
        views="<results>/renders/reconstruction/views.parquet",
    log:
        "<logs>/render_reconstruction_set.log",
    benchmark:
        "<benchmarks>/render_reconstruction_set.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 32
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        out=subpath(output.views, parent=True),
        options=options("render", "views", "reconstruction"),
        state=state_of_set("reconstruction"),
    shell:
        "python -m liftnet render set --set reconstruction --out {params.out:q} --lenient --threads {threads}"
        " {params.options} --log {log:q}"


rule render_shapes:
    output:
        shapes=directory("<results>/shapes"),
    log:
        "<logs>/render_shapes.log",
    benchmark:
        "<benchmarks>/render_shapes.tsv"
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        options=options("render.shape_files"),
    shell:
        "python -m liftnet render shapes --out {output.shapes:q} --threads {threads} {params.options} --log {log:q}"
