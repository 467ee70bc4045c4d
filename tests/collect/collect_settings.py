"""Settings of `collect` by the names of single settings, whatever group each is in."""

from liftnet.collect.settings import CollectSettings
from liftnet.core.settings import leaves

PATHS = {path[-1]: path for path, _ in leaves(CollectSettings)}


def collect_settings(**values):
    """`CollectSettings` with some values: `collect_settings(robots=False)`."""
    return changed(CollectSettings(), **values)


def changed(settings, **values):
    """`settings` with some values changed."""
    tree = settings.model_dump()
    for name, value in values.items():
        *groups, last = PATHS[name]
        place = tree
        for group in groups:
            place = place[group]
        place[last] = value
    return CollectSettings.model_validate(tree)
