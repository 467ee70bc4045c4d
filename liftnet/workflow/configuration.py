"""The configuration of a run: what is wrong with it in plain words, and the defaults of what it does not say."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from liftnet.core.documents import parse_own_yaml
from liftnet.core.errors import LiftnetError, nearest
from liftnet.core.opening import read_text

Schema = Mapping[str, Any]
_LIMITS = (
    "type",
    "anyOf",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "items",
)


def load_configuration(given: Mapping[str, Any], schema_file: Path) -> dict[str, Any]:
    """`given` with the defaults of all that it does not say.

    Args:
        given: What the user says, nested as in config.yaml.
        schema_file: workflow/schemas/config.schema.yaml.

    Raises:
        LiftnetError: It breaks the schema; each key is named, with what is allowed there.
    """
    schema = read_schema(schema_file)
    found = problems(given, schema)
    if found:
        raise LiftnetError("The configuration cannot be used", "".join(f"\n  - {line}" for line in found))
    return with_defaults(given, schema)


@lru_cache(maxsize=1)
def read_schema(file: Path) -> Schema:
    """workflow/schemas/config.schema.yaml; read once."""
    schema: Schema = parse_own_yaml(read_text(file))
    return schema


def problems(given: Mapping[str, Any], schema: Schema) -> list[str]:
    """A line for each place where the configuration breaks its schema."""
    return [_described(error, schema) for error in Draft202012Validator(schema).iter_errors(given)]


def with_defaults(given: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """A copy of a valid configuration in which every setting of the schema has a value; those it adds come last."""
    complete = copy.deepcopy(dict(given))
    for name, entry in schema.get("properties", {}).items():
        if "default" in entry:
            complete.setdefault(name, copy.deepcopy(entry["default"]))
        if isinstance(complete.get(name), dict):
            complete[name] = with_defaults(complete[name], entry)
    return complete


def _described(error: ValidationError, schema: Schema) -> str:
    """One schema error in plain words."""
    path = [str(part) for part in error.absolute_path]
    key = ".".join(path) or "config"
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(map(str, error.instance)) - set(known))
        hints = [repr(name) + _hint([*path, name], known, schema) for name in unknown]
        return f"{key}: unknown key {', '.join(hints)}; known keys are {', '.join(known)}"
    if error.validator == "minLength" and not error.instance:
        return f"{key}: is empty; name something, or leave it out"
    allowed = ", ".join(f"{name} {error.schema[name]}" for name in _LIMITS if name in error.schema)
    return f"{key}: {error.message}; allowed: {allowed}"


def _hint(path: list[str], siblings: list[str], schema: Schema) -> str:
    """The nearest known key: of the same group, else of all below the same section, else of all."""
    everywhere = [".".join(names) for names in _keys(schema)]
    section = [name for name in everywhere if name.startswith(f"{path[0]}.")]
    word = path[-1]
    return nearest(word, siblings) or nearest(word, section) or nearest(word, everywhere)


def _keys(schema: Schema, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of all settings and groups of a schema, from the root down."""
    for name, entry in schema.get("properties", {}).items():
        yield (*above, name)
        yield from _keys(entry, (*above, name))
