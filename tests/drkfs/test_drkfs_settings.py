"""The paper's constants are the defaults."""

from liftnet.drkfs.settings import MetricSettings


def test_defaults_are_the_papers() -> None:
    settings = MetricSettings()
    assert (settings.image_size, settings.views) == (256, 25)
