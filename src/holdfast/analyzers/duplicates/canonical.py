"""Which track of a group to keep, and why. Pure."""

from typing import Any

import polars as pl

from holdfast.analyzers.duplicates.params import Weights
from holdfast.analyzers.duplicates.text import fold
from holdfast.analyzers.duplicates.words import UNKNOWN_ARTISTS
from holdfast.domain.triage import times

_SHARES = ("plays", "title", "recency", "added")


def with_scores(members: pl.DataFrame, weights: Weights) -> pl.DataFrame:
    """Score every member of every group, and mark the one to keep.

    Each weight goes whole to the best of the group and in proportion to the others: by plays, by how short the title
    is, by when it was played last and when it was added, between the group's first and last.

    Args:
        members: ``group``, and the columns of the library.
        weights: what counts how much.

    Returns:
        The same rows with ``keep_score`` (0 to 1), ``is_canonical``, and ``best_plays``, ``best_title``,
        ``best_recency``, ``best_added``: whether it leads its group in that, and not all do.
    """
    shares = _shares(members)
    parts = (weights.plays, weights.short_title, weights.recency, weights.earliest_added)
    score = sum((pl.col(name) * (part / sum(parts)) for name, part in zip(_SHARES, parts, strict=True)), pl.lit(0.0))
    best = shares.group_by("group").agg(
        *(pl.col(name).max().name.suffix("_most") for name in _SHARES),
        *(pl.col(name).min().name.suffix("_least") for name in _SHARES),
    )
    leads = shares.join(best, on="group", how="left", maintain_order="left").select(
        score.round(4).alias("keep_score"), *(_leads(name).alias(f"best_{name}") for name in _SHARES)
    )
    scored = pl.concat([members, leads], how="horizontal")
    # A track without an artist is kept only where all lack one: it is the poorer entry, however often it was played.
    # Equal scores: the better recording, then the one whose id comes first, so that every run keeps the same.
    order = scored.select(
        "group", "keep_score", pl.col("bitrate_kbps", "size_bytes").fill_null(0), "track_id", "row",
        named=~fold(scored["artist"]).is_in(sorted(UNKNOWN_ARTISTS)),
    ).sort(
        "group", "named", "keep_score", "bitrate_kbps", "size_bytes", "track_id", "row",
        descending=[False, True, True, True, True, False, False],
    )  # fmt: skip
    kept = order.group_by("group", maintain_order=True).first().select("row", is_canonical=pl.lit(value=True))
    return scored.join(kept, on="row", how="left", maintain_order="left").with_columns(
        pl.col("is_canonical").fill_null(value=False)
    )


def keep_reasons(track: dict[str, Any]) -> list[str]:
    """Why this track is the one to keep, for people, weightiest first.

    Args:
        track: a row that ``with_scores`` has marked.
    """
    reasons = []
    if track["best_plays"]:
        reasons.append(f"played most often ({times(track['play_count'])})")
    if track["best_title"]:
        reasons.append("has the shortest title")
    if track["best_recency"]:
        reasons.append("was played last")
    if track["best_added"]:
        reasons.append("has been in the library for longest")
    return reasons or ["nothing sets it apart from the others"]


def _shares(members: pl.DataFrame) -> pl.DataFrame:
    """How near each member comes to the best of its group, 0 to 1, in each respect."""
    length, plays = pl.col("song").fill_null("").str.len_chars().clip(1), pl.col("play_count").fill_null(0).clip(0)
    played, added = pl.col("last_played").dt.epoch("s"), pl.col("date_added").dt.epoch("s")
    own = members.select("group", length=length, plays=plays, played=played, added=added)
    of_group = own.group_by("group").agg(
        most_plays=pl.col("plays").max(),
        least_length=pl.col("length").min(),
        first_played=pl.col("played").min(),
        last_played=pl.col("played").max(),
        first_added=pl.col("added").min(),
        last_added=pl.col("added").max(),
    )
    return own.join(of_group, on="group", how="left", maintain_order="left").select(
        "group",
        plays=pl.when(pl.col("most_plays") > 0).then(pl.col("plays") / pl.col("most_plays")).otherwise(0.0),
        title=pl.col("least_length") / pl.col("length"),
        recency=_between("played", "first_played", "last_played"),
        added=pl.when(pl.col("added").is_null())
        .then(0.0)
        .otherwise(1 - _between("added", "first_added", "last_added")),
    )


def _between(moment: str, first: str, last: str) -> pl.Expr:
    """Where a moment lies between the group's first (0) and last (1); 0 where it is not known."""
    share = (pl.col(moment) - pl.col(first)) / (pl.col(last) - pl.col(first))
    return pl.when(pl.col(last) > pl.col(first)).then(share).otherwise(0.0).fill_null(0.0)


def _leads(name: str) -> pl.Expr:
    most = pl.col(f"{name}_most")
    return (pl.col(name) == most) & (most > pl.col(f"{name}_least"))
