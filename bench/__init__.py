"""Measurements: each target of ``targets.md`` is a runnable file that prints one line per figure."""
