"""64-bit hashes of texts: those that name what is kept, and quicker ones for within a process. Pure."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from xxhash import xxh64_intdigest

U64 = NDArray[np.uint64]

# The multipliers of splitmix64 (Steele, Lea, Flood 2014).
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)

_BITS = np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64))


def hash_texts(texts: pl.Series) -> U64:
    """The hash of each text, the same on every machine and in every version; of each distinct one once, if few."""
    distinct = texts.unique(maintain_order=True)
    if 2 * len(distinct) > len(texts):
        return _hash(texts)
    known = pl.DataFrame({"text": distinct, "hash": pl.Series(_hash(distinct))})
    given = texts.to_frame("text")
    return given.join(known, on="text", how="left", maintain_order="left")["hash"].to_numpy()


def hash_here(texts: pl.Series) -> U64:
    """A hash of each text that is good in this process only: another version of polars may give another."""
    return texts.hash().to_numpy()


def mix(*columns: U64) -> U64:
    """One hash of several columns of hashes or small numbers; their order counts."""
    mixed: U64 = np.full(len(columns[0]), _STEP, dtype=np.uint64)
    for column in columns:
        mixed = (mixed ^ column) + _STEP
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
        mixed ^= mixed >> np.uint64(31)
    return mixed


def letter_masks(texts: pl.Series) -> U64:
    """For each text which letters it has, in 64 bits.

    One edit changes two bits at most, so half the number of different bits is no more than the edit distance.
    """
    # A line feed before each text, so that the empty one has a place, too; folded texts hold none.
    codes = np.frombuffer(("\n" + "\n".join(texts.to_list())).encode("utf-32-le"), dtype=np.uint32)
    starts = np.nonzero(codes == ord("\n"))[0]
    masks: U64 = np.bitwise_or.reduceat(_BITS[codes & 63], starts) if len(texts) else np.empty(0, np.uint64)
    return masks


def _hash(texts: pl.Series) -> U64:
    encoded = texts.cast(pl.Binary).to_list()
    return np.fromiter(map(xxh64_intdigest, encoded), dtype=np.uint64, count=len(encoded))
