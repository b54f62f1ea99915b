"""Processors derive indexes from kept analyses: words, vectors, relations, and whatever a package brings."""
