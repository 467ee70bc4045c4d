"""Small foreign files of every kind that ask for more than to be read: programs, addresses, files elsewhere."""

import hashlib
import io
import json
import shutil
import struct
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from liftnet.data import schemas
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, network_from
from liftnet.models.liftnet import save_model as save_depth_model
from liftnet.models.reconstruction import Camera, ReconstructionModel, initial_network
from liftnet.models.reconstruction import save_model as save_shape_model
from liftnet.models.reconstruction_networks import NetworkSettings as ShapeSettings
from liftnet.models.segmentation_networks import NetworkSettings as SegmenterSettings
from liftnet.models.segmenter import SEGMENTER, Segmenter

ELSEWHERE = "http://127.0.0.1:9/x"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch ran) (w) file closefile\nshowpage\n%%EOF\n"
SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{ELSEWHERE}"/></svg>'.encode()
CUBE = "".join(f"v {n & 1} {n >> 1 & 1} {n >> 2 & 1}\n" for n in range(8))
FACES = "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"


def photograph(seed=0, kind="JPEG", **options):
    noise = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
    written = io.BytesIO()
    Image.fromarray(noise).resize((160, 120)).save(written, kind, **options)
    return written.getvalue()


def progressive(scans):
    data = photograph(progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * scans + b"\xff\xd9"


def png_with(name, body):
    data = photograph(1, "PNG")
    return (
        data[:33] + struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) + data[33:]
    )


def pictures(folder):
    folder.mkdir(parents=True)
    files = {
        "fine.jpg": photograph(),
        "drawing.jpg": EPS,
        "drawing.png": SVG,
        "document.jpg": b"%PDF-1.7\n" + EPS,
        "scans.jpg": progressive(900),
        "texts.png": png_with(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))),
        "profile.png": png_with(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8))),
        "huge.png": photograph(1, "PNG")[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + photograph(1, "PNG")[24:],
        "cut.webp": photograph(2, "WEBP")[:200],
        "cut.tif": photograph(2, "TIFF")[:300],
        "-o $(touch ran) `touch ran`.jpg": photograph(3),
        "raw.jpg": b"II*\0" + bytes(400),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "linked.jpg").symlink_to("/etc/passwd")


def meshes(folder):
    (folder / "chair").mkdir(parents=True)
    (folder / "chair" / "a.mtl").write_text(f"newmtl m\nmap_Kd texture.jpg\nmap_Bump {ELSEWHERE}\nmap_Ks |touch ran\n")
    (folder / "chair" / "texture.jpg").write_bytes(EPS)
    (folder / "chair" / "a.obj").write_text(
        f"mtllib a.mtl\nmtllib {ELSEWHERE}\nusemtl m\ncall |touch ran\n{CUBE}{FACES}"
    )
    for number, uri in enumerate((ELSEWHERE, "../../../../etc/passwd", "file:///etc/passwd", "/dev/zero")):
        tree = {
            "asset": {"version": "2.0"},
            "buffers": [{"uri": uri, "byteLength": 72}],
            "images": [{"uri": ELSEWHERE}],
        }
        tree |= {"bufferViews": [{"buffer": 0, "byteLength": 72}], "scene": 0, "scenes": [{"nodes": [0]}]}
        tree |= {"accessors": [{"bufferView": 0, "componentType": 5126, "count": 6, "type": "VEC3"}]}
        tree |= {"meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}], "nodes": [{"mesh": 0}]}
        (folder / "chair" / f"b{number}.gltf").write_text(json.dumps(tree))


def lists(folder, private):
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(photograph(5))
    (folder / "b.jpg").write_bytes(photograph(6))
    (folder / "eps.jpg").write_bytes(EPS)
    rows = [
        ("Rodin", "Kiss", "a.jpg", "b.jpg"),
        ("=cmd|'/c calc'!A1", "<script>alert(1)</script>", "b.jpg", "../private/secret.png"),
        ("\x1b]0;x\x07", "../../../tmp/x", str(private), str(private)),
        ("A", "B", "../private/secret.png", ""),
        ("A", "C", "file:///etc/passwd", ""),
        ("A", "D", "eps.jpg", "eps.jpg"),
        ("A", "E", "/dev/zero", "/dev/zero"),
    ]
    text = "artist,work,image,mask,problem\n" + "".join(
        ",".join(f'"{cell}"' for cell in (*row, "")) + "\n" for row in rows
    )
    (folder / "list.csv").write_text(text)
    table = pa.table(dict(zip(("artist", "work", "image", "mask"), map(list, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table.replace_schema_metadata({"liftnet.folder": b'"/etc"'}), folder / "list.parquet")


def models(folder):
    torch.manual_seed(0)
    depth = network_from(NetworkSettings(levels=2, width=4))
    save_depth_model(folder / "depth", DepthModel(depth, InputSettings(image_size=32)))
    settings = SegmenterSettings(channels=8, image_size=64)
    Segmenter(SEGMENTER.build(settings), settings).save(folder / "segmenter")
    shape = initial_network(ShapeSettings(), 0).eval()
    save_shape_model(folder / "reconstruction", ReconstructionModel(shape, Camera(2.1, 0.27, 0.8), {"seed": 0}))
    for name, kind, change in (
        ("hub", "depth", {"architecture": "encoder_unet", "encoder": "tu-hf-hub:someone/something"}),
        ("module", "depth", {"architecture": "../../os"}),
        ("absurd", "depth", {"levels": 10, "width": 256}),
        ("hub_segmenter", "segmenter", {"encoder": "tu-hf-hub:someone/something"}),
    ):
        (folder / name).mkdir()
        config = json.loads((folder / kind / "config.json").read_text())
        config["network"] |= change
        (folder / name / "config.json").write_text(json.dumps(config))
        (folder / name / "model.safetensors").write_bytes((folder / kind / "model.safetensors").read_bytes())


def dataset(folder):
    folder.mkdir()
    (folder / "README.md").write_text("---\na: !!python/object/apply:os.system [touch ran]\n---\n")
    (folder / "croissant.json").write_text(json.dumps({"@context": ELSEWHERE, "url": ELSEWHERE, "distribution": []}))
    (folder / "checksums.sha256").write_text(f"{'0' * 64}  ../private/secret.png\n")
    row = {"image_id": ["0" * 16], "image": [{"bytes": EPS, "path": "/etc/passwd"}], "image_url": [ELSEWHERE]}
    for name in ("train-00000-of-00001", "images-train-00000-of-00001", "collected", "tried"):
        pq.write_table(pa.table(row), folder / f"{name}.parquet")


def annotations(folder):
    image = {"id": 1, "width": 160, "height": 120, "file_name": "../../private/secret.png", "coco_url": ELSEWHERE}
    one = {"image_id": 1, "segmentation": [[1, 1, 50, 1, 50, 50]]}
    (folder / "coco.json").write_text(json.dumps({"images": [image], "annotations": [one]}))
    entity = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd"><!ENTITY f SYSTEM "http://127.0.0.1:9/x">]>'
    (folder / "cvat.xml").write_text(f'{entity}<annotations><image name="&e;&f;" width="9" height="9"/></annotations>')


TRICKS = ("../../private/secret", "<script>alert(1)</script>", "=cmd|'/c calc'!A1", "\x1b]0;x\x07", "$(touch ran)")


def value(kind, name, number, known):
    """Of a column of a table in its type: what is known of it, by its row, else something that leads elsewhere."""
    if name in known:
        given = known[name]
        return given[number % len(given)] if isinstance(given, tuple) else given
    if pa.types.is_string(kind):
        return TRICKS[number % len(TRICKS)]
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return [value(kind.value_type, "", number, {})] * (kind.list_size if pa.types.is_fixed_size_list(kind) else 12)
    if pa.types.is_struct(kind):
        return {"bytes": EPS, "path": "/etc/passwd"}
    if pa.types.is_binary(kind):
        return b"/etc/passwd"
    return None if pa.types.is_timestamp(kind) else True if pa.types.is_boolean(kind) else 48


def table(path, schema, rows=5, **known):
    """A table of a run whose texts lead elsewhere, but for what is known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [{f.name: value(f.type, f.name, n, known) for f in schema} for n in range(rows)]
    pq.write_table(pa.Table.from_pylist(made, schema=schema), path)


def run(folder):
    """A folder of results whose tables name files elsewhere, with two photographs beside pictures that are none."""
    kinds = (
        photograph(),
        photograph(7),
        EPS,
        progressive(900),
        png_with(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))),
    )
    digests = tuple(hashlib.sha256(data).hexdigest() for data in kinds)
    ids = tuple(digest[:16] for digest in digests)
    left = np.zeros((120, 160), np.uint8)
    left[:, 40:100] = 255
    for name in ("images", "masks", "hand_masks"):
        (folder / name).mkdir(parents=True)
    for image, data in zip(ids, kinds, strict=True):
        (folder / "images" / f"{image}.jpg").write_bytes(data)
        for name in ("masks", "hand_masks"):
            if data[:2] == b"\xff\xd8":
                Image.fromarray(left).save(folder / name / f"{image}.png")
            else:
                (folder / name / f"{image}.png").write_bytes(SVG)
    stored = {"image_id": ids, "sha256": digests, "file": tuple(f"{image}.jpg" for image in ids), "status": "ok"}
    stored |= {"artist_id": ("a", "b", "a", "b", "a"), "work_id": ("v", "w", "v", "w", "v"), "mask_status": "ok"}
    stored |= {"split": ("train", "val", "train", "val", "train"), "width": 160, "height": 120, "exif_orientation": 1}
    pair = {"image_a": min(ids), "image_b": max(ids), "split": "train", "work_id": "v", "artist_id": "a"}
    table(folder / "manifest.parquet", schemas.MANIFEST, **stored)
    table(folder / "masks" / "a.parquet", schemas.MASKS, image_id=ids, status="ok")
    table(folder / "matches" / "v.parquet", schemas.MATCHES, 1, **pair, status="ok", settings="{")
    pair |= {"pair_id": f"{min(ids)}-{max(ids)}", "kept": True, "width_a": 160, "width_b": 160, "n": 12}
    pair |= {"height_a": 120, "height_b": 120, "model": "affine"}
    table(folder / "pairs" / "v.parquet", schemas.PAIRS, 1, **pair)
    table(folder / "across" / "pairs.parquet", schemas.PAIRS, 1, **pair)
    table(folder / "truth.parquet", schemas.TRUTH, truth="../../private/secret.png")
    table(folder / "fetched" / "local.parquet", schemas.FETCHED, status="ok", file="../../private/secret.png")
    table(folder / "downloads" / "wanted.parquet", schemas.WANTED)
    table(folder / "downloads" / "local.parquet", schemas.REQUESTS, what="image", kind="local")
    (folder / "downloads" / "jobs.tsv").write_text("job\tkind\torigin\tn_requests\nlocal\tlocal\t\t5\n")
    (folder / "downloads" / "sources.json").write_text(json.dumps({"kind": "list", "origin": b"/etc".hex()}))
    table(folder / "scores" / "a.parquet", schemas.SCORES, status="ok", split="test")
    table(folder / "scores" / "r.parquet", schemas.RECONSTRUCTION_SCORES, status="ok", split="test")
    dataset(folder / "dataset")
    table(folder / "dataset" / "collected.parquet", schemas.MANIFEST, **stored)
    table(folder / "dataset" / "tried.parquet", schemas.TRIED, 1, **pair)
    shards = schemas.DATASET.with_metadata({**schemas.DATASET.metadata, b"liftnet.coordinate_scale": b"32"})
    for split, work in (("train", "v"), ("val", "w"), ("test", "u")):
        changed = pair | {"split": split, "work_id": work}
        table(folder / "dataset" / f"{split}-00000-of-00001.parquet", shards, 1, **changed)
    (folder / "tables" / "figures").mkdir(parents=True)
    (folder / "tables" / "pairs_by_reason.csv").write_text("a,b\n<script>alert(1)</script>,=1+1\n\x1b[2J,x\n")
    (folder / "tables" / "pairs_by_reason.md").write_text("[x](javascript:alert(1)) <img src=x onerror=alert(1)>\n")
    (folder / "tables" / "figures" / "pairs_by_reason.svg").write_bytes(SVG)
    (folder / "predictions").mkdir()
    prediction = {
        "image_id": ids[0],
        "npz": "../../private/secret.png",
        "work_id": "<b>",
        "split": "val",
        "truth": True,
    }
    (folder / "predictions" / "index.json").write_text(json.dumps([prediction]))
    shutil.copytree(folder.parent.parent / "models" / "absurd", folder / "absurd")


def shape_set(folder):
    """A set of shapes for reconstruction whose tables name folders elsewhere, and whose files are none."""
    shape = {
        "shape_id": ("../../private", "one", "two"),
        "split": ("test", "val", "train"),
        "status": "ok",
        "n_views": 1,
        "class": "chair",
    }
    table(folder / "shapes.parquet", schemas.RECONSTRUCTION_SHAPES, 3, **shape)
    table(folder / "views.parquet", schemas.VIEWS, 3, shape_id=shape["shape_id"], view=0)
    for name in ("one", "two"):
        (folder / "shapes" / name).mkdir(parents=True)
        (folder / "shapes" / name / "000.png").write_bytes(EPS)
        (folder / "shapes" / name / "mesh.ply").write_bytes(b"ply\nformat ascii 1.0\nelement face 99999999999\n")
        (folder / "shapes" / name / "target.safetensors").write_bytes(b"\xff" * 64)


def classes(folder):
    """Meshes in classes, as `render shapes` writes them, most of them damaged."""
    for name in ("chair", "lamp"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / name / f"train_{number}.ply").write_bytes(b"ply\nformat ascii 1.0\nelement face 99999999999\n")
        (folder / name / "test_0.obj").write_text(f"mtllib {ELSEWHERE}\n{CUBE}{FACES}")


def recordings(folder):
    """RGB-D recordings whose parts are other things."""
    pictures(folder / "one" / "rgb")
    pictures(folder / "one" / "depth")
    (folder / "one" / "intrinsics.json").symlink_to("/dev/zero")


def study(folder):
    """Items of a study, and answers to it that ask for more than to be read."""
    (folder / "answers").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(photograph())
    (folder / "mesh.obj").write_text(f"mtllib {ELSEWHERE}\n{CUBE}{FACES}")
    (folder / "answers" / "a.json").write_text(json.dumps({"study": "../../private/secret", "answers": [1e308] * 9}))
    (folder / "answers" / "b.json").symlink_to("/dev/zero")
    (folder / "answers" / "c.json").write_text("[" * 5000)
    head = "shape,class,network,picture,truth,original,drkfs,azimuth,elevation"
    rows = [f"s{n},{name},<b>n</b>,a.jpg,mesh.obj,mesh.obj,mesh.obj,0,0" for n, name in enumerate("ab" * 2)]
    (folder / "items.csv").write_text("\n".join([head, *rows]) + "\n")
    (folder / "plan.yaml").write_text("a: !!python/object/apply:os.system [touch ran]\n")


def dumps(folder):
    """Dumps of catalogues and folders of public sets, of every kind that `collect list` reads."""
    (folder / "folder").mkdir(parents=True)
    record = {"id": 1, "title": "<script>", "image_id": "../../x", "url": ELSEWHERE, "type": "Sculpture", "images": 5}
    for name in ("data.json", "MetObjects.csv", "one.txt", "folder/1.json"):
        (folder / name).write_text(json.dumps([record]))
    pictures(folder / "folder" / "Rodin" / "Kiss")
    (folder / "table.csv").write_text("artist,work,url\n=1+1,../../x,../private/secret.png\n")
