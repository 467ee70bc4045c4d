"""Settings of `collect` by the names of single settings, whatever group each is in."""

from liftnet.collect.settings import CollectSettings
from liftnet.core.settings import leaves

PATHS = {path[-1]: path for path, _ in leaves(CollectSettings)}


def collect_settings(**changes):
    """`CollectSettings` with some settings changed: `collect_settings(robots=False)`."""
    tree = {}
    for name, value in changes.items():
        *groups, last = PATHS[name]
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return CollectSettings.model_validate(tree)
