"""Declared errors cross the border of a process as they are."""

import ast
import copy
import importlib
import inspect
import pickle

import pytest
from imports_of import sources

from liftnet.core.errors import BadImageError, LiftnetError


def declared() -> list[type[Exception]]:
    """Every exception class of the library."""
    found = []
    for module, paths in sources().items():
        named = [node.name for node in ast.parse(paths[0].read_text()).body if isinstance(node, ast.ClassDef)]
        if not any(name.endswith(("Error", "Stopped", "Output")) for name in named):
            continue
        loaded = importlib.import_module(module)
        found += [
            kind for name in named if isinstance(kind := getattr(loaded, name), type) and issubclass(kind, Exception)
        ]
    return found


def test_every_declared_error_can_be_pickled_and_copied():
    kinds = declared()
    assert {"LiftnetError", "BadImageError", "BadMeshError", "FetchError", "ProgramError"} <= {
        kind.__name__ for kind in kinds
    }
    for kind in kinds:
        own = kind.__init__ is not Exception.__init__ and kind.__init__ is not ValueError.__init__
        needed = [
            parameter
            for parameter in inspect.signature(kind.__init__).parameters.values()
            if own and parameter.default is parameter.empty and parameter.name not in ("self", "args", "kwargs")
        ]
        error = kind(*(f"a {parameter.name}" for parameter in needed)) if own else kind("in words")
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(other) is kind
            assert str(other) == str(error)
            assert vars(other) == vars(error)


def test_what_an_error_says_stays():
    error = pickle.loads(pickle.dumps(BadImageError("a.jpg", "not_image", "is a page", "Ask again")))
    assert (error.what, error.status, error.reason, error.remedy) == ("a.jpg", "not_image", "is a page", "Ask again")
    with pytest.raises(LiftnetError, match=r"a.jpg: is a page\. Ask again"):
        raise error
