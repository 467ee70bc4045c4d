"""Frozen settings of a stage, checked the same way in config.yaml, in the JSON schema and on the command line."""

from __future__ import annotations

import argparse
import types
import typing
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from liftnet.io.errors import LiftnetError


class Settings(BaseModel):
    """Base of every stage's settings: frozen, unknown keys refused, every field with a default and a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SettingsType = TypeVar("SettingsType", bound=Settings)


def add_settings_arguments(
    parser: argparse.ArgumentParser, settings: type[Settings], only: tuple[str, ...] = ()
) -> None:
    """Give `parser` one option for each field of `settings` (or for the fields in `only`), with the same default."""
    group = parser.add_argument_group("settings (the same defaults as config.yaml)")
    for name, field in settings.model_fields.items():
        if only and name not in only:
            continue
        flag = "--" + name.replace("_", "-")
        # ArgumentParser formats help with %, so a literal % must be doubled
        text = f"{field.description or ''} (default: {field.default})".replace("%", "%%")
        options: dict[str, Any] = {"dest": f"setting_{name}", "default": argparse.SUPPRESS, "help": text}
        kind = _plain_type(field.annotation)
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(kind) is list:
            options |= {"nargs": "*", "metavar": name.upper()}
        else:
            options["metavar"] = name.upper()
        group.add_argument(flag, **options)


def settings_from(arguments: argparse.Namespace, settings: type[SettingsType]) -> SettingsType:
    """Build `settings` from parsed options.

    Raises:
        LiftnetError: A value has the wrong type or is out of range.
    """
    given = {
        name: getattr(arguments, f"setting_{name}")
        for name in settings.model_fields
        if hasattr(arguments, f"setting_{name}")
    }
    try:
        return settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        key = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else "settings"
        raise LiftnetError(
            key, f"{first['msg']} (given: {first.get('input')!r})", "See --help for what is allowed"
        ) from error


def _plain_type(annotation: Any) -> Any:
    """`str | None` without the None."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation
