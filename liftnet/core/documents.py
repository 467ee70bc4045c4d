"""JSON and YAML of others: bounded before they are parsed, and nothing in them but what their formats know.

Python's parser of JSON knows NaN and Infinity, which JSON does not, and fails on deep nesting by a `RecursionError`.
YAML may repeat a part by an alias, a part of parts a billion times. What stands in a document is checked by whoever
asked for it, by a schema of its own.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import yaml

from liftnet.core.errors import LiftnetError
from liftnet.core.limits import JSON_BYTES, JSON_DEPTH, YAML_BYTES, YAML_DEPTH
from liftnet.core.opening import open_file


class DocumentError(ValueError):
    """A document that cannot be used, with the reason."""


def parse_json(text: str | bytes, finite: bool = True) -> Any:
    """The value of a JSON document.

    Args:
        text: The document.
        finite: Whether numbers must be some; JSON knows no others, Python writes them all the same.

    Raises:
        DocumentError: It is too long or too deep, not JSON, not Unicode, or has a number that is none.
    """
    if len(text) > JSON_BYTES:
        raise DocumentError(f"is longer than {JSON_BYTES:,} bytes")
    try:
        decoded = text if isinstance(text, str) else text.decode(json.detect_encoding(text), "strict")
        decoded = decoded.removeprefix("\ufeff")
        value = json.loads(decoded)
        check_value(value, JSON_DEPTH, finite)
        return value
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentError(f"is nested more than {JSON_DEPTH} deep") from error
    except ValueError as error:
        raise DocumentError(f"is not valid JSON ({error})") from error


def parse_yaml(text: str) -> Any:
    """The value of a YAML document of one part; plain values only, no aliases.

    Raises:
        DocumentError: It is too long or too deep, has aliases, or is not YAML.
    """
    if len(text) > YAML_BYTES:
        raise DocumentError(f"is longer than {YAML_BYTES:,} bytes")
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise DocumentError("repeats a part of itself by an alias, which is not read")
            opens, closes = (isinstance(event, kind) for kind in (yaml.CollectionStartEvent, yaml.CollectionEndEvent))
            depth += opens - closes
            if depth > YAML_DEPTH:
                raise DocumentError(f"is nested more than {YAML_DEPTH} deep")
        value = yaml.safe_load(text)
        check_value(value, YAML_DEPTH)
        return value
    except DocumentError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError, AttributeError) as error:
        words = " ".join(str(error).split())[:300]
        raise DocumentError(f"is not valid YAML ({words})") from error


def parse_own_yaml(text: str) -> Any:
    """The value of a YAML document of the project or its user, whole and unbounded: a schema, a plan.

    libyaml reads it, where PyYAML has it, ten times as fast: half a second less for every start of the workflow.

    Raises:
        yaml.YAMLError: It is not YAML.
    """
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_json_file(path: Path | str, remedy: str, missing: str, finite: bool = True) -> Any:
    """The value of a JSON file.

    Args:
        path: The file.
        remedy: What to do about one that is damaged.
        missing: What to do about one that is not there.
        finite: As for `parse_json`.

    Raises:
        LiftnetError: It is missing, cannot be read, or is no JSON that is read.
    """
    try:
        with open_file(path) as file:
            return parse_json(file.read(JSON_BYTES + 1), finite)
    except DocumentError as error:
        raise LiftnetError(path, str(error), remedy) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LiftnetError(path, "does not exist", missing) from error
    except OSError as error:
        raise LiftnetError(path, f"cannot be read ({error.strerror})", remedy) from error


def check_value(value: Any, most: int = JSON_DEPTH, finite: bool = True) -> None:
    """Refuse what is nested too deep for those who walk through it by recursion, and numbers that are none.

    Args:
        value: Of a document.
        most: How deep it may be nested.
        finite: Whether numbers must be finite; 1e999 is not.

    Raises:
        DocumentError: It is, or has one.
    """
    level, depth = [value], 0
    while level:
        if depth > most:
            raise DocumentError(f"is nested more than {most} deep")
        inner: list[Any] = []
        for one in level:
            if isinstance(one, list | dict):
                inner += one.values() if isinstance(one, dict) else one
            elif finite and one.__class__ is float and not math.isfinite(one):
                raise DocumentError(f"has a number that is none or too large ({one})")
        level, depth = inner, depth + 1
