"""Who imports whom in the library, read from its source: nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "liftnet"


@dataclass(frozen=True)
class Import:
    """One import statement's target.

    Args:
        importer: Dotted name of the module that has the statement.
        module: Dotted name of the module of the library, or of the package outside, that it names.
        names: What is taken from it, if it is no module itself.
        at_load: Whether the statement runs when the importer is loaded: neither in a function nor for type checkers.
    """

    importer: str
    module: str
    names: tuple[str, ...]
    at_load: bool


def name_of(path: Path, root: Path = LIBRARY) -> str:
    """The dotted name of a file below `root`."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@lru_cache
def sources(root: Path = LIBRARY) -> Mapping[str, list[Path]]:
    """The files of each module: its .py and, where names are exported lazily, its .pyi."""
    found: dict[str, list[Path]] = {}
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.pyi")]):
        found.setdefault(name_of(path, root), []).append(path)
    return found


@lru_cache
def all_imports(root: Path = LIBRARY) -> tuple[Import, ...]:
    """All imports of the library, of itself and of others."""
    modules = sources(root)
    return tuple(
        found
        for module, paths in modules.items()
        for path in paths
        for found in imports_in(path.read_text(), module, modules, path.stem == "__init__", path.suffix == ".pyi")
    )


def imports_in(
    text: str, importer: str, modules: Mapping[str, object], is_package: bool = False, is_stub: bool = False
) -> Iterator[Import]:
    """The imports of one source text; those of a stub run when their names are first used."""
    for node, at_load in _statements(ast.parse(text).body, not is_stub):
        if isinstance(node, ast.Import):
            yield from (Import(importer, alias.name, (), at_load) for alias in node.names)
        else:
            base = _base(node, importer, is_package)
            taken = tuple(alias.name for alias in node.names if f"{base}.{alias.name}" not in modules)
            if taken:
                yield Import(importer, base, taken, at_load)
            for alias in node.names:
                if alias.name not in taken:
                    yield Import(importer, f"{base}.{alias.name}", (), at_load)


def _base(node: ast.ImportFrom, importer: str, is_package: bool) -> str:
    """The absolute name of the module in `from ... import`."""
    if not node.level:
        return node.module or ""
    parts = importer.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _statements(body: list[ast.stmt], at_load: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, at_load
            continue
        inside = at_load and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        inside = inside and not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for field in ("body", "orelse", "finalbody", "handlers"):
            for child in getattr(node, field, []):
                yield from _statements([child] if isinstance(child, ast.stmt) else child.body, inside)


def circles(edges: Mapping[str, set[str]]) -> list[set[str]]:
    """The groups of modules that load each other in a circle (Tarjan's strongly connected components above one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(component) > 1 or node in edges.get(node, ()):
                found.append(component)

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found
