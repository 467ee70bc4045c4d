"""Pictures: the formats that are read, the one reader, EXIF, and writing.

Stored images have their EXIF orientation baked in (`collect` does that), so a plain `read_image` is the image as
displayed; photographs from elsewhere are read with `upright=True`.
"""

from liftnet.data.pictures.read import exif_tags, picture_size, read_image, read_levels, read_small_grey
from liftnet.data.pictures.write import encode_image, write_image

__all__ = ["encode_image", "exif_tags", "picture_size", "read_image", "read_levels", "read_small_grey", "write_image"]
