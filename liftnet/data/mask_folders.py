"""Folders of masks beside folders of photographs, as people lay them out, and which mask in them is whose."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from liftnet.data.mask_names import (
    MaskIndex,
    image_stems,
    is_image_folder,
    is_mask_folder,
    may_hold_images,
    may_hold_masks,
    stem_of,
)


def mask_folders(pictures: Iterable[Path]) -> set[Path]:
    """The folders of masks among the folders above pictures.

    They are called `masks` and lie beside photographs or folders of such, be these mirrored in them or not. Of other
    telling names (`segmentation`, `hand_masks`) only folders of PNG files count of which half or more have the name of
    a photograph of another ending beside: a sculpture may be called "Silhouette", or "Mask of Warka".
    """
    inside: dict[Path, list[Path]] = defaultdict(list)
    for path in pictures:
        inside[path.parent].append(path)
    below: dict[Path, list[Path]] = defaultdict(
        list
    )  # folders with pictures by the folders above them, and themselves
    for folder in inside:
        for above in (folder, *folder.parents):
            below[above].append(folder)
    named = {folder for folder in below if is_mask_folder(folder.name)}
    in_named = {folder for mask in named for folder in below[mask]}
    beside = Counter(above for folder in inside.keys() - in_named for above in (folder, *folder.parents))
    found = {folder for folder in named if beside[folder.parent]}
    for folder in below:
        if may_hold_masks(folder.name) and not any(above in found for above in folder.parents):
            members = [path for one in below[folder] for path in inside[one]]
            others = [path for one in below[folder.parent] if one not in below[folder] for path in inside[one]]
            if _look_like_masks(members, [path for path in others if path.parent not in in_named]):
                found.add(folder)
    return found


def _look_like_masks(pictures: list[Path], photographs: list[Path]) -> bool:
    """Whether pictures are PNG files of which half or more have the name of a photograph of another ending."""
    if any(path.suffix.lower() != ".png" for path in pictures):
        return False
    stems = {stem_of(path.name) for path in photographs if path.suffix.lower() != ".png"}
    return 2 * sum(any(stem in stems for stem in image_stems(path.name)) for path in pictures) >= len(pictures)


def image_folders(photographs: Iterable[Path], masks: Iterable[Path]) -> set[Path]:
    """The folders that only hold the photographs of the folder above: `images`, and `photos` beside a folder of masks.

    Args:
        photographs: Pictures that are no masks.
        masks: The folders of masks.
    """
    beside = {folder.parent for folder in masks}
    above = {folder for path in {photograph.parent for photograph in photographs} for folder in (path, *path.parents)}
    return {
        folder
        for folder in above
        if is_image_folder(folder.name) or (may_hold_images(folder.name) and folder.parent in beside)
    }


class MaskFinder:
    """The masks of photographs, by where both lie.

    Args:
        masks: The masks.
        folders: The folders of masks.
    """

    def __init__(self, masks: Iterable[Path], folders: Iterable[Path]) -> None:
        inside: dict[Path, list[Path]] = defaultdict(list)
        for path in masks:
            inside[path.parent].append(path)
        self._indices = {folder: MaskIndex(members) for folder, members in inside.items()}
        self._folders: dict[Path, list[Path]] = defaultdict(list)
        for folder in sorted(folders):
            self._folders[folder.parent].append(folder)

    def masks_of(self, photographs: Iterable[Path]) -> dict[Path, Path]:
        """The mask of each photograph that has one; none of a mask that photographs of several folders might have."""
        found = {path: match for path in photographs if (match := self._find(path)) is not None}
        sure = {mask for mask, is_sure in found.values() if is_sure}
        claims: dict[Path, set[Path]] = defaultdict(set)
        for path, (mask, is_sure) in found.items():
            if is_sure or mask not in sure:
                claims[mask].add(path.parent)
        return {
            path: mask
            for path, (mask, is_sure) in found.items()
            if is_sure or (mask not in sure and len(claims[mask]) == 1)
        }

    def _find(self, photograph: Path) -> tuple[Path, bool] | None:
        """The mask of a photograph, and whether the folders of both say so, or their names alone."""
        beside = self._indices.get(photograph.parent)
        found = beside.find(photograph.name) if beside is not None else None
        if found is not None and found != photograph:
            return Path(found), True
        for above in photograph.parents:
            for folder in self._folders.get(above, ()):
                for way, is_sure in _ways(photograph.parent.relative_to(above)):
                    index = self._indices.get(folder / way)
                    if index is not None and (match := index.find(photograph.name)) is not None:
                        return Path(match), is_sure
        return None


def _ways(way: PurePath) -> Iterator[tuple[PurePath, bool]]:
    """Where in a folder of masks that of a photograph may lie, by the way to its folder; and whether that is sure."""
    yield way, True
    yield PurePath(*(part for part in way.parts if not is_image_folder(part))), True
    likely = not way.parts or may_hold_images(way.parts[0])
    yield PurePath(*way.parts[1:]), likely
    yield PurePath(), likely and len(way.parts) <= 1
