"""Where other programs are looked for: in folders that somebody has named, not in the one a command runs in.

Foreign data are unpacked into working folders; a program that lies among them must not run because it has the right
name.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def find_program(name: str, folder: str = "") -> str | None:
    """The absolute path of a program, or None.

    Args:
        name: Its name, or a path to it.
        folder: Where it must be; empty: on PATH, of which relative entries ("", ".") are passed over.
    """
    named = folder or os.pathsep.join(filter(os.path.isabs, os.get_exec_path()))
    path = shutil.which(name, path=named)
    return None if path is None else str(Path(path).absolute())
