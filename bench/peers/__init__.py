"""What Holdfast is measured against; run by the interpreter of ``.venv-peers``."""
