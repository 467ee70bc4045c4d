"""The lists of what to collect: files of URLs or paths, folders, the demo museum, catalogues and public sets."""

from liftnet.collect.sources.folder import read_directory
from liftnet.collect.sources.lists import read_csv, read_list, read_museum, write_list
from liftnet.collect.sources.records import Location, SourceRecord, Sources, join_sources

__all__ = [
    "Location",
    "SourceRecord",
    "Sources",
    "join_sources",
    "read_csv",
    "read_directory",
    "read_list",
    "read_museum",
    "write_list",
]
