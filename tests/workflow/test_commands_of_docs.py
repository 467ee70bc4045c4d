"""Every command line in README.md and docs/ is one that the programs take."""

import functools
import re
import shlex
from pathlib import Path

import pytest
from imports_of import LIBRARY
from snakemake.cli import get_argument_parser

from liftnet.__main__ import build_parser

ROOT = LIBRARY.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^ {4}\S.*(?:\n {4,}.*)*", re.MULTILINE)
_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:python -m liftnet|liftnet|snakemake) [^`]+)`")
PROFILES = ("profiles/slurm", "profiles/generic")


def commands(page: Path) -> list[str]:
    """The commands of a page, those in sentences too, with continued lines joined and remarks cut off."""
    text = page.read_text()
    blocks = [match[0] for match in _BLOCK.finditer(text)] + [match[1] for match in _FENCED.finditer(text)]
    lines = [line.strip() for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    found = [line for line in lines if line.startswith(("python -m liftnet", "liftnet ", "snakemake "))]
    found += [" ".join(match[1].split()) for match in _INLINE.finditer(text)]
    whole = [re.sub("^liftnet ", "python -m liftnet ", re.sub(r"\s+#\s.*", "", line)) for line in found]
    return list(dict.fromkeys(whole))


ALL = [(page.name, line) for page in PAGES for line in commands(page)]
OURS = [(page, line) for page, line in ALL if line.startswith("python")]
SNAKEMAKE = [(page, line) for page, line in ALL if line.startswith("snakemake")]


def test_pages_have_commands():
    assert len(OURS) > 60
    assert len(SNAKEMAKE) > 20


PARSER = functools.cache(build_parser)


def accepted(words: list[str]) -> bool:
    """Whether the command line parses; what stands for words of the reader's (`...`, `[...]`, `<stage>`) is filled."""
    try:
        PARSER().parse_command(words)
    except SystemExit as ended:
        return ended.code in (0, None)
    return True


@pytest.mark.parametrize(("page", "line"), OURS, ids=[f"{page}: {line[18:60]}" for page, line in OURS])
def test_a_command_is_parsed(page, line, capsys):
    filled = line.replace(" ...", " a").replace("sketchfab|scanned", "").replace("shapenet|", "shapenet")
    words = shlex.split(re.sub(r"[\[\]]", "", filled))[3:]
    stages = {name for action in PARSER()._actions for name in (action.choices or ())}
    if words[0].startswith("<") or len(words) == 1 or not any(word.startswith("-") for word in words):
        assert words[0] in stages or words[0].startswith(("<", "-")), f"{page}: {line}"  # it names a command
        return
    assert accepted(words), f"{page}: {line}\n{capsys.readouterr().err}"


SNAKEMAKE_PARSER = functools.cache(get_argument_parser)


def rules() -> set[str]:
    texts = [path.read_text() for path in (ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk"))]
    return {name for text in texts for name in re.findall(r"^(?:rule|checkpoint) (\w+):", text, re.MULTILINE)}


@pytest.mark.parametrize(("page", "line"), SNAKEMAKE, ids=[f"{page}: {line[:60]}" for page, line in SNAKEMAKE])
def test_a_call_of_snakemake_is_parsed_names_cores_and_rules(page, line):
    words = shlex.split(re.sub(r" \[[^\]]*\]| \.\.\.", "", line))[1:]
    arguments = SNAKEMAKE_PARSER().parse_args(words)
    dry = (
        arguments.dryrun or arguments.unlock or arguments.report is not None or arguments.workflow_profile in PROFILES
    )
    assert dry or arguments.cores is not None, f"{page}: {line} names no --cores"
    names = [target for target in arguments.targets if "/" not in target and "." not in target]
    assert set(names) <= rules(), f"{page}: {line}"
