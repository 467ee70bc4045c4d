#!/usr/bin/env python3
"""Tell Snakemake the state of a SLURM job: success, running or failed. Adapt it to your scheduler."""

import subprocess
import sys

RUNNING = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED"}


def main(job: str) -> str:
    """The state of `job` in Snakemake's words; a job that squeue has forgotten has ended long ago and is a failure."""
    command = ["squeue", "--states=all", "--noheader", "--format=%T", "--jobs", job]
    state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return "success" if state == "COMPLETED" else "running" if state in RUNNING else "failed"


if __name__ == "__main__":
    print(main(sys.argv[1]))
