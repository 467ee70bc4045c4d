"""Reads a Parquet file with its footer damaged in many ways, and prints what came of it: `damaged_footers.py COUNT`.

In a process of its own, since pyarrow ends the process on some of them unless they are found first.
"""

import contextlib
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from liftnet.collect.sources.lists import read_list
from liftnet.core.errors import LiftnetError
from liftnet.data.parquet_limits import open_parquet
from liftnet.data.schemas import groups_that_may_hold


def outcome(path):
    """What the readers say of a file; whatever else they raise ends the process."""
    with contextlib.suppress(LiftnetError):
        read_list(path)
    try:
        with open_parquet(path) as file:  # what has passed may be asked for everything
            groups_that_may_hold(file, "artist", "a", "b")
            columns = range(len(file.schema))
            return f"read {all(file.metadata.row_group(0).column(n).total_compressed_size for n in columns)}"
    except (LiftnetError, OSError, pa.ArrowException):
        return "refused"


def main(count):
    seen, generator = Counter(), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.parquet"
        rows = [{"artist": "Rodin", "work": f"w{n % 3}", "url": f"https://x.org/{n}", "died": 1917} for n in range(40)]
        pq.write_table(pa.Table.from_pylist(rows), path)
        whole = path.read_bytes()
        start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
        for _ in range(count):
            found = bytearray(whole)
            for place in generator.integers(start, len(whole) - 8, generator.integers(1, 4)):
                found[place] = generator.integers(256)
            path.write_bytes(found)
            seen[outcome(path)] += 1
    print(*sorted(seen))


if __name__ == "__main__":
    main(int(sys.argv[1]))
