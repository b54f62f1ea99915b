"""A music library as a table: what every reader gives and the matcher takes."""

import polars as pl

SCHEMA = pl.Schema(
    {  # type: ignore[arg-type]
        "track_id": pl.String,
        "song": pl.String,
        "artist": pl.String,
        "album": pl.String,
        "album_artist": pl.String,
        "genre": pl.String,
        "year": pl.Int32,
        "disc_number": pl.Int32,
        "track_number": pl.Int32,
        "duration_seconds": pl.Float64,
        "play_count": pl.Int64,
        "last_played": pl.Datetime("us", "UTC"),
        "date_added": pl.Datetime("us", "UTC"),
        "rating": pl.Int32,
        "location": pl.String,
        "bitrate_kbps": pl.Int32,
        "format": pl.String,
        "size_bytes": pl.Int64,
    }
)
"""The columns of a library. Each but ``track_id`` may be null where the source does not tell; ``rating`` is 0-100.

``track_id`` names a track within its library for ever, as far as the source can: a persistent id, else a path, else a
key of its own table.
"""
