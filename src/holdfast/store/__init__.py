"""The store: SQLAlchemy Core over SQLite or PostgreSQL, one file per noun, rows in, domain values out."""
