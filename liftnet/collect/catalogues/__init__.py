"""Catalogues and public sets that lists of images are made of: a module each, found by being in this package."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from pydantic import ValidationError

from liftnet.collect.catalogues.base import Catalogue, ListSettings
from liftnet.core.errors import LiftnetError

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
CATALOGUES: dict[str, type[Catalogue]] = dict(sorted(Catalogue.known.items()))


def catalogue_of(settings: ListSettings) -> Catalogue:
    """The catalogue that settings are of.

    Raises:
        LiftnetError: A setting that it cannot do without is empty.
    """
    made = next(kind for kind in CATALOGUES.values() if kind.settings_type in type(settings).__mro__)
    return made(settings)


def settings_of_entry(entry: dict[str, Any]) -> ListSettings:
    """The settings of one entry of `sources:` in config.yaml.

    Raises:
        LiftnetError: Its kind is unknown, or an option is, or has a value that is not allowed.
    """
    kind = entry.get("kind")
    if kind not in CATALOGUES:
        raise LiftnetError(f"sources: kind {kind!r}", "is not known", f"Known are {', '.join(CATALOGUES)}")
    settings = CATALOGUES[kind].settings_type
    try:
        return settings(**{key: value for key, value in entry.items() if key not in ("name", "kind")})
    except ValidationError as error:
        first = error.errors()[0]
        key = f"sources: {entry.get('name', kind)}: {first['loc'][0] if first['loc'] else 'entry'}"
        known = ", ".join(settings.model_fields)
        raise LiftnetError(key, f"{first['msg']} (given: {first.get('input')!r})", f"Options are {known}") from error
