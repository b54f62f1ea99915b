"""The matcher of the duplicates analyzer, alone: no store, no child process, no checkpoints."""

import polars as pl

from bench.tracks_protocol import serve
from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.matching import find_duplicates


def search(tracks: pl.DataFrame) -> pl.DataFrame:
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items() if name not in tracks.columns]
    numbered = tracks.with_row_index("place").with_columns(track_id=pl.format("t{}", pl.col("place")))
    whole = numbered.with_columns(one for one in missing if one.meta.output_name() != "track_id")
    members = find_duplicates(whole.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())).members
    places = members.select("group", "similarity", place=pl.col("track_id").str.slice(1).cast(pl.Int64))
    first = places.group_by("group", maintain_order=True).agg(left=pl.col("place").first())
    # Each member with the first of its group: as many edges as make the group one.
    return (
        places.join(first, on="group")
        .filter(pl.col("place") != pl.col("left"))
        .select("left", right="place", score=pl.lit(1.0))
    )


if __name__ == "__main__":
    serve(search)
