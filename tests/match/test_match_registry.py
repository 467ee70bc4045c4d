"""Extractors and matchers declare themselves: one more is one module, and reading settings loads no program."""

import subprocess
import sys

import pytest

from liftnet.core.settings import leaves
from liftnet.match import methods, registry
from liftnet.match.registry import extractors, matchers
from liftnet.match.settings import MatchSettings

MODULE = '''
from pydantic import Field

from liftnet.core.settings import Settings
from liftnet.match.registry import Extractor


class DotSettings(Settings):
    """What decides its features."""

    spacing: int = Field(5, description="px between dots")


def find_dots(images, settings, threads):
    """No features at all."""
    yield from ()


EXTRACTOR = Extractor("dots", DotSettings, find_dots, environment="torch")
'''


@pytest.fixture
def one_more(tmp_path, monkeypatch):
    """A module beside those of the package."""
    (tmp_path / "dots.py").write_text(MODULE)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    for cached in (extractors, matchers):
        cached.cache_clear()
    yield
    sys.modules.pop(f"{methods.__name__}.dots", None)
    for cached in (extractors, matchers):
        cached.cache_clear()


def test_the_methods_of_the_package():
    assert set(extractors()) == {"opencv", "colmap", "openmvg"}
    assert set(matchers()) == {"exact", "colmap", "openmvg"}
    assert [name for name, matcher in matchers().items() if matcher.draws] == ["colmap"]


def test_one_more_method_is_one_module(one_more):
    assert set(extractors()) == {"opencv", "colmap", "openmvg", "dots"}
    assert set(matchers()) == {"exact", "colmap", "openmvg"}
    assert extractors()["dots"].environment == "torch"
    assert extractors()["dots"].settings().spacing == 5


def test_the_choice_and_the_settings_of_a_method_come_from_what_it_declares():
    paths = {".".join(path) for path, _ in leaves(MatchSettings)}
    for name, extractor in registry.extractors().items():
        assert {f"features.{name}.{key}" for key in extractor.settings.model_fields} <= paths
    schema = MatchSettings.model_json_schema()["$defs"]["FeatureSettings"]["properties"]["extractor"]
    assert set(schema["enum"]) == set(schema["environments"]) == set(extractors())


def test_reading_settings_loads_no_program():
    heavy = ("cv2", "numba", "pycolmap", "safetensors", "torch", "faiss")
    code = f"import sys, liftnet.match.settings; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
