from snakemake.utils import min_version

min_version("9.20")  # pathvars, profile.yaml, runtime overrides


configfile: f"{workflow.current_basedir.get_path_or_uri(secret_free=True)}/config.yaml"


include: "rules/common.smk"


pathvars:
    results=RESULTS,
    logs=f"{RESULTS}/logs",
    benchmarks=f"{RESULTS}/benchmarks",


report: "workflow/report/workflow.rst"


onstart:
    record_config()


rule all:
    """Everything the configuration asks for: dataset, tables, trained LiftNet, report."""
    input:
        "<results>/report.html",
        "<results>/models/liftnet/README.md",
        "<results>/tables/leakage.csv",


include: "rules/render.smk"
include: "rules/collect.smk"
include: "rules/segment.smk"
include: "rules/match.smk"
include: "rules/verify.smk"
include: "rules/shard.smk"
include: "rules/depth.smk"
include: "rules/drkfs.smk"
include: "rules/reconstruct.smk"
include: "rules/experiments.smk"
include: "rules/report.smk"


rule dataset:
    """Only the correspondence shards."""
    input:
        "<results>/dataset",


rule statistics:
    """Only the tables of counts: of the shards, of what stands in two splits, and of what other cuts would keep."""
    input:
        "<results>/tables/statistics.csv",
        "<results>/tables/leakage.csv",
        "<results>/tables/cuts.csv",


rule masks_table:
    """Masks of works that their segmenter has not seen, a training a fold; not part of `all`."""
    input:
        "<results>/tables/segmentation_folds.csv",


rule masks_sheet:
    """The masks of lowest confidence, for a person to look at; not part of `all`."""
    input:
        "<results>/sheets/masks/sheet.html",


rule depth:
    """The trained LiftNet, its evaluation and its card."""
    input:
        "<results>/tables/depth_pairs.csv",
        "<results>/models/liftnet/README.md",


rule depth_tables:
    """The experiments of the paper: Tables 2 to 5 and our own, Figures 4 and 5; not part of `all`."""
    input:
        DEPTH_EXPERIMENTS.outputs(),


rule drkfs:
    """DR-KFS of the configuration's shapes, and its detector and descriptor trained on the dataset; not part of `all`."""
    input:
        drkfs_outputs(),


rule drkfs_tables:
    """The experiments of the DR-KFS paper that need no reconstruction network; not part of `all`."""
    input:
        experiments.drkfs_outputs(RESULTS, DRKFS_PLAN),


rule reconstruction_model:
    """A network for 3D shape from one image, trained as the configuration says; not part of `all`."""
    input:
        "<results>/models/reconstruction/model.safetensors",


rule reconstruct:
    """Seven reconstruction networks by their own losses and by DR-KFS: Tables 3 and 4, Figures 5 and 7; not part of `all`."""
    input:
        RECONSTRUCTIONS[""].outputs(),


rule reconstruct_demo:
    """The same with two networks, two classes and a few steps, in minutes; not part of `all`."""
    input:
        RECONSTRUCTIONS["demo/"].outputs(),


rule report:
    """The report page."""
    input:
        "<results>/report.html",
