"""What the Snakefile decides before any job runs: files, options, resources, whether a configuration can be used.

Functions of settings, of the user's files and of the tables that checkpoints leave. They need the standard library,
yaml and jsonschema, neither Snakemake nor what the rest of liftnet depends on: a run is planned where that is not
installed.
"""
