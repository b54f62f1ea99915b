"""Indexes that are derived from what is kept; each can be made anew."""
