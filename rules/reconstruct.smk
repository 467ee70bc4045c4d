"""
3D shape from one image: a network trained with its own loss or with DR-KFS.

NEEDS   <results>/renders/reconstruction/
GIVES   <results>/models/reconstruction/ with its card
"""


rule train_reconstruction:
    input:
        shapes="<results>/renders/reconstruction/shapes.parquet",
    output:
        model="<results>/models/reconstruction/model.safetensors",
        card="<results>/models/reconstruction/README.md",
    log:
        "<logs>/train_reconstruction.log",
    benchmark:
        "<benchmarks>/train_reconstruction.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=1440,
    params:
        root=subpath(input.shapes, parent=True),
        model=subpath(output.model, parent=True),
        options=options("reconstruct.train"),
        state=lambda wildcards: state_of("reconstruct.train"),
    shell:
        "python -m liftnet reconstruct train --root {params.root:q} --model {params.model:q} --threads {threads}"
        " {params.options} --log {log:q}"
