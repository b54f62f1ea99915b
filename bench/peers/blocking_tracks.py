"""The usual recipe: lower case, blocks by the beginnings of artist and title, rapidfuzz within a block."""

import importlib
from typing import Any

import numpy as np
import polars as pl

from bench.tracks_protocol import serve

# Installed in .venv-peers, too, in a version of its own.
rapidfuzz: Any = importlib.import_module("rapidfuzz")


def search(tracks: pl.DataFrame) -> pl.DataFrame:
    rows = tracks.select(
        place=pl.int_range(pl.len()),
        song=_plain("song"),
        artist=_plain("artist"),
    ).with_columns(text=pl.concat_str("artist", "song", separator=" "))
    keys = [
        pl.concat_str(pl.col("artist").str.slice(0, 4), pl.col("song").str.slice(0, 4), separator="|"),
        pl.col("song"),
    ]
    found = [_block(rows.with_columns(key=key)) for key in keys]
    pairs = pl.concat(found).unique(["left", "right"])
    texts = np.array(rows["text"].to_list(), dtype=object)
    score = rapidfuzz.process.cpdist(
        texts[pairs["left"].to_numpy()], texts[pairs["right"].to_numpy()], scorer=rapidfuzz.fuzz.token_sort_ratio
    )
    scored: pl.DataFrame = pairs.with_columns(score=pl.Series(score) / 100).filter(pl.col("score") >= 0.7)
    return scored


def _plain(name: str) -> pl.Expr:
    words = pl.col(name).fill_null("").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ")
    return words.str.strip_chars()


def _block(rows: pl.DataFrame) -> pl.DataFrame:
    own = rows.select("key", left="place").filter(pl.len().over("key").is_between(2, 500))
    return own.join(own.rename({"left": "right"}), on="key").filter(pl.col("left") < pl.col("right")).drop("key")


if __name__ == "__main__":
    serve(search)
