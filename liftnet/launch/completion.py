"""Completion of commands, options and files in a shell."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.settings import is_setting, offered

_PATHS = ("source", "results", "log")  # that are no `Path`, since words are handed on as they were given


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes a command line in a shell.

    Args:
        parser: Of the whole command line.
        shell: bash, zsh or tcsh.
    """
    import shtab

    _complete_values(parser)
    parser.prog = "liftnet"  # however it was called this time
    return str(shtab.complete(parser, shell=shell))


def _complete_values(parser: argparse.ArgumentParser) -> None:
    """Have every option and argument that is a path completed by files, and settings by what they may be."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _complete_values(below)
        elif action.type is Path or action.dest in _PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif is_setting(action):
            action.choices = offered(action) or None
