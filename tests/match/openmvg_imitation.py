"""Stands in for OpenMVG's programs in tests: same options, same files, same silent failures, exit status 0 included.

The program is chosen by the name it is called by. `faults.json` beside it tells it what to do wrong. Features are a
grid of points, the same in every image, with random descriptors: feature k of one image matches feature k of another.
"""

import json
import os
import random
import struct
import sys
import time
from pathlib import Path

HERE = Path(sys.argv[0]).resolve().parent
FAULTS = json.loads((HERE / "faults.json").read_text()) if (HERE / "faults.json").exists() else {}
NAME = Path(sys.argv[0]).name.removeprefix("openMVG_main_")
OPTIONS = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
POINTS = 30


def jpeg_size(path):
    """(width, height) from the header of a JPEG, or None."""
    data = path.read_bytes()
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 < len(data):
        marker, size = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if marker in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + size
    return None


def views():
    scene = json.loads(Path(OPTIONS["-i"]).read_text())
    found = [entry["value"]["ptr_wrapper"]["data"] for entry in scene["views"]]
    return {view["id_view"]: Path(view["filename"]).stem for view in found}


def list_images():
    entries = []
    for path in sorted(Path(OPTIONS["-i"]).iterdir()):
        if "mask.png" in path.name or path.stem in FAULTS.get("drop", []):
            continue
        size = FAULTS.get("size") or jpeg_size(path)
        if size is None:
            continue
        data = {"local_path": "", "filename": path.name, "width": size[0], "height": size[1], "id_view": len(entries)}
        data["filename"] = FAULTS.get("rename", {}).get(path.stem, path.name)
        entries.append({"key": len(entries), "value": {"ptr_wrapper": {"id": 1, "data": data}}})
    scene = {"sfm_data_version": "0.3", "root_path": OPTIONS["-i"], "views": entries[::-1], "intrinsics": []}
    (Path(OPTIONS["-o"]) / "sfm_data.json").write_text(json.dumps(scene))


def compute_features():
    out = Path(OPTIONS["-o"])
    kind = FAULTS.get("describer", "SIFT")
    describer = {"image_describer": {"polymorphic_name": f"{kind}_Image_describer"}}
    describer["regions_type"] = {"polymorphic_name": f"{kind}_Regions"}
    (out / "image_describer.json").write_text(json.dumps(describer))
    for stem in views().values():
        rng = random.Random(7)
        count = FAULTS.get("count", {}).get(stem, POINTS)
        far = 5000 if stem in FAULTS.get("outside", []) else 0
        lines = [f"{10 + 5 * k + far} {20 + 3 * k} 2.5 0.1\n" for k in range(count)]
        descriptors = bytes(rng.randrange(256) for _ in range(128 * count))
        if stem in FAULTS.get("no_feat", []):
            continue
        (out / f"{stem}.feat").write_text("".join(lines[:-1] if stem in FAULTS.get("feat_short", []) else lines))
        if stem in FAULTS.get("no_desc", []):
            continue
        data = struct.pack("<Q", count) + descriptors
        (out / f"{stem}.desc").write_bytes(data[:-50] if stem in FAULTS.get("desc_cut", []) else data)


def generate_pairs():
    numbers = sorted(views())
    pairs = [(i, j) for i in numbers for j in numbers if i < j][: FAULTS.get("pairs")]
    Path(OPTIONS["-o"]).write_text("".join(f"{i} {j}\n" for i, j in pairs))


def compute_matches():
    out = Path(OPTIONS["-o"])
    if "wait" in FAULTS:
        time.sleep(FAULTS["wait"])
    counts = {}
    for number, stem in views().items():
        descriptors = out.with_name(f"{stem}.desc")
        if not descriptors.exists():
            print("ERROR: [main.cpp:1] Cannot load view regions from:", out.parent, file=sys.stderr)
            sys.exit(1)
        counts[number] = (descriptors.stat().st_size - 8) // 128
    data = b""
    pairs = [tuple(map(int, line.split())) for line in Path(OPTIONS["-p"]).read_text().splitlines()]
    for i, j in pairs:
        rows = [(k, k) for k in range(min(counts[i], counts[j]))]
        rows += [(0, 1)] + ([(999, 0)] if FAULTS.get("out_of_range") else [])  # the first is not mutual
        data += struct.pack("<IIQ", i, j, len(rows)) + b"".join(struct.pack("<II", *row) for row in rows)
    data = struct.pack("<BQ", 1, len(pairs)) + data
    if not FAULTS.get("no_matches"):
        out.write_bytes(data[: -FAULTS.get("cut_matches", 0) or None])


programs = {
    "SfMInit_ImageListing": list_images,
    "ComputeFeatures": compute_features,
    "PairGenerator": generate_pairs,
    "ComputeMatches": compute_matches,
}
calls = HERE / "calls.txt"
calls.write_text(
    (calls.read_text() if calls.exists() else "")
    + f"{os.environ.get('OMP_NUM_THREADS')} {NAME} {' '.join(sys.argv[1:])}\n"
)
print("INFO: this is", NAME, file=sys.stderr)
if FAULTS.get("killed") == NAME:
    os.kill(os.getpid(), 9)
if FAULTS.get("fails") == NAME:
    print("ERROR: [main.cpp:42] something went wrong", file=sys.stderr)
    sys.exit(1)
programs[NAME]()
