"""Extractors and matchers declare themselves: one more is one module, and reading settings loads no program."""

import importlib.util
import subprocess
import sys

import pytest

from liftnet.core.settings import leaves
from liftnet.match import methods, registry
from liftnet.match import settings as settings_module
from liftnet.match.feature_cache import recipe
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


EXTRACTOR = Extractor("dots", find_dots, DotSettings, environment="torch")
'''


@pytest.fixture
def shipped():
    """The names of the package's extractors and matchers."""
    return set(extractors()), set(matchers())


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
    assert {"opencv", "colmap", "openmvg"} <= set(extractors())
    shipped = {name: matchers()[name] for name in ("exact", "colmap", "openmvg")}
    assert [name for name, matcher in shipped.items() if matcher.draws] == ["colmap"]
    assert [name for name, matcher in shipped.items() if "cuda" in matcher.devices] == ["exact"]


def test_one_more_method_is_one_module(shipped, one_more):
    assert set(extractors()) == {*shipped[0], "dots"}
    assert set(matchers()) == shipped[1]
    assert extractors()["dots"].environment == "torch"
    assert extractors()["dots"].settings().spacing == 5


PLAIN = """
from liftnet.match.registry import Extractor

EXTRACTOR = Extractor("plain", lambda images, settings, threads: iter(()))
"""
SAME_NAMES = """
from liftnet.core.settings import Settings
from liftnet.match.registry import Extractor, Matcher


class Found(Settings):
    ratio: float = 0.5
    seed: int = 7
    own: int = 1


class Compared(Settings):
    ratio: float = 0.25


EXTRACTOR = Extractor("same", lambda images, settings, threads: iter(()), Found)
MATCHER = Matcher("same", lambda *given: iter(()), Compared, draws=True)
"""


@pytest.fixture
def settings_with(tmp_path, monkeypatch, one_more):
    """The class of settings as it is where one more module of methods lies in the package."""

    def load(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        spec = importlib.util.spec_from_file_location("settings_of_more_methods", settings_module.__file__)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        monkeypatch.delitem(sys.modules, f"{methods.__name__}.{name}", raising=False)
        spec.loader.exec_module(module)
        return module.MatchSettings

    return load


def test_an_extractor_may_have_no_settings(settings_with):
    settings = settings_with("plain", PLAIN)(features={"extractor": "plain"})
    assert not any(path[:2] == ("features", "plain") for path, _ in leaves(type(settings)))
    assert settings.of_extractor.model_dump() == {}
    assert recipe(settings).startswith("plain-")
    search = {"ratio": 0.8, "mutual": True, "mask_first": False}
    assert settings.recorded(0) == {
        "features": "plain",
        **search,
        "exhaustive_images": 300,
        "neighbours": 50,
    }


def test_settings_of_one_name_are_all_recorded(settings_with):
    kind = settings_with("same", SAME_NAMES)
    settings = kind(features={"extractor": "same"}, search={"matcher": "same", "ratio": 0.75})
    recorded = settings.recorded(3)
    assert (recorded["search.ratio"], recorded["features.same.ratio"], recorded["search.same.ratio"]) == (
        0.75,
        0.5,
        0.25,
    )
    assert (recorded["seed"], recorded["features.same.seed"], recorded["own"]) == (3, 7, 1)
    assert "ratio" not in recorded


def test_the_settings_of_the_methods_of_the_package_are_recorded_under_their_own_names():
    for extractor in ("opencv", "colmap", "openmvg"):
        for matcher in ("exact", "colmap", "openmvg"):
            settings = MatchSettings(features={"extractor": extractor}, search={"matcher": matcher})
            assert not any("." in name for name in settings.recorded(0))


def test_the_choice_and_the_settings_of_a_method_come_from_what_it_declares():
    paths = {".".join(path) for path, _ in leaves(MatchSettings)}
    for name, extractor in registry.extractors().items():
        own = extractor.settings.model_fields if extractor.settings else {}
        assert {f"features.{name}.{key}" for key in own} <= paths
    schema = MatchSettings.model_json_schema()["$defs"]["FeatureSettings"]["properties"]["extractor"]
    assert set(schema["enum"]) == set(schema["environments"]) == set(extractors())


def test_reading_settings_loads_no_program():
    heavy = ("cv2", "numba", "pycolmap", "safetensors", "torch", "faiss")
    code = f"import sys, liftnet.match.settings; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
