"""Counts the words of a folder's text files."""

from holdfast_word_count.analyzer import WordCount

__all__ = ["WordCount"]
