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
PRESETS = {"NORMAL": (0, 0.03999999910593033), "HIGH": (0, 0.009999999776482582), "ULTRA": (-1, 0.01)}


def ppm_size(path):
    """(width, height) from the header of a PPM, or None."""
    words = path.read_bytes()[:40].split()
    return (int(words[1]), int(words[2])) if words[0] == b"P6" else None


def views():
    scene = json.loads(Path(OPTIONS["-i"]).read_text())
    found = [entry["value"]["ptr_wrapper"]["data"] for entry in scene["views"]]
    return {view["id_view"]: Path(view["filename"]).stem for view in found}


def list_images():
    entries = []
    for path in sorted(Path(OPTIONS["-i"]).iterdir()):
        if "mask.png" in path.name or path.stem in FAULTS.get("drop", []):
            continue
        size = FAULTS.get("size", {}).get(path.stem) or ppm_size(path)
        if size is None:
            continue
        data = {"local_path": "", "filename": path.name, "width": size[0], "height": size[1], "id_view": len(entries)}
        data["filename"] = FAULTS.get("rename", {}).get(path.stem, path.name)
        entries.append({"key": len(entries), "value": {"ptr_wrapper": {"id": 1, "data": data}}})
    scene = {"sfm_data_version": "0.3", "root_path": OPTIONS["-i"], "views": entries[::-1], "intrinsics": []}
    Path(OPTIONS["-o"]).mkdir(exist_ok=True)
    (Path(OPTIONS["-o"]) / "sfm_data.json").write_text(json.dumps(scene))


def compute_features():
    out = Path(OPTIONS["-o"])
    kind = FAULTS.get("describer", "SIFT")
    octave, peak = PRESETS[FAULTS.get("stale") or OPTIONS["-p"]]
    data = {"params": {"first_octave": octave, "peak_threshold": peak, "root_sift": True}}
    data["bOrientation"] = OPTIONS["-u"] == "0"
    describer = {"image_describer": {"polymorphic_name": f"{kind}_Image_describer", "ptr_wrapper": {"data": data}}}
    describer["regions_type"] = {"polymorphic_name": f"{kind}_Regions"}
    (out / "image_describer.json").write_text("" if FAULTS.get("disk_full") else json.dumps(describer))
    for stem in views().values():
        if stem in FAULTS.get("crash", []):
            os.kill(os.getpid(), 11)
        if stem in FAULTS.get("hang", []):
            time.sleep(60)
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
        features, descriptors = (out.with_name(f"{stem}.{suffix}") for suffix in ("feat", "desc"))
        if not features.exists() or not descriptors.exists():
            print("ERROR: [main.cpp:1] Cannot load view regions from:", out.parent, file=sys.stderr)
            sys.exit(1)
        lines = [line.split() for line in features.read_text().splitlines()]
        counts[number], rest = divmod(descriptors.stat().st_size - 8, 128)
        assert rest == 0
        assert [len(line) for line in lines] == [4] * counts[number]
    json.loads(out.with_name("image_describer.json").read_text())
    found = {}
    for line in Path(OPTIONS["-p"]).read_text().splitlines():
        i, j = map(int, line.split())
        found[i, j] = [(k, k) for k in range(min(counts[i], counts[j]))]
        found[i, j] += [(0, 1)] + ([(999, 0)] if FAULTS.get("out_of_range") else [])  # the first is not mutual
    if FAULTS.get("draws"):
        os.system("neato -Tsvg out/putative_matches")
    if FAULTS.get("unasked"):
        found[0, len(counts)] = []
    write_matches(out, found)


def write_matches(out, found):
    data = struct.pack("<BQ", 1, len(found))
    for (i, j), rows in found.items():
        data += struct.pack("<IIQ", i, j, len(rows)) + b"".join(struct.pack("<II", *row) for row in rows)
    if not FAULTS.get(f"no_{out.stem}"):
        out.write_bytes(data[: -FAULTS.get(f"cut_{out.stem}", 0) or None])


def filter_matches():
    """Keeps every third match and no pair with the view 2."""
    data, found, at = Path(OPTIONS["-m"]).read_bytes(), {}, 9
    for _ in range(struct.unpack_from("<Q", data, 1)[0]):
        i, j, count = struct.unpack_from("<IIQ", data, at)
        numbers = struct.unpack_from(f"<{2 * count}I", data, at + 16)
        at += 16 + 8 * count
        if j != 2:
            found[i, j] = list(zip(numbers[::2], numbers[1::2], strict=True))[::3]
            found[i, j] += [(1, 2)] if FAULTS.get("invents") else []
    write_matches(Path(OPTIONS["-o"]), found)


programs = {
    "SfMInit_ImageListing": list_images,
    "ComputeFeatures": compute_features,
    "PairGenerator": generate_pairs,
    "ComputeMatches": compute_matches,
    "GeometricFilter": filter_matches,
}
with open(HERE / "calls.txt", "a") as calls:
    calls.write(f"{os.environ.get('OMP_NUM_THREADS')} {NAME} {' '.join(sys.argv[1:])}\n")
print("INFO: this is", NAME, file=sys.stderr)
if FAULTS.get("killed") == NAME:
    os.kill(os.getpid(), 9)
if FAULTS.get("fails") == NAME:
    print("ERROR: [main.cpp:42] something went wrong", file=sys.stderr)
    sys.exit(1)
programs[NAME]()
