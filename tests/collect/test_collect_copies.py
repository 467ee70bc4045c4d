"""Copies are dropped, whatever was done to them; other views are not; placeholders tie nothing."""

import csv
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from liftnet.collect.collect import collect
from liftnet.collect.duplicates import choose_kept, detail, same_detail
from liftnet.collect.sources.lists import read_csv
from liftnet.core.ids import Components
from liftnet.data.perceptual_hashes import SYMMETRIES, as_bits, near_pairs, perceptual_hashes

PHOTOS = Path(__file__).resolve().parents[2] / "../shared/data/photos"

hashes = st.lists(st.lists(st.integers(0, 2**64 - 1), min_size=3, max_size=3), max_size=12)


@given(hashes, st.integers(0, 32), st.integers(1, 3))
@settings(deadline=None, max_examples=50)
def test_near_pairs_are_all_there_are(images, most, threads):
    found = near_pairs(np.array(images, np.uint64).reshape(-1, 3), most, threads)
    expected = {}
    for a in range(len(images)):
        for b in range(a + 1, len(images)):
            distance = min((variant ^ images[b][0]).bit_count() for variant in images[a])
            if distance <= most:
                expected[a, b] = distance
    assert {tuple(pair): d for pair, d in zip(found.pairs.tolist(), found.distances.tolist(), strict=True)} == expected
    for (a, b), distance, variant in zip(found.pairs, found.distances, found.variants, strict=True):
        assert (images[a][variant] ^ images[b][0]).bit_count() == distance


def test_of_many_that_are_near_the_nearest_stay_and_all_stay_tied():
    """A thousand variants of one picture: some thousand pairs instead of half a million."""
    generator = np.random.default_rng(0)
    bits = np.full((1000, 2), 2**40 + 1, np.uint64)
    bits[:, 0] ^= np.uint64(1) << generator.integers(0, 60, 1000).astype(np.uint64)
    few, all_of_them = near_pairs(bits, 6, kept=8), near_pairs(bits[:200], 6)
    assert len(all_of_them) == 200 * 199 // 2
    assert 7900 < len(few) <= 8000
    tied = Components()
    for a, b in few.pairs.tolist():
        tied.tie(str(a), str(b))
    assert [len(members) for members in tied.members().values()] == [1000]
    assert few.distances[:8].tolist() == sorted(few.distances[:8])


def test_variants_of_one_motif_under_very_many_artists_are_placeholders(tmp_path, write_csv, quick, photo):
    """They are not compared one by one, tie no artists into one group, and a few of them are what they were."""
    motif = np.asarray(photo(3, (160, 120))).astype(int)
    generator = np.random.default_rng(0)
    pictures, rows = {}, []
    for number in range(40):
        noise = generator.normal(0, 6, motif.shape)
        pictures[f"{number}.jpg"] = (Image.fromarray(np.clip(motif + noise, 0, 255).astype(np.uint8)), {})
        rows.append({"artist": f"Artist {number}", "work": f"Work {number}", "image": f"{number}.jpg"})
    for number in range(6):
        pictures[f"own{number}.jpg"] = (photo(50 + number, (160, 120)), {})
        rows.append({"artist": f"Artist {number}", "work": "Own", "image": f"own{number}.jpg"})
    found = collected(tmp_path, write_csv, quick, pictures, rows)
    statuses = [row["status"] for row in found]
    assert statuses[:40] == ["placeholder"] * 40
    assert "looks like it under more than 16" in found[0]["reason"]
    assert statuses[40:] == ["ok"] * 6
    assert len({row["group_id"] for row in found[40:]}) == 6


def test_tiles_do_not_matter(monkeypatch):
    bits = np.random.default_rng(0).integers(0, 2**64, (300, 8), dtype=np.uint64)
    whole = near_pairs(bits, 22)
    assert len(whole) > 100
    monkeypatch.setattr("liftnet.data.perceptual_hashes.COLUMNS", 7)
    monkeypatch.setattr("liftnet.data.perceptual_hashes.ROWS", 11)
    cut = near_pairs(bits, 22, threads=2)
    for name in ("pairs", "distances", "variants"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name))


def test_the_hashes_are_those_of_imagehash_of_the_turned_pictures(photo):
    picture = photo(5, (300, 200))
    for text, turn in zip(perceptual_hashes(picture), SYMMETRIES, strict=True):
        turned = picture if turn is None else picture.transpose(turn)
        assert imagehash.hex_to_hash(text) - imagehash.phash(turned) <= 4


@given(st.permutations(range(7)), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
@settings(max_examples=100)
def test_every_dropped_image_has_a_kept_copy_that_was_preferred(preference, pairs):
    copies = np.array([sorted(pair) for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)
    dropped = choose_kept(preference, copies)
    tied = {frozenset(pair) for pair in copies.tolist()}
    for index, kept in dropped.items():
        assert kept not in dropped
        assert frozenset((index, kept)) in tied
        assert preference.index(kept) < preference.index(index)
    left = set(range(7)) - dropped.keys()
    assert not any(pair <= left for pair in tied)


def shrunk(picture):
    return picture.resize((picture.width // 2, picture.height // 2))


CHANGES = {
    "compressed": (lambda picture: picture, {"quality": 30}),
    "shrunk": (shrunk, {}),
    "brighter": (lambda picture: ImageEnhance.Brightness(picture).enhance(1.15), {}),
    "grey": (lambda picture: picture.convert("L"), {}),
    "mirrored": (ImageOps.mirror, {}),
    "turned": (lambda picture: picture.transpose(Image.Transpose.ROTATE_90), {}),
    "upside down": (ImageOps.flip, {"quality": 40}),
}


def collected(tmp_path, write_csv, quick, pictures, rows, **changes):
    """Save pictures, collect rows, and give the rows of the manifest."""
    (tmp_path / "in").mkdir(exist_ok=True)
    for name, (picture, options) in pictures.items():
        picture.save(tmp_path / "in" / name, **({"quality": 92} | options))
    source = write_csv([{**row, "image": f"in/{row['image']}"} for row in rows])
    return collect(read_csv(source), tmp_path / "out", quick(**changes)).manifest().to_pylist()


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_dropped_and_names_the_one_that_stays(tmp_path, write_csv, quick, photo, change):
    alter, options = CHANGES[change]
    picture = photo(1, (400, 300))
    pictures = {"a.jpg": (alter(picture), options), "b.jpg": (picture, {}), "c.jpg": (photo(2, (400, 300)), {})}
    rows = [{"image": "b.jpg"}, {"image": "a.jpg"}, {"image": "c.jpg"}]
    first, copy, other = collected(tmp_path, write_csv, quick, pictures, rows)
    assert [first["status"], copy["status"], other["status"]] == ["ok", "dup_near", "ok"]
    assert first["image_id"] in copy["reason"]
    assert f"differ in {copy['near_distance']} bit" in copy["reason"]
    assert copy["near_image"] == first["image_id"]
    assert copy["image_id"] is None
    assert copy["file"] is None


def test_the_larger_stays_and_one_with_a_mask_before_it(tmp_path, write_csv, quick, photo):
    picture = photo(1, (400, 300))
    pictures = {"small.jpg": (shrunk(picture), {}), "large.jpg": (picture, {})}
    rows = [{"image": "small.jpg"}, {"image": "large.jpg"}]
    small, large = collected(tmp_path, write_csv, quick, pictures, rows)
    assert (small["status"], large["status"]) == ("dup_near", "ok")
    mask = Image.new("L", (200, 150), 0)
    mask.paste(255, (50, 50, 150, 100))
    mask.save(tmp_path / "in" / "mask.png")
    rows[0]["mask"] = "in/mask.png"
    small, large = collected(tmp_path, write_csv, quick, pictures, rows)
    assert (small["status"], large["status"]) == ("ok", "dup_near")


def test_a_second_run_fetches_nothing_again(tmp_path, write_csv, quick, photo):
    picture = photo(1, (400, 300))
    pictures = {"small.jpg": (shrunk(picture), {}), "large.jpg": (picture, {})}
    rows = [{"image": "small.jpg"}, {"image": "large.jpg"}]
    before = collected(tmp_path, write_csv, quick, pictures, rows)
    files = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "images").iterdir()}
    assert len(files) == 2
    source = tmp_path / "sources.csv"
    after = collect(read_csv(source), tmp_path / "out", quick()).manifest().to_pylist()
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "images").iterdir()} == files
    assert [row["status"] for row in after] == [row["status"] for row in before]


def test_copies_tie_their_artists_into_one_group(tmp_path, write_csv, quick, photo):
    pictures = {f"{n}.jpg": (photo(n, (200, 150)), {}) for n in range(4)}
    pictures["copy.jpg"] = (ImageOps.mirror(photo(0, (200, 150))), {})
    rows = [{"artist": name, "image": f"{n}.jpg"} for n, name in enumerate("ABCD")]
    rows.append({"artist": "E", "work": "Other", "image": "copy.jpg"})
    rows.append({"artist": "E", "work": "Own", "image": "3.jpg"})  # the same file as D's
    found = collected(tmp_path, write_csv, quick, pictures, rows, val_fraction=0.4, test_fraction=0.4)
    groups = {row["artist"]: row["group_id"] for row in found}
    assert groups["A"] == groups["E"] == groups["D"]
    assert len({groups[name] for name in "ABC"}) == 3


def test_a_placeholder_of_many_artists_is_no_image_of_theirs(tmp_path, write_csv, quick, photo):
    pictures = {f"{n}.jpg": (photo(n, (200, 150)), {}) for n in range(6)}
    rows = [{"artist": name, "image": f"{n}.jpg"} for n, name in enumerate("ABCDE")]
    rows += [{"artist": name, "work": "unseen", "image": "5.jpg"} for name in "ABCDE"]
    found = collected(tmp_path, write_csv, quick, pictures, rows)
    assert [row["status"] for row in found] == ["ok"] * 5 + ["placeholder"] * 5
    assert len({row["group_id"] for row in found[:5]}) == 5
    assert all("more than 3 artists" in row["reason"] for row in found[5:])


def test_flat_pictures_have_no_detail_to_agree_in(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (200, 100), "grey").save(tmp_path / name)
    assert abs(detail(tmp_path / "a.png")).max() < 1e-3
    near = near_pairs(as_bits([["0" * 16] * 8] * 2), 6)
    assert not same_detail([tmp_path / "a.png", tmp_path / "b.png"], near, 0.5).any()


@pytest.mark.real
@pytest.mark.skipif(not PHOTOS.exists(), reason="the real photographs are not beside the project")
def test_no_view_of_a_turned_sculpture_is_dropped_and_every_recompressed_one_is(tmp_path):
    """The head that turns on a table has neighbouring views at a distance of 0 to 6 bits."""
    with open(PHOTOS / "sources.csv", newline="", encoding="utf-8") as file:
        files = [PHOTOS / row["image"] for row in csv.DictReader(file) if "ethiopian" in row["image"]][:30]
    bits = as_bits([perceptual_hashes(Image.open(path).convert("RGB")) for path in files])
    near = near_pairs(bits, 6)
    assert len(near) > 20
    assert not same_detail(files, near, 0.9).any()
    copies = []
    for path in files[:8]:
        copies.append(tmp_path / path.name)
        Image.open(path).convert("RGB").save(copies[-1], quality=20)
    bits = as_bits([perceptual_hashes(Image.open(path).convert("RGB")) for path in (*files[:8], *copies)])
    near = near_pairs(bits, 6)
    agree = same_detail([*files[:8], *copies], near, 0.9)
    assert {tuple(pair) for pair in near.pairs[agree].tolist()} == {(n, n + 8) for n in range(8)}
