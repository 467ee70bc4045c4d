"""
DR-KFS: how alike two shapes look, as a metric and as a loss; its detector, its descriptor and its experiments.

NEEDS   <results>/dataset/, images/ (to train the detector of points of interest and the descriptor of patches)
GIVES   <results>/models/, <results>/tables/drkfs_*.*, <results>/figures/drkfs_*.*
"""


rule train_vocabulary:
    input:
        shapes="<results>/shapes",
    output:
        vocabulary="<results>/models/vocabulary/vocabulary.safetensors",
    log:
        "<logs>/train_vocabulary.log",
    benchmark:
        "<benchmarks>/train_vocabulary.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        seed=config["seed"],
        settings=settings("drkfs_descriptors", *DRKFS_VOCABULARY),
        version=1,
    shell:
        """
        python -m liftnet drkfs train vocabulary --meshes {input.shapes:q} \
            --model "$(dirname {output.vocabulary:q})" --threads {threads} --seed {params.seed} \
            {params.settings} 2>&1 | tee {log:q}
        """


rule train_mvcnn:
    input:
        shapes="<results>/shapes",
    output:
        model="<results>/models/mvcnn/model.safetensors",
    log:
        "<logs>/train_mvcnn.log",
    benchmark:
        "<benchmarks>/train_mvcnn.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        seed=config["seed"],
        settings=settings("drkfs_descriptors", *DRKFS_MVCNN),
        version=1,
    shell:
        """
        python -m liftnet drkfs train mvcnn --meshes {input.shapes:q} --model "$(dirname {output.model:q})" \
            --threads {threads} --seed {params.seed} {params.settings} 2>&1 | tee {log:q}
        """
