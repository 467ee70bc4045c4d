"""Paths and words of the user in Snakemake's hands: braces are no wildcards, and digits may be a name."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LINKS = Path(".snakemake/paths")
_ENCODED = "base64//"  # how Snakemake hands words on to the jobs that it starts
_IN_QUOTES = re.compile(r'"(?:[^"\\]|\\.)*"')


def without_braces(path: str, is_folder: bool = False) -> str:
    """A path, or a link to it where it has braces, which Snakemake would take for a wildcard.

    Args:
        path: Of a file or folder.
        is_folder: Whether it is a folder that is made if it is not there.
    """
    if not {"{", "}"} & set(path):
        return path
    target = Path(path).absolute()
    if is_folder:
        target.mkdir(parents=True, exist_ok=True)
    ending = target.suffix.translate({ord("{"): None, ord("}"): None})
    link = _LINKS / f"{hashlib.sha256(os.fsencode(target)).hexdigest()[:12]}{ending}"
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return str(link)


def json_without_braces(text: str) -> str:
    """A JSON text in which braces within words are written as their escapes, so that they are no wildcards."""
    return _IN_QUOTES.sub(lambda found: found[0].replace("{", "\\u007b").replace("}", "\\u007d"), text)


def words_as_written(given: Mapping[str, Any], schema: Mapping[str, Any], argv: Sequence[str]) -> dict[str, Any]:
    """A configuration in which texts that look like numbers are as they were written on the command line.

    Snakemake reads `--config photos=007` as the number 7.

    Args:
        given: The configuration as Snakemake has read it.
        schema: Its schema, which says what is a text.
        argv: The words of the command line.
    """
    plain = [_decoded(word) for word in argv]
    words = dict(word.split("=", 1) for word in plain if "=" in word and not word.startswith("-"))
    texts = {name for name, entry in schema.get("properties", {}).items() if _is_text(entry)}
    misread = {name for name in texts & given.keys() if isinstance(given[name], bool | int | float)}
    return {name: words.get(name, str(given[name])) if name in misread else given[name] for name in given}


def _decoded(word: str) -> str:
    if not word.startswith(_ENCODED):
        return word
    return base64.b64decode(word.removeprefix(_ENCODED)).decode("utf-8", "replace")


def _is_text(entry: Mapping[str, Any]) -> bool:
    return any(kind.get("type") == "string" for kind in (entry, *entry.get("anyOf", ())))
