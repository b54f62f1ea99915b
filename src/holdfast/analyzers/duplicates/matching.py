"""The whole search, from a library to its groups; see docs/decisions/0013-duplicates.md for the flow. Pure.

library -> sign -> find_candidates -> split -> compare_part (anywhere) -> join_edges -> group
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl
from xxhash import xxh3_128_hexdigest

from holdfast.analyzers.duplicates.candidates import Candidates, find_candidates
from holdfast.analyzers.duplicates.canonical import with_scores
from holdfast.analyzers.duplicates.compare import SECONDS_APART, SHARE_APART
from holdfast.analyzers.duplicates.doubts import Doubt, cap
from holdfast.analyzers.duplicates.groups import Cluster, build_clusters
from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.params import Params
from holdfast.analyzers.duplicates.parts import Edges, compare_part, join_edges, read_edges, split
from holdfast.analyzers.duplicates.signatures import Signatures, sign
from holdfast.analyzers.duplicates.text import fold

_IDENTITY = (
    "core", "versions", "version_text", "numbers", "subtitle", "guests", "tail", "artist_words", "own_album", "take",
)  # fmt: skip

MEMBERS = pl.Schema(
    {  # type: ignore[arg-type]
        "group": pl.Int64,
        "row": pl.Int64,
        "similarity": pl.Float64,
        "doubts": pl.Int64,
        **SCHEMA,
        "keep_score": pl.Float64,
        "best_plays": pl.Boolean,
        "best_title": pl.Boolean,
        "best_recency": pl.Boolean,
        "best_added": pl.Boolean,
        "is_canonical": pl.Boolean,
    }
)
"""One row for each track of each group: ``row`` is its place in the library, ``similarity`` and ``doubts`` are
between it and the track to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The groups of a library.

    Attributes:
        members: every track of every group, in MEMBERS, by group and then the library's order.
        ids: each group's id, by its number: the same as long as its central title, artist and version are.
    """

    members: pl.DataFrame
    ids: list[str]


def prepare(library: pl.DataFrame, search_term: str = "") -> pl.DataFrame:
    """The tracks that take part, in an order that depends on their content alone.

    Args:
        library: in SCHEMA.
        search_term: what song, artist or album must have, whatever its case and accents.
    """
    chosen = library.select(SCHEMA.names())
    if search_term:
        term = fold(pl.Series([search_term])).item()
        found = [fold(chosen[name]).str.contains(term, literal=True) for name in ("song", "artist", "album")]
        chosen = chosen.filter(found[0] | found[1] | found[2])
    if chosen["track_id"].is_duplicated().any():
        # No reader gives an id twice; where one does, what else is told decides.
        return chosen.sort("track_id", *(name for name in SCHEMA if name != "track_id"))
    return chosen.sort("track_id")


def find_duplicates(library: pl.DataFrame, params: Params | None = None) -> Groups:
    """The groups of duplicates in a library, found here and now.

    Args:
        library: in SCHEMA.
        params: what can be chosen.
    """
    params = params or Params()
    prepared = prepare(library, params.search_term)
    signatures = sign(prepared, params.same_mask)
    edges = compare_all(signatures.table, find_candidates(signatures.table))
    return group(prepared, signatures, edges, params)


def compare_all(table: pl.DataFrame, candidates: Candidates) -> Edges:
    """Compare all pairs here, one part after the other."""
    return join_edges([read_edges(part, compare_part(part)) for part in split(table, candidates)])


def group(library: pl.DataFrame, signatures: Signatures, edges: Edges, params: Params) -> Groups:
    """Make groups of what is alike, and choose the track to keep in each.

    Args:
        library: the tracks, as ``sign`` had them.
        signatures: their signatures.
        edges: which signatures are alike, as far as is known.
        params: what can be chosen.
    """
    clusters = build_clusters(signatures.table, _sure_enough(edges, params.min_confidence))
    members = _members(library, signatures, clusters)
    scored = with_scores(members, params.canonical_weights)
    linked = scored.join(_links(scored, clusters), on=("group", "signature"), how="left", maintain_order="left")
    judged = _with_durations(linked)
    centres = np.array([cluster.centre for cluster in clusters], dtype=np.int64)
    return Groups(members=judged.select(MEMBERS.names()), ids=_ids(signatures.table[centres]))


def _sure_enough(edges: Edges, least: float) -> Edges:
    sure = edges.similarity >= least
    return Edges(
        left=edges.left[sure], right=edges.right[sure], similarity=edges.similarity[sure], doubts=edges.doubts[sure]
    )


def _members(library: pl.DataFrame, signatures: Signatures, clusters: list[Cluster]) -> pl.DataFrame:
    of_signature = np.full(signatures.table.height, -1, dtype=np.int64)
    sizes = [len(cluster.members) for cluster in clusters]
    rows_of_all = np.fromiter(chain.from_iterable(cluster.members for cluster in clusters), np.int64, sum(sizes))
    of_signature[rows_of_all] = np.repeat(np.arange(len(clusters)), sizes)
    signature = signatures.of_track
    numbers = np.where(signature < 0, -1, of_signature[signature]) if len(of_signature) else signature
    rows = np.nonzero(numbers >= 0)[0]
    own = {"group": numbers[rows], "row": rows, "signature": signature[rows]}
    return pl.concat([pl.DataFrame(own), library[rows]], how="horizontal").sort("group", "row")


def _links(members: pl.DataFrame, clusters: list[Cluster]) -> pl.DataFrame:
    """How alike each signature of a group is to that of the track to keep."""
    kept = members.filter("is_canonical").select("group", "signature")
    found: list[tuple[int, int, float, int]] = []
    for number, keeper in kept.iter_rows():
        cluster = clusters[number]
        if len(cluster.members) == 1:
            # Most groups are copies of one signature.
            found.append((number, keeper, 1.0, 0))
            continue
        for row in cluster.members:
            link = cluster.similarity(row, keeper)
            found.append((number, row, link.similarity, int(link.doubts)))
    columns = {"group": pl.Int64, "signature": pl.Int64, "similarity": pl.Float64, "doubts": pl.Int64}
    if not found:
        return pl.DataFrame(schema=columns)
    return pl.DataFrame(dict(zip(columns, zip(*found, strict=True), strict=True)), schema=columns)


def _with_durations(members: pl.DataFrame) -> pl.DataFrame:
    """Doubt the members that last longer or shorter than the track to keep; a signature has tracks of many lengths."""
    kept = members.filter("is_canonical").select("group", kept_seconds="duration_seconds")
    seconds, other = pl.col("duration_seconds"), pl.col("kept_seconds")
    slack = pl.max_horizontal(pl.lit(SECONDS_APART), SHARE_APART * pl.max_horizontal(seconds, other))
    apart = ((seconds > 0) & (other > 0) & ((seconds - other).abs() > slack)).fill_null(value=False)
    doubts = pl.col("doubts")
    return members.join(kept, on="group", how="left", maintain_order="left").with_columns(
        doubts=pl.when(apart).then(doubts | int(Doubt.DURATIONS)).otherwise(doubts),
        similarity=pl.when(apart)
        .then(pl.min_horizontal("similarity", pl.lit(cap(Doubt.DURATIONS))))
        .otherwise("similarity"),
    )


def _ids(centres: pl.DataFrame) -> list[str]:
    texts = centres.select(pl.concat_str([pl.col(name).cast(pl.String) for name in _IDENTITY], separator="\0"))
    return [xxh3_128_hexdigest(text.encode()) for text in texts.to_series()]
