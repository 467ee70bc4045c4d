"""Words with a fixed meaning in tables: splits, and the outcomes of images and of pairs with their explanations.

A code is what stands on disk; `words` is what a page or a log shows instead. Codes that are not listed explain
themselves, such as `http_404`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal, cast, get_args

from liftnet.core.errors import LiftnetError, nearest

Split = Literal["train", "val", "test"]
SPLITS: tuple[str, ...] = get_args(Split)
"""From the lowest to the highest: what stands in two of them counts for the higher."""

SPLIT_CHOICES = f"{{{','.join(SPLITS)}}}"
_SPLIT_SYNONYMS = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}

NOT_STATED = "not stated"
"""In place of a text that a source does not give."""


def split_named(name: str) -> Split:
    """The split that a user's word names; `validation`, as dataset hubs call it, is `val`.

    >>> split_named("val"), split_named("validation")
    ('val', 'val')

    Raises:
        LiftnetError: It names none; says which one was likely meant.
    """
    split = split_or_itself(name)
    if split not in SPLITS:
        hint = nearest(name, (*SPLITS, *_SPLIT_SYNONYMS))
        raise LiftnetError(repr(name), f"is not a split{hint}", f"Use {', '.join(SPLITS[:-1])} or {SPLITS[-1]}")
    return cast(Split, split)


def split_or_itself(name: str) -> str:
    """`name`, or the split that it is another word for."""
    return _SPLIT_SYNONYMS.get(name, name)


def split_in(table: Path, name: str) -> Split:
    """The split that a cell of a user's table names.

    Raises:
        LiftnetError: It names none; names the table.
    """
    try:
        return split_named(name)
    except LiftnetError as error:
        raise LiftnetError(table, f"names the split {error.what}, which {error.reason}", error.remedy) from error


class Code(StrEnum):
    """A code of a column with the words that explain it.

    >>> PairReason("chance").words
    'no more matches agree with a fundamental matrix than by chance'
    """

    words: str

    def __new__(cls, code: str, words: str) -> Code:
        """Make the member of the code as it stands on disk and its words."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.words = words
        return member


class ImageStatus(Code):
    """The column `status` of FETCHED and MANIFEST; statuses of the web are `http_` and the server's number."""

    OK = "ok", "stored"
    DUP_EXACT = "dup_exact", "exact duplicate of another image"
    DUP_NEAR = "dup_near", "a copy of another image"
    PLACEHOLDER = "placeholder", "a picture that stands under many artists"
    NOT_IMAGE = "not_image", "not an image"
    TOO_LARGE = "too_large", "too large"
    TOO_SLOW = "too_slow", "too slow to decode"
    DECODE_ERROR = "decode_error", "cannot be decoded"
    ROBOTS_DISALLOWED = "robots_disallowed", "robots.txt forbids it"
    OPT_OUT_HEADER = "opt_out_header", "the server forbids use for training"
    TDM_RESERVED = "tdm_reserved", "the server reserves text and data mining"
    LICENCE_REJECTED = "licence_rejected", "the licence does not fit the profile"
    WITHHELD = "withheld", "it is tied to an image of another split"
    MISSING_FILE = "missing_file", "its file is gone"
    SET_ASIDE = "set_aside", "set aside by its list"
    BAD_ROW = "bad_row", "its row cannot be used"
    UNSUPPORTED_FORMAT = "unsupported_format", "of a format that is not read"
    UNREADABLE_FILE = "unreadable_file", "its file cannot be read"
    PATH_REFUSED = "path_refused", "its path leads out of the folder of its list"


OF_LISTS = frozenset(
    {
        ImageStatus.SET_ASIDE,
        ImageStatus.BAD_ROW,
        ImageStatus.UNSUPPORTED_FORMAT,
        ImageStatus.UNREADABLE_FILE,
        ImageStatus.PATH_REFUSED,
    }
)
"""What a list may say of a row that is not to be fetched, in its column `problem`."""

LEFT_OUT = (ImageStatus.LICENCE_REJECTED, ImageStatus.WITHHELD, ImageStatus.MISSING_FILE)
"""Why the dataset leaves out a stored image: its status in collected.parquet, and the reason of its pairs in TRIED."""


class PairReason(Code):
    """The column `reason` of PAIRS and TRIED, in the order in which the questions are asked.

    A pair that the matcher did not match carries the matcher's status instead, and a pair with an image that the
    dataset leaves out one of `LEFT_OUT`.
    """

    KEPT = "kept", "kept"
    NO_IMAGE = "no_image", "an image of the pair is not in the manifest"
    BAD_MATCHES = "bad_matches", "the coordinates of the matches are damaged"
    FEW_PUTATIVE = "few_putative", "too few putative matches"
    NO_MASK = "no_mask", "no usable foreground mask for an image of the pair"
    FEW_MASKED = "few_masked", "too few matches on the foreground of both images"
    FEW_INLIERS = "few_inliers", "too few matches agree with a fundamental matrix"
    CHANCE = "chance", "no more matches agree with a fundamental matrix than by chance"
    DUPLICATE = "duplicate", "one picture twice: a similarity explains the matches to a pixel"
    WATERMARK = "watermark", "the matches are of a watermark: moved alike in the border, or not at all"
    AFFINE_HOMOGRAPHY = (
        "affine_homography",
        "one affine homography explains the matches: a flat view, or almost no turn",
    )
    PROJECTIVE_HOMOGRAPHY = "projective_homography", "one projective homography explains the matches: a plane"
    NOT_COLLECTED = "not_collected", "an image of the pair is no longer collected"
    NOT_STATED = "not_stated", NOT_STATED
    NOT_TRIED = "not_tried", "the pair was not tried"  # of LINKED alone


_WORDS: dict[str, str] = {code: code.words for table in (ImageStatus, PairReason) for code in table}


def words_of(code: object) -> str:
    """A status or reason in words: those of `ImageStatus` and `PairReason`, else the code without its underscores.

    >>> words_of("dup_near"), words_of("http_404"), words_of("too_small")
    ('a copy of another image', 'HTTP 404', 'too small')
    """
    words = _WORDS.get(str(code), str(code).replace("_", " "))
    return words.replace("http ", "HTTP ", 1) if words.startswith("http ") else words
