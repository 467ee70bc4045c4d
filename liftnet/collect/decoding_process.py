"""What a process that decodes does; it loads nothing else, since its start is paid for each core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from liftnet.collect.normalise import normalise
from liftnet.core.errors import BadImageError
from liftnet.core.killable import Answer
from liftnet.data.pictures import open_picture


def answer(about: Mapping[str, Any], data: bytes) -> Answer:
    """What is asked of a process: a picture as it will be stored, its bytes only where they are others; or nothing."""
    try:
        if "limits" not in about:
            open_picture(data, "", about["max_pixels"])
            return {}, b""
        picture = normalise(data, "", *about["limits"])
    except BadImageError as error:
        return {"status": error.status, "reason": error.reason, "remedy": error.remedy}, b""
    except Exception as error:  # told to the job, whose log has it
        return {"fault": f"{type(error).__name__}: {error}"}, b""
    exif = {name: value for name, value in asdict(picture.exif).items() if name != "tags"}
    told = {name: getattr(picture, name) for name in ("suffix", "mime", "size", "shown_size", "phashes")}
    return told | {"exif": exif}, b"" if picture.data is data else picture.data
