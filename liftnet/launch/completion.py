"""Completion of commands, options and files in a shell."""

from __future__ import annotations

import argparse
from pathlib import Path


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes a command line in a shell.

    Args:
        parser: Of the whole command line.
        shell: bash, zsh or tcsh.
    """
    import shtab

    _complete_files(parser)
    parser.prog = "liftnet"  # however it was called this time
    return str(shtab.complete(parser, shell=shell))


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Have every option and argument that is a path completed by files, below every command."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _complete_files(below)
        elif action.type is Path or action.dest in ("source", "results", "log"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
