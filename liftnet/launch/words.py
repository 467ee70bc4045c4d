"""Settings as people write them, `match.search.ratio=0.7`, as a configuration and as words for Snakemake."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from liftnet.core.documents import DocumentError, parse_yaml
from liftnet.core.errors import LiftnetError
from liftnet.workflow.configuration import Schema, problems
from liftnet.workflow.experiments import merged
from liftnet.workflow.user_paths import words_as_written


def settings_of_words(words: Iterable[str], schema: Schema) -> dict[str, Any]:
    """What `--config KEY=VALUE ...` says, nested as in config.yaml, its values of the types that the schema asks for.

    Args:
        words: A dotted key, `=` and a value, or a list or a group in the form of YAML: `match={search: {ratio: 0.7}}`.
        schema: Of all settings.

    Raises:
        LiftnetError: A word has no `=`, or a key or value is not known; all that is wrong, with the nearest key.
    """
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise LiftnetError(f"--config {word}", "is not KEY=VALUE", "Write one such as match.search.ratio=0.7")
        value: Any = text
        if text[:1] in ("{", "["):
            try:
                value = parse_yaml(text)
            except DocumentError as error:
                raise LiftnetError(f"--config {key}", str(error), "Write {name: value} or [one, two]") from error
        for name in reversed(key.split(".")):
            value = {name: value}
        given = merged(given, value)
    typed = words_as_written(given, schema, ())
    if found := problems(typed, schema):
        raise LiftnetError("--config", "cannot be used:" + "".join(f"\n  - {line}" for line in found))
    return typed


def words_of_settings(settings: Mapping[str, Any]) -> list[str]:
    """The words of Snakemake's `--config` for a configuration: groups and lists as JSON, which is YAML too.

    What a text on the highest level is, such as that of `photos`, `words_as_written` knows from the schema.
    """
    return [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]
