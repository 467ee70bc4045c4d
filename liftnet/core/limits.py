"""What a file from outside may cost at most: the limits that are no settings, in one place (docs/security.md).

The settings beside them: `collect.pictures.max_bytes`, `max_pixels`, `min_side`; `max_bytes` and `max_faces` of the
mesh reader (`render.views.reading`). A limit stands far above what cameras, museums and programs write, and low enough
that the worst file within it costs seconds; what that is, benchmarks/worst_inputs.md measures.
"""

from __future__ import annotations

# Files of any kind
FILE_BYTES = 2_000_000_000  # that is read at once
ARRAY_BYTES = 2_000_000_000  # of the arrays of an .npz, unpacked

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
YAML_BYTES = 200_000  # Python's parser takes ten seconds a million
YAML_DEPTH = 32
CARD_BYTES = 2_000_000  # of the card of a dataset, as far as its block of YAML is looked for

# Lists and tables
LIST_ROWS = 2_000_000  # of a list of images; the largest catalogues have a million with sculpture
LIST_CHARACTERS = 1_000_000_000  # of a list, all cells together
LOST_FILES = 20_000  # of a list, that are looked for by the other spellings of their paths
CELL_CHARACTERS = 20_000  # of a cell of a list; an address has 2,000 at most, a credit line 500
CSV_LINE_CHARACTERS = 1_000_000
CSV_LINES_OF_A_RECORD = 1_000  # a cell in quotes may go over several
TABLE_ROWS = 200_000_000  # of a Parquet file of others
TABLE_CELL_BYTES = 64_000_000  # of a cell of it: an image as a file
GROUP_BYTES = 2_000_000_000  # that a row group takes in memory: what is read at a time
GROUPS_AND_COLUMNS = 100_000  # of a Parquet file: groups times columns
FOOTER_BYTES = 20_000_000  # of a Parquet file: what it says of its columns, 200 bytes each
PAGES = 200_000  # of a Parquet file

# Pictures that are alike
ALIKE_KEPT = 64  # of the pictures that look like one, those that are compared with it
