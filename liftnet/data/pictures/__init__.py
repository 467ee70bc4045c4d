"""From bytes to stored images: formats, EXIF, upright 8-bit RGB."""
