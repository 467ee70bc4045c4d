"""Decoding what servers and lists send, in processes that are killed when a picture takes too long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liftnet.collect.normalise import Picture
from liftnet.collect.settings import PictureSettings
from liftnet.core.errors import BadImageError
from liftnet.core.killable import DiedError, Killables, TookTooLongError
from liftnet.data.picture_formats import bad_image
from liftnet.data.picture_metadata import Exif

TARGET = "liftnet.collect.decoding_process:answer"


class Decoders:
    """Processes that decode, used by all threads of a job.

    Args:
        count: Pictures decoded at a time.
        settings: Limits of pictures.
    """

    def __init__(self, count: int, settings: PictureSettings) -> None:
        self._settings = settings
        self._processes = Killables(TARGET, count, settings.decode_s)

    def close(self) -> None:
        """End the processes."""
        self._processes.close()

    def picture(self, data: bytes, what: str) -> Picture:
        """A picture as it will be stored; see `normalise`.

        Raises:
            BadImageError: It cannot be used, or takes too long (`too_slow`).
        """
        limits = self._settings
        about, stored = self._ask({"limits": [limits.max_side, limits.min_side, limits.max_pixels]}, data, what)
        exif = Exif(**about.pop("exif"))
        size, shown = tuple(about.pop("size")), tuple(about.pop("shown_size"))
        phashes = tuple(about.pop("phashes"))
        return Picture(stored or data, exif=exif, size=size, shown_size=shown, phashes=phashes, **about)

    def check_header(self, data: bytes, what: str) -> None:
        """Check that a file is a picture, by its header.

        Raises:
            BadImageError: It is none, or takes too long.
        """
        self._ask({"max_pixels": self._settings.max_pixels}, data, what)

    def _ask(self, about: Mapping[str, Any], data: bytes, what: str) -> tuple[dict[str, Any], bytes]:
        try:
            answered, rest = self._processes.call(about, data)
        except TookTooLongError as error:
            raise bad_image(what, "too_slow", f"{error} to decode; the limit is decode_s") from error
        except DiedError as error:
            raise bad_image(what, "decode_error", f"it cannot be decoded: {error}") from error
        if "status" in answered:
            raise BadImageError(what, answered["status"], answered["reason"], answered["remedy"])
        if "fault" in answered:
            raise RuntimeError(answered["fault"])
        return dict(answered), rest
