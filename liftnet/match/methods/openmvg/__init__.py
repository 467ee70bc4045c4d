"""OpenMVG's own programs as an extractor and as a matcher (docs/openmvg.md).

OpenMVG's exit status says little: it is 0 for an image it could not read, for a cut descriptor file and for old
matches it loaded instead of computing new ones. So each call gets an empty folder, every image is named by its
content, and every file is read back and checked before it is used.
"""

from liftnet.match.methods.openmvg.extract import extract_openmvg
from liftnet.match.methods.openmvg.match import match_openmvg

__all__ = ["extract_openmvg", "match_openmvg"]
