"""The built-in analyzer of music libraries: which tracks are there more than once."""
