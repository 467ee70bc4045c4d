"""The paper's constants are the defaults."""

from liftnet.drkfs.settings import DrkfsSettings


def test_defaults_are_the_papers() -> None:
    settings = DrkfsSettings()
    assert (settings.image_size, settings.views) == (256, 25)
