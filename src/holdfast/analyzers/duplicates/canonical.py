"""Which track of a group to keep, and why. Pure."""

import polars as pl

from holdfast.analyzers.duplicates.params import Weights
from holdfast.analyzers.duplicates.text import fold
from holdfast.analyzers.duplicates.words import UNKNOWN_ARTISTS


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
    length = pl.col("song").fill_null("").str.len_chars().clip(1)
    plays = pl.col("play_count").fill_null(0).clip(0)
    most = plays.max().over("group")
    shares = {
        "plays": pl.when(most > 0).then(plays / most).otherwise(0.0),
        "title": length.min().over("group") / length,
        "recency": _between("last_played"),
        "added": pl.when(pl.col("date_added").is_null()).then(0.0).otherwise(1.0 - _between("date_added")),
    }
    parts = (weights.plays, weights.short_title, weights.recency, weights.earliest_added)
    whole = sum(parts)
    score = sum((share * (part / whole) for share, part in zip(shares.values(), parts, strict=True)), pl.lit(0.0))
    scored = members.with_columns(
        keep_score=score.round(4), **{f"best_{name}": _leads(share) for name, share in shares.items()}
    )
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


def keep_reasons(track: dict[str, object]) -> list[str]:
    """Why this track is the one to keep, for people, weightiest first.

    Args:
        track: a row that ``with_scores`` has marked.
    """
    reasons = []
    if track["best_plays"]:
        reasons.append(f"played most often ({track['play_count']} times)")
    if track["best_title"]:
        reasons.append("has the shortest title")
    if track["best_recency"]:
        reasons.append("was played last")
    if track["best_added"]:
        reasons.append("has been in the library for longest")
    return reasons or ["nothing sets it apart from the others"]


def _between(name: str) -> pl.Expr:
    """Where a moment lies between the group's first (0) and last (1); 0 where it is not known."""
    moment = pl.col(name).dt.epoch("s")
    first, last = moment.min().over("group"), moment.max().over("group")
    return pl.when(last > first).then((moment - first) / (last - first)).otherwise(0.0).fill_null(0.0)


def _leads(share: pl.Expr) -> pl.Expr:
    best, worst = share.max().over("group"), share.min().over("group")
    return (share == best) & (best > worst)
