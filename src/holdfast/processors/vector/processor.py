"""The processor that keeps analyses by what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import sqlalchemy as sa

from holdfast.domain.errors import InvalidInput, ProcessorError
from holdfast.domain.processing import Document, Health, Ranked
from holdfast.processors.contract import Surroundings, Wanted, Write
from holdfast.processors.fulltext import texts_of
from holdfast.processors.options import typed
from holdfast.processors.vector.chunking import chunks
from holdfast.processors.vector.embedders import (
    Embedder,
    OpenAIEmbedder,
    SentenceTransformersEmbedder,
    WordLlamaEmbedder,
)
from holdfast.processors.vector.index import Allowed, Entry, VectorIndex
from holdfast.processors.vector.pgvector import best_index
from holdfast.store import tables

# Changes with what is embedded of an analysis: texts_of, chunks.
_RULE = "1"
# Beyond so many, what is nearest has little to do with the query.
_DEEPEST = 200
_REMEMBERED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorOptions:
    """How the processor is set up; see the settings of the same names."""

    embedder: Literal["wordllama", "openai", "sentence-transformers"] = "wordllama"
    model: str = ""
    url: str = "https://api.openai.com/v1"
    api_key: str | None = None
    dimensions: int | None = None
    timeout_seconds: float = 30.0
    cache_mb: float = 512.0
    qdrant_url: str | None = None
    qdrant_api_key: str | None = None
    qdrant_collection: str = "holdfast"


class VectorProcessor:
    """Embeds the texts of analyses, and finds them by their meaning."""

    name = "vector"

    def __init__(self, surroundings: Surroundings) -> None:
        """Know model and index; nothing is loaded or connected yet."""
        options = typed(surroundings.options, VectorOptions, self.name)
        self._engine = surroundings.engine
        self._embedder = _embedder(options)
        self._index: VectorIndex
        if options.qdrant_url is None:
            self._index = best_index(self._engine, cache_bytes=int(options.cache_mb * 1_000_000))
        else:
            self._index = _qdrant(options)
        self._place = "store" if options.qdrant_url is None else "qdrant"
        self._meaning = lru_cache(_REMEMBERED)(lambda text: self._embedder.embed([text])[0])

    @property
    def version(self) -> str:
        """The rule of what is embedded, the model, and where vectors are kept."""
        model = self._embedder.model
        return f"{_RULE} {model.name} {model.version} {self._place}"

    def create(self, connection: sa.Connection, generation: int) -> None:
        self._index.create(connection)

    def discard(self, connection: sa.Connection, generation: int) -> None:
        """Nothing: every vector is kept with its model, and the one that takes its place has taken it already."""

    def accepts(self, document: Document) -> bool:
        return True

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write | None:
        pieces = [chunks(_text(document)) for document in documents]
        vectors = self._embedder.embed([piece for found in pieces for piece in found])
        ends = np.cumsum([len(found) for found in pieces])
        entries = [
            Entry(key=document.key, vectors=vectors[end - len(found) : end])
            for document, found, end in zip(documents, pieces, ends, strict=True)
        ]
        return self._index.put(self._embedder.model, entries)

    def remove(self, keys: Sequence[int], generations: Sequence[int]) -> Write | None:
        return self._index.drop(keys)

    def rank(self, connection: sa.Connection, generation: int, wanted: Wanted) -> list[Ranked]:
        """The analyses nearest in meaning to the words; scores are cosines."""
        if not wanted.text.strip():
            return []
        query = self._meaning(wanted.text)
        limit = min(wanted.limit, _DEEPEST)
        return self._index.search(connection, self._embedder.model, query, limit, wanted.allowed)

    def similar(self, connection: sa.Connection, key: int, limit: int, allowed: Allowed) -> list[Ranked]:
        """The analyses nearest to the middle of its pieces; scores are cosines."""
        vectors = self._index.vectors(connection, self._embedder.model, key)
        if not len(vectors):
            return []
        middle = vectors.mean(axis=0)
        length = float(np.linalg.norm(middle))
        query = middle / length if length > 0 else vectors[0]
        others = allowed.where(tables.analyses.c.id != key)
        return self._index.search(connection, self._embedder.model, query, limit, others)

    def health(self, generation: int) -> Health:
        model = self._embedder.model
        details = {"model": model.name, "version": model.version, "index": type(self._index).__name__}
        try:
            self._index.check()
        except Exception as error:  # noqa: BLE001 whatever is wrong is the answer
            return Health(is_ready=False, message=str(error), details=details)
        return Health(is_ready=True, details=details)

    def close(self) -> None:
        self._index.close()
        self._embedder.close()


def _text(document: Document) -> str:
    texts = texts_of(document)
    # The kind last of the names: an analysis of few words is at least like others of its kind.
    return f"{texts.title}\n{document.kind}\n\n{texts.body}"


def _embedder(options: VectorOptions) -> Embedder:
    if options.embedder == "wordllama":
        return WordLlamaEmbedder()
    if not options.model:
        raise InvalidInput(f"embedding_model must name a model for {options.embedder}", field="embedding_model")
    if options.embedder == "sentence-transformers":
        return SentenceTransformersEmbedder(options.model)
    return OpenAIEmbedder(
        model=options.model,
        base_url=options.url,
        api_key=options.api_key,
        dimensions=options.dimensions,
        timeout_seconds=options.timeout_seconds,
    )


def _qdrant(options: VectorOptions) -> VectorIndex:
    try:
        from qdrant_client import QdrantClient  # noqa: PLC0415 an extra

        from holdfast.processors.vector.qdrant import QdrantIndex  # noqa: PLC0415 imports it
    except ImportError as error:
        raise ProcessorError("Qdrant needs a package more: pip install 'holdfast[qdrant]'") from error

    def connect() -> QdrantClient:
        seconds = max(int(options.timeout_seconds), 1)
        return QdrantClient(
            url=options.qdrant_url, api_key=options.qdrant_api_key, timeout=seconds, check_compatibility=False
        )

    return QdrantIndex(connect, collection=options.qdrant_collection)
