"""splink on DuckDB: blocks by title and by artist with the title's beginning, trained on the library itself."""

import importlib
import logging
from typing import Any

import polars as pl

from bench.tracks_protocol import serve

# Installed in .venv-peers only, where no type checker looks.
splink: Any = importlib.import_module("splink")
comparisons: Any = importlib.import_module("splink.comparison_library")
duckdb: Any = importlib.import_module("duckdb")


def search(tracks: pl.DataFrame) -> pl.DataFrame:
    logging.disable(logging.CRITICAL)
    rows = tracks.select(
        unique_id=pl.int_range(pl.len()),
        song=_plain("song"),
        artist=_plain("artist"),
        album=_plain("album"),
    ).with_columns(begins=pl.col("song").str.slice(0, 4), artist_begins=pl.col("artist").str.slice(0, 4))
    connection = duckdb.connect()
    connection.register("given", rows.to_arrow())
    connection.execute("CREATE TABLE tracks AS SELECT * FROM given")
    api = splink.DuckDBAPI(connection)
    block_on = splink.block_on
    rules = [block_on("artist", "begins"), block_on("song", "artist_begins"), block_on("song", "album")]
    settings = splink.SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            comparisons.JaroWinklerAtThresholds("song", [0.97, 0.92, 0.85]),
            comparisons.JaroWinklerAtThresholds("artist", [0.95, 0.88]),
            comparisons.ExactMatch("album"),
        ],
        blocking_rules_to_generate_predictions=rules,
    )
    linker = splink.Linker(api.register("tracks"), settings)
    training = linker.training
    training.estimate_probability_two_random_records_match([block_on("song", "artist")], recall=0.6)
    training.estimate_u_using_random_sampling(max_pairs=1e6)
    training.estimate_parameters_using_expectation_maximisation(block_on("artist", "begins"))
    training.estimate_parameters_using_expectation_maximisation(block_on("song"))
    predicted = linker.inference.predict(threshold_match_probability=0.1)
    columns = 'unique_id_l AS "left", unique_id_r AS "right", match_probability AS score'
    query = f"SELECT {columns} FROM {predicted.physical_name}"
    return pl.DataFrame(connection.execute(query).fetchnumpy())


def _plain(name: str) -> pl.Expr:
    text = pl.col(name).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    return pl.when(text == "").then(None).otherwise(text)


if __name__ == "__main__":
    serve(search)
