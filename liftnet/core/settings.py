"""Settings as a tree of frozen models: the source of config.yaml, of its JSON schema and of every command's flags.

A group of settings that one command needs whole is a model of its own, and a field of the model above it. Their dotted
names are the same everywhere: `network: {width: 16}` in config.yaml is `--network.width 16` on a command line and
`settings.network.width` in the library. What a checkpoint or a cache depends on is such a group: `fingerprint` of it.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import pkgutil
import shlex
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from liftnet.core.errors import LiftnetError, nearest
from liftnet.core.opening import read_text

_ALL = "settings_json"  # where the option --settings is kept
_ONE = "setting "  # before the dotted name of a setting: no option of a command has a space in its name


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused, every field with a default and a description.

    A group that several stages have, each with defaults of its own, is a subclass that names them:

    >>> class Training(Settings):
    ...     steps: int = 100
    ...     batch_size: int = 8
    >>> class DepthTraining(Training, defaults={"steps": 2000}):
    ...     pass
    >>> DepthTraining()
    DepthTraining(steps=2000, batch_size=8)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init_subclass__(cls, defaults: Mapping[str, Any] | None = None, **options: Any) -> None:
        """Take the argument that pydantic does not know."""
        super().__init_subclass__(**options)

    @classmethod
    def __pydantic_init_subclass__(cls, defaults: Mapping[str, Any] | None = None, **options: Any) -> None:
        """Give inherited settings their defaults in this class."""
        super().__pydantic_init_subclass__(**options)
        if defaults:
            for name, value in defaults.items():
                cls.model_fields[name].default = value
            cls.model_rebuild(force=True)


# of a file or folder of the user: replacing it runs again what depends on it (`workflow.sources.state_of_settings`)
UserPath = Annotated[str, WithJsonSchema({"type": "string", "format": "path"})]

SettingsType = TypeVar("SettingsType", bound=Settings)


@dataclass(frozen=True)
class OneOf:
    """A choice among names that are known only when the program runs; in all else as a `Literal` of them.

    >>> class Network(Settings):
    ...     architecture: Annotated[str, OneOf(("refinenet", "unet"))] = "unet"

    Attributes:
        names: What may be chosen, at least one.
    """

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate as a `Literal`."""
        return core_schema.literal_schema(list(self.names))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """An enumeration, of a single name too, so that the schema has one form however many there are."""
        return {"enum": list(self.names), "type": "string"}


def module_names(*folders: Path) -> tuple[str, ...]:
    """The modules and packages in folders, by name, without those that begin with an underscore; imports none."""
    found = {module.name for module in pkgutil.iter_modules(map(str, folders))}
    return tuple(sorted(name for name in found if not name.startswith("_")))


def names_given_to(function: str, module: Path) -> tuple[str, ...]:
    """The texts that a module gives a function as its first argument, in their order; the module is not imported.

    Args:
        function: Its name, as of the decorator in `@shape_metric("emd", ...)`.
        module: File of the module.
    """
    calls = [node for node in ast.walk(ast.parse(read_text(module))) if isinstance(node, ast.Call)]
    names = [
        (call.lineno, call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == function and isinstance(call.args[0], ast.Constant)
    ]
    return tuple(str(name) for _, name in sorted(names))


def fingerprint(settings: Settings) -> str:
    """The first 16 hex digits of the SHA-256 of the settings: other values, another fingerprint.

    >>> class Network(Settings):
    ...     width: int = 16
    >>> fingerprint(Network()) == fingerprint(Network(width=16)) != fingerprint(Network(width=32))
    True
    """
    return hashlib.sha256(json.dumps(settings.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:16]


def leaves(settings: type[Settings], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """All settings of a tree, in its order: the names from the root down, and the field."""
    for name, field in settings.model_fields.items():
        group = group_of(field)
        if group is None:
            yield (*above, name), field
        else:
            yield from leaves(group, (*above, name))


def group_of(field: FieldInfo) -> type[Settings] | None:
    """The model of a field that is a group of settings, None for a single setting."""
    kind = _plain_type(field.annotation)
    return kind if isinstance(kind, type) and issubclass(kind, Settings) else None


def changed(settings: SettingsType, /, **values: Any) -> SettingsType:
    """The same settings with other values, by the name of a setting or, where several groups have one, by dotted name.

    >>> class Network(Settings):
    ...     width: int = 16
    >>> class Train(Settings):
    ...     network: Network = Network()
    >>> changed(Train(), width=32).network.width
    32

    Raises:
        LiftnetError: There is no such setting, or several.
        pydantic.ValidationError: A value is not allowed.
    """
    tree = settings.model_dump()
    paths = {".".join(path): path for path, _ in leaves(type(settings))}
    for name, value in values.items():
        found = [name] if name in paths else [dotted for dotted in paths if dotted.endswith(f".{name}")]
        if len(found) != 1:
            reason = f"names several settings: {', '.join(found)}" if found else f"is no setting{nearest(name, paths)}"
            raise LiftnetError(name, reason, "Give its dotted name")
        _put(tree, paths[found[0]], value)
    return type(settings).model_validate(tree)


class ListOption(argparse.Action):
    """The option of a setting that is a list.

    Attributes:
        is_item: Whether a word can be one of its values: one that cannot is no word of the option's.
    """

    def __init__(self, *args: Any, is_item: Callable[[str], bool], **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_item = is_item

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        """Store the words."""
        setattr(namespace, self.dest, values)


def add_settings_arguments(
    parser: argparse.ArgumentParser, settings: type[Settings], short: Collection[str] = ()
) -> None:
    """Give `parser` the option --settings for the whole tree as JSON, and a dotted option for each setting in it.

    Those whose dotted names are in `short` have an option of their last name too.
    """
    group = parser.add_argument_group("settings (the same names and defaults as config.yaml)")
    group.add_argument(
        "--settings",
        dest=_ALL,
        action="append",
        metavar="JSON",
        help="these settings as a JSON object; several are joined, and options overrule them",
    )
    for path, field in leaves(settings):
        # ArgumentParser formats help with %, so a literal % must be doubled
        text = f"{field.description or ''} (default: {_default_as_typed(field.default)})".replace("%", "%%")
        options: dict[str, Any] = {"dest": _ONE + ".".join(path), "default": argparse.SUPPRESS, "help": text}
        kind = _plain_type(field.annotation)
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["metavar"] = _metavar(path[-1], field)
            if typing.get_origin(kind) is list:
                options |= {"nargs": "*", "action": ListOption, "is_item": _item_test(field)}
        names = [_flag(path)] if ".".join(path) not in short else [_flag(path), _flag(path[-1:])]
        group.add_argument(*names, **options)


def is_setting(action: argparse.Action) -> bool:
    """Whether an option of a parser is one of those that `add_settings_arguments` gave it for a single setting."""
    return action.dest.startswith(_ONE)


def offered(action: argparse.Action) -> tuple[str, ...]:
    """What the option of a setting may be, where that is one of some names, as its help shows them."""
    shown = action.metavar if isinstance(action.metavar, str) else ""
    return tuple(shown[1:-1].split(",")) if shown.startswith("{") else ()


def settings_from(arguments: argparse.Namespace, settings: type[SettingsType]) -> SettingsType:
    """Build `settings` from parsed options.

    Raises:
        LiftnetError: A value has the wrong type or is out of range, or --settings is no JSON object of these settings.
    """
    given: dict[str, Any] = {}
    for text in getattr(arguments, _ALL, None) or ():
        _join(given, _json_object(text))
    for path, field in leaves(settings):
        if hasattr(arguments, _ONE + ".".join(path)):
            _put(given, path, _from_text(getattr(arguments, _ONE + ".".join(path)), field))
    try:
        return settings.model_validate(given)
    except ValidationError as error:
        raise _in_plain_words(error, settings) from error


def _in_plain_words(error: ValidationError, settings: type[Settings]) -> LiftnetError:
    """The first fault that pydantic found, by the name of its option."""
    first = error.errors()[0]
    path = tuple(str(part) for part in first["loc"])
    key = _flag(path) if path else "settings"
    if first["type"] == "extra_forbidden":
        known = {".".join(names[:depth]) for names, _ in leaves(settings) for depth in range(1, len(names) + 1)}
        return LiftnetError(key, f"is no setting of this command{nearest('.'.join(path), known)}", "See --help")
    hint = ""
    if first["type"] == "literal_error":
        chosen = next((field for names, field in leaves(settings) if names == path[: len(names)]), None)
        hint = nearest(str(first["input"]), map(str, _choices(chosen))) if chosen else ""
    return LiftnetError(key, f"{first['msg']} (given: {first.get('input')!r}){hint}", "See --help for what is allowed")


def _json_object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise LiftnetError("--settings", f"is not JSON ({error})", "Give an object, as in '{\"a\": 1}'") from error
    if not isinstance(given, dict):
        raise LiftnetError("--settings", "is not a JSON object", "Give an object, as in '{\"a\": 1}'")
    return given


def _join(tree: dict[str, Any], further: dict[str, Any]) -> None:
    """Put `further` into `tree`, group by group; what stands in both is taken from `further`."""
    for name, value in further.items():
        if isinstance(value, dict) and isinstance(tree.get(name), dict):
            _join(tree[name], value)
        else:
            tree[name] = value


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def _from_text(value: Any, field: FieldInfo) -> Any:
    """The value of an option; that of a mapping is JSON."""
    if isinstance(value, str) and typing.get_origin(_plain_type(field.annotation)) is dict:
        return _json_object(value)
    return value


def _default_as_typed(value: Any) -> str:
    """A default as it is written on a command line and in config.yaml."""
    if isinstance(value, list):
        return shlex.join(map(str, value)) or "none of them"
    return "null" if value is None else str(value)


def _flag(path: tuple[str, ...]) -> str:
    return "--" + ".".join(path).replace("_", "-")


def _metavar(name: str, field: FieldInfo) -> str:
    choices = _choices(field)
    return f"{{{','.join(map(str, choices))}}}" if choices else name.upper()


def _choices(field: FieldInfo) -> tuple[Any, ...]:
    """The values of a `Literal` or `OneOf`, of a list of them too; nothing for other types."""
    kind, notes = _plain_type(field.annotation), list(field.metadata)
    if typing.get_origin(kind) is list:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is typing.Annotated:
        kind, *notes = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)
    return next((note.names for note in notes if isinstance(note, OneOf)), ())


def _item_test(field: FieldInfo) -> Callable[[str], bool]:
    """Whether a word can be an item of a list: one of its choices, a number where it has numbers, else any word."""
    choices = set(map(str, _choices(field)))
    kind = typing.get_args(_plain_type(field.annotation))[0]
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if choices:
        return choices.__contains__
    return _is_number if kind in (int, float) else lambda word: True


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _plain_type(annotation: Any) -> Any:
    """`str | None` without the None."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation
