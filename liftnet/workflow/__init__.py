"""What the Snakefile decides before any job runs: files, options, resources, whether a configuration can be used.

Pure functions of settings and of the tables that checkpoints leave. They need the standard library, yaml and
jsonschema, neither Snakemake nor the rest of liftnet: a run is planned where liftnet's dependencies are not installed.
"""
