"""Searches for duplicates: all that can be done with them, and how old they are."""

from holdfast.duplicates.ages import Aged
from holdfast.duplicates.searches import Duplicates

__all__ = ["Aged", "Duplicates"]
