"""Files that results come in and go out as; nothing here knows the store."""
