"""Small foreign files of every kind that ask for more than to be read: programs, addresses, files elsewhere."""

import io
import json
import struct
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, network_from
from liftnet.models.liftnet import save_model as save_depth_model
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
