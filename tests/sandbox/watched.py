"""Runs commands of liftnet in one process that notes every program started, address reached and file written.

    python watched.py COMMANDS.json WATCHED.json ALLOWED...

COMMANDS.json is a list of command lines; one that begins with "meshes" reads all meshes of a folder. WATCHED.json
gets, for each, its exit status and what it did that it may not: anything but write below the folders ALLOWED. Events
are those of Python (PEP 578); what libraries do by themselves is seen by whoever looks at the folders and at the
programs on PATH afterwards.
"""

import contextlib
import json
import os
import sys
import traceback

PROGRAMS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "pty.spawn"}
ADDRESSES = {f"socket.{name}" for name in ("connect", "getaddrinfo", "gethostbyname", "sendto")}
CHANGES = {f"os.{name}" for name in ("rename", "remove", "mkdir", "rmdir", "symlink", "link", "truncate", "chmod")}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DECODER = "watched_decoder:answer"
OURS = ("/dev/null", "/dev/tty", "/proc/self/")


class Watch:
    def __init__(self, allowed):
        self.allowed = [os.path.realpath(folder) for folder in allowed]
        self.seen = []

    def __call__(self, event, arguments):
        if event == "subprocess.Popen" and is_decoder(arguments[1]):
            return
        if event in PROGRAMS:
            self.seen.append(f"{event} {arguments[0]}")
        elif event in ADDRESSES:
            self.seen.append(f"{event} {arguments[-1] if event == 'socket.connect' else arguments[:2]}")
        elif event == "open" and self.is_outside(arguments[0]):
            path, mode, flags = arguments
            if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & WRITING):
                self.seen.append(f"open {path} {mode or flags}")
        elif event in CHANGES and any(map(self.is_outside, self.paths(event, arguments))):
            self.seen.append(f"{event} {arguments[:2]}")

    @staticmethod
    def paths(event, arguments):
        """What is changed: of a link the new name, of a renaming both."""
        if event in ("os.symlink", "os.link"):
            return arguments[1:2]
        if event == "os.rename":
            return arguments[:2]
        folder = arguments[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
        return [os.path.join(f"/proc/self/fd/{folder}", os.fsdecode(arguments[0]))] if folder >= 0 else arguments[:1]

    def is_outside(self, path):
        if isinstance(path, int) or path is None:
            return False
        real = os.path.realpath(os.path.abspath(os.fsdecode(path)))
        inside = any(real == folder or real.startswith(folder + os.sep) for folder in self.allowed)
        return not inside and not real.startswith(OURS)


def is_decoder(words):
    """Whether a program is a decoder of ours, which is watched as this process is."""
    from liftnet.core.killable import CHILD

    return list(words[:4]) == [sys.executable, "-P", "-c", CHILD] and words[5] == DECODER


def read_meshes(folder):
    """The reader of meshes, as every command that reads them calls it."""
    from liftnet.core.errors import LiftnetError
    from liftnet.mesh.reading import find_meshes, read_mesh

    read = 0
    for path in find_meshes(folder).values():
        with contextlib.suppress(LiftnetError):
            read += read_mesh(path).parts
    return int(not read)


def main(commands, watched, *allowed):
    import matplotlib.font_manager  # noqa: F401
    import torch  # noqa: F401  # what libraries do when they are loaded is theirs

    import liftnet.__main__
    from liftnet.collect import decoding

    decoding.TARGET = DECODER
    watch = Watch(allowed)
    sys.addaudithook(watch)
    results = []
    with open(commands) as file:
        lines = json.load(file)
    for line in lines:
        watch.seen = []
        try:
            status = read_meshes(*line[1:]) if line[0] == "meshes" else liftnet.__main__.main(line)
        except BaseException:
            status = traceback.format_exc()
        results.append({"command": line, "status": status, "seen": watch.seen})
    watch.seen = []
    with open(watched, "w") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
