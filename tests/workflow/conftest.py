"""Running Snakemake itself in a folder of its own."""

from pathlib import Path

import pytest
from workflow_tools import Workflow, copy_workflow


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return copy_workflow(tmp_path)
