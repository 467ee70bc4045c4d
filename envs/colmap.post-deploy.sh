#!/usr/bin/env bash
# Run by Snakemake with the new environment active: make the workflow's own `liftnet` importable in it.
set -euo pipefail
ln -sfn "$LIFTNET_HOME/liftnet" "$(python -c 'import site; print(site.getsitepackages()[0])')/liftnet"
