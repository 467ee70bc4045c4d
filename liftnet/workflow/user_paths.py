"""Paths and words of the user in Snakemake's hands: braces are no wildcards, and digits may be a name."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from liftnet.core.errors import LiftnetError

_LINKS = Path(".snakemake/paths")
_ENCODED = "base64//"  # how Snakemake hands words on to the jobs that it starts
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
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


def check_words(argv: Sequence[str]) -> None:
    """Refuse a second `--config`: Snakemake would drop what the first one says.

    Raises:
        LiftnetError: There are two.
    """
    given = [word for word in argv if word in ("--config", "-C") or word.startswith("--config=")]
    if len(given) > 1:
        raise LiftnetError("--config", "is given twice, of which the last alone counts", "Write --config one=1 two=2")


def tell(line: str) -> None:
    """Print a line about a call, if there is something to tell; not where a drawing of the jobs is printed."""
    if line:
        print("liftnet:", line, file=sys.stderr)


def words_as_written(given: Mapping[str, Any], schema: Mapping[str, Any], argv: Sequence[str]) -> dict[str, Any]:
    """A configuration in which what the command line says is of the types that the schema asks for.

    Snakemake reads `--config photos=007` as the number 7, `photos=[a] b` as a list, `photos=` as if it had no value,
    `take_over=true` and the number in `match={search: {ratio: 0.7}}` as texts.

    Args:
        given: The configuration as Snakemake has read it.
        schema: Its schema, which says what is a text.
        argv: The words of the command line.
    """
    plain = [_decoded(word) for word in argv]
    pairs = (word.split("=", 1) for word in plain if "=" in word and not word.startswith("-"))
    words = {name: text.strip("'\"") for name, text in pairs}  # of which Snakemake strips quotes too
    texts = {name for name, entry in schema.get("properties", {}).items() if _is_text(entry)}
    misread = {name for name in texts & given.keys() if isinstance(given[name], bool | int | float)}
    misread |= {name for name in texts & given.keys() & words.keys() if given[name] is not None or not words[name]}
    written = {name: words.get(name, str(given[name])) if name in misread else given[name] for name in given}
    typed: dict[str, Any] = _typed(written, schema)
    return typed


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value in which texts are numbers or yes and no, where the schema has no texts and they mean some."""
    if isinstance(value, Mapping):
        known = schema.get("properties", {})
        return {name: _typed(inner, known.get(name, {})) for name, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner, schema.get("items", {})) for inner in value]
    kinds = {kind.get("type") for kind in (schema, *schema.get("anyOf", ()))} - {None}
    if not isinstance(value, str) or not kinds or "string" in kinds:
        return value
    read: bool | float | None = {"true": True, "false": False}.get(value.lower()) if "boolean" in kinds else None
    if read is None and kinds & {"integer", "number"} and _NUMBER.fullmatch(value):
        read = float(value) if set(value) & set(".eE") else int(value)
    return value if read is None else read


def _decoded(word: str) -> str:
    if not word.startswith(_ENCODED):
        return word
    return base64.b64decode(word.removeprefix(_ENCODED)).decode("utf-8", "replace")


def _is_text(entry: Mapping[str, Any]) -> bool:
    return any(kind.get("type") == "string" for kind in (entry, *entry.get("anyOf", ())))
