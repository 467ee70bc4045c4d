"""
One self-contained page: tables, funnel, pairs, masks, depth, a view in 3D.

NEEDS   the tables, pairs, masks and predictions of all earlier stages
GIVES   <results>/report.html, <results>/tables/funnel.*
"""


rule write_report:
    input:
        manifest="<results>/manifest.parquet",
        masks=all_mask_tables,
        matches=per_work("{results}/matches/{work}.parquet"),
        pairs=per_work("{results}/pairs/{work}.parquet"),
        predictions="<results>/predictions",
        tables=outputs.report_tables(RESULTS, MUSEUM),
    output:
        page=reported("<results>/report.html", "page", "Report", page="report"),
        funnel=reported("<results>/tables/funnel.csv", "funnel", "Dataset", table="funnel"),
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        root=subpath(input.manifest, parent=True),
        config=config_option(),
        options=options("report"),
        version=2,
    shell:
        "python -m liftnet report --root {params.root:q} --out {output.page:q} {params.config} {params.options}"
        " --log {log:q}"
