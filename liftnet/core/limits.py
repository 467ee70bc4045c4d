"""What a file from outside may cost at most: the limits that are no settings, in one place (docs/security.md).

The settings beside them: `collect.pictures.max_bytes`, `max_pixels`, `min_side`; `max_bytes` and `max_faces` of the
mesh reader (`render.views.reading`). A limit stands far above what cameras, museums and programs write, and low enough
that the worst file within it costs seconds; what that is, benchmarks/worst_inputs.md measures.
"""

from __future__ import annotations

# Pictures
PICTURE_BYTES = 2_000_000_000  # of a picture that is no download; 178 million pixels of 16-bit RGB take 1.1 GB
JPEG_SCANS = 64  # passes over the pixels; encoders write up to 18
JPEG_SCANNED_PIXELS = 2_000_000_000  # pixels times passes; a pass costs 2 ns a pixel or more, whatever is in it
JPEG_SEGMENTS = 4_096  # a profile of colours takes 255 at most, notes of editors some hundred
JPEG_FILL_BYTES = 65_536  # between segments, where none need be
PNG_CHUNKS = 100_000  # a file of 50 MB in the usual parts of 8 kB has 6,000
TIFF_STRIPS = 100_000  # or tiles; one a row, as the least usual

# JSON and YAML
JSON_BYTES = 32_000_000  # of a document; the dump of a museum is read record by record
JSON_DEPTH = 64
YAML_BYTES = 1_000_000
YAML_DEPTH = 32

# Lists and tables
LIST_ROWS = 5_000_000  # of a list of images; the largest catalogues have a million with sculpture
LIST_BYTES = 2_000_000_000  # of a list as a file
CELL_CHARACTERS = 20_000  # of a cell of a list; an address has 2,000 at most, a credit line 500
TABLE_CELL_BYTES = 64_000_000  # of a cell of a dataset: an image as a file
GROUP_BYTES = 2_000_000_000  # of a row group, unpacked: what is read at a time
PAGE_RATIO = 1_100  # bytes that a byte of a Parquet file may become, beyond PAGE_BYTES in all

# Pictures that are alike
ALIKE_KEPT = 64  # of the pictures that look like one, those that are compared with it
