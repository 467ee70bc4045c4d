"""constraints.txt names a version of everything that pyproject.toml asks for, within its bounds, and nothing else."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+-]+)")


@pytest.fixture(scope="module")
def versions():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [LINE.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert all(found), "a name and a version; no address, no path, no option"
    return {canonicalize_name(match[1]): match[2] for match in found}


def asked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    groups = [
        project["dependencies"],
        *(extras[name] for name in ("colmap", "learned", "hloc", "export", "cluster", "dev")),
    ]
    return [Requirement(text) for group in groups for text in group if not text.startswith("liftnet[")]


@pytest.mark.parametrize("requirement", asked(), ids=lambda requirement: requirement.name)
def test_every_requirement_has_a_version_within_its_bounds(versions, requirement):
    assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)], prereleases=True)


def test_make_installs_them():
    text = (ROOT / "Makefile").read_text()
    assert "CONSTRAINTS ?= constraints.txt" in text
    assert not re.search(r"\$\(PIP\) install --editable", text)
