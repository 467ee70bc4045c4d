"""Networks that give a shape from one image, each a module of this folder with a function `build(settings)`.

A new network is a new module: settings, command line and model folders know it by its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from liftnet.core.settings import OneOf, Settings, module_names

ARCHITECTURES = module_names(Path(__file__).parent)


class NetworkSettings(Settings):
    """What the network is."""

    architecture: Annotated[str, OneOf(ARCHITECTURES)] = Field(
        "shape_generator", description="which of the published networks for shape from one image"
    )
    size: Literal["small", "published"] = Field(
        "small", description="published: as in its paper; small: the same with fewer channels, for a CPU"
    )
