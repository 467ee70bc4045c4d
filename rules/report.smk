"""
One self-contained page: tables, funnel, pairs, masks, depth, a view in 3D.

NEEDS   the tables, pairs, masks and predictions of all earlier stages
GIVES   <results>/report.html, <results>/tables/funnel.*
"""


rule write_report:
    input:
        manifest="<results>/manifest.parquet",
        masks=all_mask_tables,
        works=per_work("matches", "pairs"),
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
        options=f"{config_option()} {options('report')}",
    shell:
        "python -m liftnet report --root {params.root:q} --out {output.page:q} {params.options} --log {log:q}"
