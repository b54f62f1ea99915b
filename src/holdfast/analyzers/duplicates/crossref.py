"""Looks tracks up in another library, by the same comparison: the same signature is exact, an edge is fuzzy. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import polars as pl

from holdfast.analyzers.duplicates.candidates import Candidates, find_candidates
from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.parts import Edges
from holdfast.analyzers.duplicates.signatures import I64, Signatures, sign

MATCHES = pl.Schema(
    {
        "row": pl.Int64,
        "itunes_match_type": pl.String,
        "itunes_match_confidence": pl.Float64,
        "itunes_track_id": pl.String,
        "itunes_song_name": pl.String,
        "itunes_artist_name": pl.String,
        "itunes_album_name": pl.String,
    }
)
"""One row for each track that was looked up: ``row`` is its place, the confidence is the similarity."""


class Match(StrEnum):
    """How a track was found in the other library."""

    EXACT = "exact"
    FUZZY = "fuzzy"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Two libraries, prepared to be linked.

    Attributes:
        ours: how many tracks of the first come before those of the other.
        both: the tracks of both.
        signatures: theirs.
        candidates: pairs between the libraries, none within one.
    """

    ours: int
    both: pl.DataFrame
    signatures: Signatures
    candidates: Candidates


def prepare_lookup(
    tracks: pl.DataFrame, other: pl.DataFrame, same: int, check: Callable[[], None] = lambda: None
) -> Lookup:
    """Find the pairs to compare.

    Args:
        tracks: what to look up, in SCHEMA.
        other: where, in SCHEMA.
        same: a mask of the version classes that count as no version.
        check: called now and then; raises to stop.
    """
    both = pl.concat([tracks.select(SCHEMA.names()), other.select(SCHEMA.names())])
    signatures = sign(both, same)
    found = find_candidates(signatures.table, check)
    ours, theirs = _sides(signatures, tracks.height)
    across = (ours[found.left] & theirs[found.right]) | (theirs[found.left] & ours[found.right])
    return Lookup(
        ours=tracks.height,
        both=both,
        signatures=signatures,
        candidates=replace(found, left=found.left[across], right=found.right[across]),
    )


def match(lookup: Lookup, edges: Edges) -> pl.DataFrame:
    """Each track's best match, in MATCHES.

    Args:
        lookup: the libraries.
        edges: which signatures are alike.
    """
    ours = _placed(lookup, slice(0, lookup.ours)).rename({"place": "row"})
    theirs = _placed(lookup, slice(lookup.ours, None))
    # Of several with one signature the one whose id comes first, so that every run names the same.
    named = theirs.sort("itunes_track_id", "place").unique("signature", keep="first", maintain_order=True)
    ways = pl.concat([_exact(lookup.signatures.table.height), _fuzzy(edges)])
    # Best first, then by signature; an exact match goes before a fuzzy one of equal similarity.
    best = (
        ways.join(named, left_on="other", right_on="signature")
        .sort("signature", "similarity", "exact", "other", descending=[False, True, True, False])
        .unique("signature", keep="first", maintain_order=True)
    )
    kind = (
        pl.when(pl.col("exact"))
        .then(pl.lit(Match.EXACT.value))
        .when(pl.col("exact").is_not_null())
        .then(pl.lit(Match.FUZZY.value))
        .otherwise(pl.lit(Match.NONE.value))
    )
    looked_up = ours.select("row", "signature").join(best, on="signature", how="left", maintain_order="left")
    matched = looked_up.with_columns(
        itunes_match_type=kind, itunes_match_confidence=pl.col("similarity").fill_null(0.0)
    )
    return matched.select(pl.col(name).cast(dtype) for name, dtype in MATCHES.items())


def _sides(signatures: Signatures, ours: int) -> tuple[I64, I64]:
    count = signatures.table.height
    sides = []
    for rows in (signatures.of_track[:ours], signatures.of_track[ours:]):
        side = np.zeros(count, dtype=bool)
        side[rows[rows >= 0]] = True
        sides.append(side)
    return sides[0], sides[1]


def _placed(lookup: Lookup, which: slice) -> pl.DataFrame:
    tracks = lookup.both[which].select(
        itunes_track_id="track_id", itunes_song_name="song", itunes_artist_name="artist", itunes_album_name="album"
    )
    signature = lookup.signatures.of_track[which]
    return tracks.with_columns(signature=pl.Series(signature), place=pl.int_range(len(signature), dtype=pl.Int64))


def _exact(signatures: int) -> pl.DataFrame:
    every = pl.int_range(signatures, dtype=pl.Int64, eager=True)
    return pl.DataFrame({"signature": every, "other": every}).with_columns(
        similarity=pl.lit(1.0), exact=pl.lit(value=True)
    )


def _fuzzy(edges: Edges) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "signature": np.concatenate([edges.left, edges.right]),
            "other": np.concatenate([edges.right, edges.left]),
            "similarity": np.concatenate([edges.similarity, edges.similarity]),
        }
    ).with_columns(exact=pl.lit(value=False))
