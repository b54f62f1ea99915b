"""Readers of music libraries: whatever holds one comes out as batches of one table."""

from holdfast.analyzers.duplicates.readers.choice import open_library
from holdfast.analyzers.duplicates.readers.folder import AudioFile, FolderLibrary, read_file
from holdfast.analyzers.duplicates.readers.library import BrokenLibrary, Library, Problem
from holdfast.analyzers.duplicates.readers.params import PARAMETERS

__all__ = [
    "PARAMETERS",
    "AudioFile",
    "BrokenLibrary",
    "FolderLibrary",
    "Library",
    "Problem",
    "open_library",
    "read_file",
]
