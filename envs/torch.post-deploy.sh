#!/usr/bin/env bash
# Run by Snakemake in its working directory with the new environment active: make `liftnet` importable in it.
set -euo pipefail
echo "$PWD" >"$(python -c 'import site; print(site.getsitepackages()[0])')/liftnet.pth"
