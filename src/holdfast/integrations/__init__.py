"""Ways in from other tools; each needs the tool it is named for, if any."""
