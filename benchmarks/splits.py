"""Do copies drop and views stay? Are works that leak into another split found, and how many links are false?

    python benchmarks/splits.py --museum RESULTS --photographs RESULTS

Each RESULTS is a folder of a run with manifest.parquet, images/, masks/ and the cache features/ of `match`; nothing in
it is changed. Writes benchmarks/splits.md.

Copies are made of photographs drawn at random. Leaks are planted in the manifest alone: views of each work of the
train split are given to another artist in the test split. False links are counted over several random divisions of
the artists, where nothing leaks. CPU seconds are of one thread.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from measuring import machine, measured, one_thread, shown, spent, write_report
from PIL import Image, ImageEnhance, ImageOps

from liftnet.collect.duplicates import detail, same_detail
from liftnet.collect.settings import DuplicateSettings
from liftnet.data.perceptual_hashes import NearPairs, as_bits, near_pairs, perceptual_hashes
from liftnet.data.schemas import MANIFEST, PAIRS, read_table, write_table
from liftnet.match.match import match_across_splits
from liftnet.match.settings import MatchSettings
from liftnet.shard.leakage import LINKING, links_between
from liftnet.verify.settings import VerifySettings
from liftnet.verify.verify import verify_matches

COPIES, DIVISIONS, SEARCHED = 100, 5, 20_000
SETTINGS = DuplicateSettings()


def recompressed(quality: int) -> Callable[[Image.Image], Image.Image]:
    """The change that a JPEG of this quality makes."""

    def change(picture: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return change


def cropped(share: float) -> Callable[[Image.Image], Image.Image]:
    """The change of cutting a share of the width and height off on each side."""
    return lambda picture: ImageOps.crop(picture, int(share * min(picture.size)))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 30": recompressed(30),
    "JPEG, quality 10": recompressed(10),
    "half the size": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "200 px wide": lambda picture: picture.resize((200, 200 * picture.height // picture.width)),
    "brighter by 30 %": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "more contrast, 40 %": lambda picture: ImageEnhance.Contrast(picture).enhance(1.4),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "turned by 90 degrees": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "cropped by 1 % a side": cropped(0.01),
    "cropped by 5 % a side": cropped(0.05),
}


def stored(root: Path) -> list[dict[str, object]]:
    """The rows of the stored images."""
    return [row for row in read_table(root / "manifest.parquet", MANIFEST).to_pylist() if row["status"] == "ok"]


def correlation(paths: list[Path], near: NearPairs) -> np.ndarray:
    """(P,) correlation of the fine detail of each pair."""
    pairs = zip(near.pairs.tolist(), near.variants.tolist(), strict=True)
    return np.array([np.mean(detail(paths[a], variant) * detail(paths[b])) for (a, b), variant in pairs])


def views(name: str, root: Path) -> dict[str, object]:
    """How alike different images of a set are."""
    rows = stored(root)
    paths = [root / "images" / str(row["file"]) for row in rows]
    bits = as_bits([perceptual_hashes(Image.open(path).convert("RGB")) for path in paths])
    near = near_pairs(bits, SETTINGS.near_image_max_bits)
    close = near.within(SETTINGS.near_duplicate_max_bits)
    works = np.array([str(row["work_id"]) for row in rows])
    agreement = correlation(paths, close)
    return {
        "set": name,
        "images": len(rows),
        "pairs within 6 bits": len(close),
        "of two works": int((works[close.pairs[:, 0]] != works[close.pairs[:, 1]]).sum()),
        "within 12 bits": len(near),
        "of two works ": int((works[near.pairs[:, 0]] != works[near.pairs[:, 1]]).sum()),
        "highest agreement": agreement.max() if len(agreement) else np.nan,
        "dropped": int(same_detail(paths, close, SETTINGS.near_duplicate_min_correlation).sum()),
    }


def copies(root: Path, folder: Path) -> pd.DataFrame:
    """What becomes of altered copies of photographs."""
    rows = stored(root)
    drawn = np.random.default_rng(0).choice(len(rows), min(COPIES, len(rows)), replace=False)
    table = []
    for name, change in CHANGES.items():
        found, agreement = 0, []
        for index in drawn.tolist():
            path, altered = root / "images" / str(rows[index]["file"]), folder / "altered.png"
            change(Image.open(path).convert("RGB")).save(altered)
            hashes = [perceptual_hashes(Image.open(file).convert("RGB")) for file in (path, altered)]
            near = near_pairs(as_bits(hashes), SETTINGS.near_duplicate_max_bits)
            found += len(near)
            agreement += correlation([path, altered], near).tolist()
        dropped = sum(value >= SETTINGS.near_duplicate_min_correlation for value in agreement)
        lowest = min(agreement) if agreement else np.nan
        row = {"change": name, "within 6 bits": found / len(drawn), "lowest agreement": lowest}
        table.append(row | {"dropped": dropped / len(drawn)})
    return pd.DataFrame(table)


def divided(root: Path, folder: Path, change: Callable[[list[dict[str, object]]], None]) -> Path:
    """A run like `root` with another manifest."""
    folder.mkdir()
    for name in ("images", "masks", "features"):
        (folder / name).symlink_to((root / name).resolve())
    rows = stored(root)
    change(rows)
    write_table(folder / "manifest.parquet", rows, MANIFEST)
    return folder


def at_random(seed: int) -> Callable[[list[dict[str, object]]], None]:
    """Divide the artists anew: about a third each."""

    def change(rows: list[dict[str, object]]) -> None:
        artists = sorted({str(row["artist_id"]) for row in rows})
        order = np.random.default_rng(seed).permutation(len(artists))
        split = {artists[index]: ("train", "val", "test")[place % 3] for place, index in enumerate(order)}
        for row in rows:
            row["split"] = split[str(row["artist_id"])]

    return change


def planted(one_view: bool) -> Callable[[list[dict[str, object]]], None]:
    """Give half of the views of each train work, or one of them, to somebody in the test split."""

    def change(rows: list[dict[str, object]]) -> None:
        works: dict[str, list[dict[str, object]]] = {}
        for row in sorted(rows, key=lambda row: str(row["image_url"])):
            if row["split"] == "train":
                works.setdefault(str(row["work_id"]), []).append(row)
        for work, own in works.items():
            middle = len(own) // 2
            for row in own[middle : middle + 1] if one_view else own[middle:]:
                row |= {"split": "test", "artist_id": "somebody", "work_id": f"{work}-copy"}

    return change


def across(root: Path) -> dict[str, object]:
    """Match and verify across the splits of a run, and count the links."""
    start = spent()
    match_across_splits(root, root / "across/matches.parquet", MatchSettings(), threads=1)
    matched = spent()
    verify_matches(root, root / "across/matches.parquet", root / "across/pairs.parquet", VerifySettings(), threads=1)
    verified = spent()
    work = {str(row["image_id"]): str(row["work_id"]).removesuffix("-copy") for row in stored(root)}
    copied = {str(row["work_id"]) for row in stored(root) if str(row["work_id"]).endswith("-copy")}
    links = links_between(root / "across/pairs.parquet")
    right = [work[a] for a, b in links if work[a] == work[b]]
    tried = read_table(root / "across/pairs.parquet", PAIRS).to_pandas()
    wrong = tried[[work[a] != work[b] for a, b in zip(tried["image_a"], tried["image_b"], strict=True)]]
    seeming = wrong[~wrong["reason"].isin(LINKING)] if len(wrong) else wrong
    return {
        "pairs matched": len(tried),
        "works found": f"{len(set(right))} of {len(copied)}" if copied else "",
        "links": len(right),
        "false links": len(links) - len(right),
        "most inliers of a wrong pair": seeming["n_inliers"].max() if len(seeming) else 0,
        "match, CPU s": matched - start,
        "verify, CPU s": verified - matched,
    }


def links(sets: dict[str, Path], folder: Path) -> pd.DataFrame:
    """Links of each set, with and without planted leaks."""
    table = []
    for name, root in sets.items():
        cases: dict[str, Callable[[list[dict[str, object]]], None]] = {"as it is": lambda rows: None}
        cases |= {f"random division {seed}": at_random(seed) for seed in range(DIVISIONS)}
        cases |= {"half of the views leak": planted(False), "one view of each work leaks": planted(True)}
        for case, change in cases.items():
            run = divided(root, folder / f"{name} {case}", change)
            table.append({"set": name, "splits": case} | across(run))
            print(table[-1], flush=True)
    return pd.DataFrame(table)


def search_seconds() -> float:
    """CPU seconds to find all near pairs among SEARCHED hashes of eight variants."""
    bits = np.random.default_rng(0).integers(0, 2**64, (SEARCHED, 8), dtype=np.uint64)
    return measured(lambda: near_pairs(bits, SETTINGS.near_image_max_bits), 3)[1]


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--museum", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    sets = {"museum": arguments.museum, "photographs": arguments.photographs}
    with one_thread(), TemporaryDirectory() as scratch:
        seen = pd.DataFrame([views(name, root) for name, root in sets.items()])
        altered = copies(arguments.photographs, Path(scratch))
        seconds = search_seconds()
        found = links(sets, Path(scratch))
    write_report(
        arguments.out,
        [
            "# Copies, and leaks across splits",
            "`python benchmarks/splits.py --museum RESULTS --photographs RESULTS`; "
            f"{machine('numpy', 'pillow', 'imagehash', 'faiss-cpu')}. CPU seconds of one thread.",
            "## Different images that look alike\n\nHashes of 64 bits over the eight turns and mirror images. "
            "Agreement: correlation of the fine detail at 128 px; from .9 on a pair counts as copies.",
            shown(seen, {"highest agreement": ".2f"}),
            f"## Altered copies\n\nOf {COPIES} photographs.",
            shown(altered, {"within 6 bits": ".0%", "lowest agreement": ".2f", "dropped": ".0%"}),
            f"## Time of the search\n\nAll near pairs among {SEARCHED:,} random hashes: {seconds:.1f} CPU s. It "
            "grows with the square of their number and runs on all threads.",
            "## Links between splits\n\n`match --cross-split` and `verify run` with their defaults, features from the "
            "cache. A pair is wrong if its images are of two works.",
            shown(found, {"match, CPU s": ".1f", "verify, CPU s": ".1f"}),
        ],
    )


if __name__ == "__main__":
    main()
