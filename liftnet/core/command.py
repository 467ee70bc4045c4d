"""One way to declare a command: its parser, its settings and what it runs."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from liftnet.core.errors import LiftnetError, nearest
from liftnet.core.parallel import default_workers
from liftnet.core.settings import ListOption, Settings, add_settings_arguments, is_setting

Subparsers = Any  # argparse keeps the type of add_subparsers() private
Run = Callable[[argparse.Namespace], int | None]
Read = TypeVar("Read")
_EXAMPLE = "example:\n  "


@dataclass(frozen=True)
class BelowRoot:
    """Where a folder of a run lies unless its option names another place: below the folder that `--root` names."""

    folder: str


class _HelpFormatter(argparse.HelpFormatter):
    """Help in which an example stays on its line, from which it is copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_EXAMPLE) else super()._fill_text(text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """A parser that names the command or option most like one it does not know. Options are never abbreviated."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": _HelpFormatter, **options})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As in argparse, but what is not among the choices gets the nearest of them."""
        if action.choices is None or value in action.choices:
            return
        is_command = isinstance(action, argparse._SubParsersAction)
        hint = nearest(str(value), map(str, action.choices))
        known = ", ".join(map(str, action.choices))
        what = f"unknown {'command' if is_command else 'value'} {value!r}{hint} (known: {known})"
        raise argparse.ArgumentError(None if is_command else action, what)

    def parse_command(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse a whole command line; what is wrong with it ends the program with exit status 2."""
        arguments, unknown = self.parse_known_args(argv)
        if unknown:
            chosen: CommandParser = getattr(arguments, "parser", self)
            chosen.refuse(unknown)
        for name, value in vars(arguments).items():
            if isinstance(value, BelowRoot):
                setattr(arguments, name, arguments.root / value.folder)
        return arguments

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse, but an option that takes many words leaves those of the positional arguments alone."""
        args = list(sys.argv[1:] if args is None else args)
        if self._subparsers is None and any(not action.option_strings for action in self._actions):
            args = self._with_positionals_last(args)
        return super().parse_known_args(args, namespace)

    def _with_positionals_last(self, words: Sequence[str]) -> list[str]:
        """The options with their words, then, after `--`, what belongs to none."""
        options: list[str] = []
        positionals: list[str] = []
        at = 0
        while at < len(words) and words[at] != "--":
            action = self._option_string_actions.get(words[at])
            if action is None and _is_option(words[at]) and not self._knows(words[at]):
                self.refuse(words[at : at + 1])
            end = at + 1 + (_count_words(action, words[at + 1 :]) if action else 0)
            (options if _is_option(words[at]) else positionals).extend(words[at:end])
            at = end
        positionals += words[at + 1 :]
        return [*options, "--", *positionals] if positionals else options

    def _knows(self, word: str) -> bool:
        """Whether a word is an option with its value in it, or several of one letter."""
        known = self._option_string_actions
        return word.partition("=")[0] in known or (word[:2] in known and word[1] != "-")

    def format_usage(self) -> str:
        """The usage without the settings, which `--help` explains below: with them it fills a screen."""
        formatter = self._get_formatter()
        shown = [action for action in self._actions if not is_setting(action)]
        formatter.add_usage(self.usage, shown, self._mutually_exclusive_groups)
        return formatter.format_help()

    def format_help(self) -> str:
        """The help, with the short usage at its head."""
        return super().format_help().replace(super().format_usage(), self.format_usage(), 1)

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """End the program because of words that are no options of this command."""
        word = unknown[0].partition("=")[0]
        hint = nearest(word, self._option_string_actions) if word.startswith("-") else ""
        what = (
            "unknown option" if word.startswith("-") else "word too many" if len(unknown) == 1 else "words too many:"
        )
        self.error(f"{what} {' '.join(unknown)}{hint}")


def _is_option(word: str) -> bool:
    """Whether argparse would take a word for an option: no parser here has one that looks like a number."""
    return len(word) > 1 and word[0] == "-" and not re.fullmatch(r"-\d+|-\d*\.\d+|.* .*", word, re.DOTALL)


def _count_words(action: argparse.Action, following: Sequence[str]) -> int:
    """How many of the words that follow an option are its own."""
    own = list(takewhile(lambda word: not _is_option(word), following))
    if isinstance(action, ListOption):
        own = [*own[:1], *takewhile(action.is_item, own[1:])]
    most = {None: 1, argparse.OPTIONAL: 1, argparse.ZERO_OR_MORE: len(own), argparse.ONE_OR_MORE: len(own)}
    return min(len(own), action.nargs if isinstance(action.nargs, int) else most[action.nargs])


def add_command(
    subparsers: Subparsers,
    name: str,
    run: Run,
    help: str,
    settings: type[Settings] | None = None,
    short: Collection[str] = (),
    example: str = "",
    computes: bool = True,
) -> argparse.ArgumentParser:
    """Add `python -m liftnet ... <name>` that calls `run(arguments)`.

    `run` imports what it needs itself, so that `--help` and light commands do not load torch. It returns the exit
    status, None for 0. Settings are read with `settings_from(arguments, settings)`; those whose dotted names are in
    `short` have an option of their last name too. `example` is a whole command line; a command that `computes` nothing
    itself has neither seed nor threads.
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=help, description=help, epilog=f"{_EXAMPLE}{example}" if example else None
    )
    parser.set_defaults(run=run, parser=parser)
    if computes:
        threads = default_workers()
        parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
        parser.add_argument("--threads", type=int, default=threads, help="worker threads (default: all cores)")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="log details")
    loudness.add_argument("-q", "--quiet", action="store_true", help="log warnings and errors alone")
    parser.add_argument("--log", metavar="FILE", help="write what is printed to this file too")
    if settings is not None:
        add_settings_arguments(parser, settings, short)
    return parser


def option_read_by(read: Callable[[str], Read]) -> Callable[[str], Read]:
    """The `type` of an option that `read` reads: its `LiftnetError` is told as any other wrong option."""

    def read_option(text: str) -> Read:
        try:
            return read(text)
        except LiftnetError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read_option


def add_run_folder(parser: argparse.ArgumentParser, option: str, folder: str, help: str) -> None:
    """Add an option that names a folder of a run, by default the one below `--root` in which the workflow keeps it."""
    parser.add_argument(option, type=Path, default=BelowRoot(folder), help=f"{help} (default: ROOT/{folder})")


def add_photographs(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that predicts something of photographs: which, by which model, masked how."""
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="image, or folder of images")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; folders are mirrored in it")
    parser.add_argument(
        "--mask",
        default="auto",
        help="what is sculpture: auto (by the segmenter), none (the whole image), or a folder of masks named as the "
        "images, .png (default: auto)",
    )
    parser.add_argument(
        "--segmenter",
        type=Path,
        help="folder of the segmenter for --mask auto (default: beside the model, else that of the package)",
    )
    parser.add_argument("--force", action="store_true", help="predict again what is there already")
    parser.add_argument(
        "--device", default="auto", help="where to compute: auto (a GPU if there is one), cpu, cuda, cuda:1"
    )


def add_stage(stages: Subparsers, name: str, help: str) -> Subparsers:
    """Add a stage that has several commands, as in `python -m liftnet depth train`."""
    parser: argparse.ArgumentParser = stages.add_parser(name, help=help, description=help)
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
