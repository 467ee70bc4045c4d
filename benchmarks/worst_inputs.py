"""What the worst file within the limits costs: one image, list, mesh, model and dataset, each in a process of its own.

    python benchmarks/worst_inputs.py [--quick] [--only NAME ...]

The files are made small or as large as the limits allow (liftnet/core/limits.py), so that what they cost is what
anybody can make a command pay. Seconds are CPU seconds of reading, without loading libraries; MB is the largest memory
of the process, libraries (about 300 MB with torch) included.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from safetensors.numpy import save

from liftnet.core import limits
from liftnet.core.files import write_text
from liftnet.core.tables import markdown_table

REPORT = Path(__file__).with_suffix(".md")
MAX_PIXELS = 89_000_000
READ = "import sys; sys.path.insert(0, {folder!r}); import worst_inputs; worst_inputs.read({name!r}, {path!r})"


def jpeg(side: int, **options: object) -> bytes:
    """A picture of one colour."""
    written = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 30)).save(written, "JPEG", **options)
    return written.getvalue()


def many_scans(share: float) -> bytes:
    """As many scans as may be, over as many pixels."""
    side = int((share * limits.JPEG_SCANNED_PIXELS / limits.JPEG_SCANS) ** 0.5)
    data = jpeg(side, progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (limits.JPEG_SCANS - data.count(b"\xff\xda")) + b"\xff\xd9"


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(share: float, bits: int, kind: int, channels: int) -> bytes:
    """A PNG of zeros of the largest size."""
    side = int((share * MAX_PIXELS * min(1, 4 / (channels * bits // 8))) ** 0.5)
    rows = zlib.compress(bytes((side * channels * bits // 8 + 1) * side), 9)
    head = struct.pack(">IIBBBBB", side, side, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_chunks(share: float) -> bytes:
    """A PNG of as many chunks as may be."""
    written = io.BytesIO()
    Image.new("RGB", (64, 64)).save(written, "PNG")
    data = written.getvalue()
    return data[:33] + chunk(b"abCd", b"") * int(share * (limits.PNG_CHUNKS - 10)) + data[33:]


def csv_list(share: float) -> bytes:
    """As many rows as may be, as short as may be."""
    return b"artist,work,url\n" + b"A,W,u\n" * int(share * limits.LIST_ROWS)


def lost_list(share: float) -> bytes:
    """As many rows as may be, whose paths may each mean eight things and are nowhere."""
    return b"artist,work,image\n" + "A,W,~x%20y\\\u00e9 \n".encode() * int(share * limits.LIST_ROWS)


def footer(share: float) -> bytes:
    """A Parquet file of as many columns of row groups as may be."""
    table = pa.table({f"c{number}": ["x"] for number in range(1000)})
    written = io.BytesIO()
    with pq.ParquetWriter(written, table.schema) as writer:
        for _ in range(max(1, int(share * limits.GROUPS_AND_COLUMNS / 1000))):
            writer.write_table(table)
    return written.getvalue()


def repeated(value: str | bytes, rows: int) -> pa.Array:
    """A column that names one value over and over."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value]))


def parquet(table: pa.Table, **options: object) -> bytes:
    """A table as a file."""
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd", store_schema=False, **options)
    return written.getvalue()


def parquet_list(share: float) -> bytes:
    """A few kilobytes that name one text for every row, as many characters as may be."""
    rows = int(share * limits.LIST_ROWS)
    text = "x" * int(limits.LIST_CHARACTERS / limits.LIST_ROWS - 20)
    columns = {"artist": repeated("A", rows), "work": repeated(text, rows), "url": repeated("u", rows)}
    return parquet(pa.table(columns), row_group_size=500_000)


def group_of_zeros(share: float) -> bytes:
    """One row group as large as may be, of compressed zeros."""
    count = int(share * limits.GROUP_BYTES / limits.TABLE_CELL_BYTES)
    zeros = pa.array([bytes(limits.TABLE_CELL_BYTES - 100)] * max(1, count), pa.large_binary())
    return parquet(pa.table({"image": zeros}), use_dictionary=False)


def mesh(share: float) -> bytes:
    """A binary PLY of as many triangles as may be, of few vertices."""
    from liftnet.mesh.settings import ReadingSettings

    faces = int(share * ReadingSettings().max_faces)
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 1000\nproperty float x\nproperty float y\n"
    head += f"property float z\nelement face {faces}\nproperty list uchar int vertex_indices\nend_header\n"
    generator = np.random.default_rng(0)
    corners = np.zeros(faces, np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    corners["count"], corners["corners"] = 3, generator.integers(0, 1000, (faces, 3))
    return head.encode() + generator.random((1000, 3)).astype("<f4").tobytes() + corners.tobytes()


def card(share: float) -> bytes:
    """A card whose block of YAML is as long as may be."""
    return ("---\n" + "- a: 1\n" * int(share * limits.YAML_BYTES / 7.1) + "---\n").encode()


def document(share: float) -> bytes:
    """JSON of as many values as may be."""
    return b"[" + b"[]," * int(share * limits.JSON_BYTES / 3.1) + b"[]]"


CASES: dict[str, tuple[str, Callable[[float], bytes], str]] = {
    "scans": ("image: JPEG of 64 scans", many_scans, "x.jpg"),
    "baseline": ("image: JPEG of 89 million px", lambda share: jpeg(int((share * MAX_PIXELS) ** 0.5)), "x.jpg"),
    "png8": ("image: PNG of 89 million px, RGB", lambda share: png(share, 8, 2, 3), "x.png"),
    "png16": ("image: PNG, RGBA of 16 bits", lambda share: png(share, 16, 6, 4), "x.png"),
    "chunks": ("image: PNG of 100,000 chunks", many_chunks, "x.png"),
    "csv": ("list: CSV of 2,000,000 rows", csv_list, "x.csv"),
    "lost": ("list: CSV of 2,000,000 rows, files nowhere", lost_list, "x.csv"),
    "parquet": ("list: Parquet, 1,000 million characters", parquet_list, "x.parquet"),
    "mesh": ("mesh: PLY of 10,000,000 triangles", mesh, "x.ply"),
    "config": ("model: config.json of 32 MB", document, "config.json"),
    "absurd": ("model: a network of 900 million weights, the file has none", lambda share: b"", "model.safetensors"),
    "group": ("dataset: a row group of 2 GB of zeros", group_of_zeros, "x.parquet"),
    "footer": ("dataset: Parquet, 100 row groups of 1,000 columns", footer, "x.parquet"),
    "card": ("dataset: a card of 200 kB of YAML", card, "README.md"),
    "html": ("catalogue: 100 kB of HTML", lambda share: b"<p>" * int(share * 33_000), "x.html"),
}


def reader(name: str, path: Path) -> Callable[[], object]:
    """What reads a file, its libraries loaded."""
    if path.suffix in (".jpg", ".png"):
        from liftnet.collect.normalise import normalise

        normalise(jpeg(100), "x", 1600, 64, MAX_PIXELS)
        return lambda: normalise(path.read_bytes(), path, 1600, 64, MAX_PIXELS)
    if name in ("csv", "lost", "parquet"):
        from liftnet.collect.sources.lists import read_list

        return lambda: read_list(path)
    if name == "mesh":
        from liftnet.mesh.reading import read_mesh

        return lambda: read_mesh(path)
    if name in ("config", "absurd"):
        from liftnet.models.liftnet import load_model

        return lambda: load_model(path.parent)
    if name == "footer":
        from liftnet.data.parquet_limits import check_parquet

        return lambda: check_parquet(path)
    if name == "group":
        from liftnet.data.parquet_limits import open_parquet

        def read_group() -> object:
            with open_parquet(path) as file:
                return file.read_row_group(0)

        return read_group
    if name == "card":
        from liftnet.shard.described import card_of

        return lambda: card_of(path)
    from liftnet.collect.sources.html_text import shown_text

    return lambda: shown_text(path.read_text())


def read(name: str, path: str) -> None:
    """Read a file and print what that took; errors of ours are an answer as good as any."""
    from liftnet.core.errors import LiftnetError

    run = reader(name, Path(path))
    start, answer = time.process_time(), "read"
    try:
        run()
    except LiftnetError as error:
        answer = error.reason[:70]
    seconds = time.process_time() - start
    status = Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    print(json.dumps({"seconds": seconds, "mb": peak, "answer": answer}))


def cost(name: str, share: float) -> dict[str, object]:
    """A row of the table: what the worst file of a kind costs."""
    what, make, file_name = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file_name
        path.write_bytes(make(share))
        if name == "absurd":
            path.write_bytes(save({"a": np.zeros(1, np.float32)}))
            config = {"format": 3, "model": "liftnet", "network": {"levels": 10, "width": 256}}
            config["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            (path.parent / "config.json").write_text(json.dumps(config))
        size = path.stat().st_size
        code = READ.format(folder=str(Path(__file__).parent), name=name, path=str(path))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return {
        "worst input": what,
        "file": f"{size / 1000:,.0f} kB",
        "seconds": f"{found['seconds']:.1f}",
        "MB": f"{found['mb']:,.0f}",
        "answer": found["answer"],
    }


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of each limit, and no file")
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES), help="these cases")
    options = parser.parse_args()
    rows = []
    for name in options.only:
        rows.append(cost(name, 0.01 if options.quick else 1.0))
        print("; ".join(map(str, rows[-1].values())), flush=True)
    table = markdown_table(pd.DataFrame(rows))
    print(table)
    if not options.quick and len(rows) == len(CASES):
        head = "# The worst input within the limits\n\n`python benchmarks/worst_inputs.py`; "
        head += f"{(__doc__ or '').rsplit(chr(10) * 2, 1)[1].strip()}\n\n"
        write_text(REPORT, head + table + "\n")


if __name__ == "__main__":
    main()
