"""Analyses by what they mean: their text as vectors, and indexes of those."""
