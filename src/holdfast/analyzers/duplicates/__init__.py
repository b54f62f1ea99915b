"""The built-in analyzer of music libraries: which tracks are there more than once."""

from holdfast.analyzers.duplicates.analyzer import DuplicatesAnalyzer

__all__ = ["DuplicatesAnalyzer"]
