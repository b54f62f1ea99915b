"""Search by a Qdrant server; the analyses themselves, and who may see them, stay in the store.

Each model has a collection of its own, whose points know their analysis by its key: two databases must not share a
name of collections.
"""

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import sqlalchemy as sa
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from holdfast.domain.errors import ProcessorError, ProcessorUnavailable
from holdfast.domain.processing import Ranked
from holdfast.processors.vector.index import (
    Allowed,
    Entry,
    Matrix,
    Model,
    Scored,
    Vector,
    among,
    confirmed,
    portions,
)

_POINTS = uuid.UUID("6f1c0a52-8a0e-4d57-9a5e-2f6f0f0c9d11")
# Up to so many analyses that are allowed are named to the server.
_FEW = 5000
_MOST_PIECES = 10_000


class QdrantIndex:
    """A vector index on a Qdrant server; see ``VectorIndex``."""

    def __init__(self, connect: Callable[[], QdrantClient], *, collection: str) -> None:
        """Keep vectors in collections whose names begin with ``collection``; connects when first asked."""
        self._connect = connect
        self._prefix = f"{collection}_"
        self._lock = threading.Lock()
        self._known: set[str] = set()

    @cached_property
    def _client(self) -> QdrantClient:
        return self._connect()

    def create(self, connection: sa.Connection) -> None:
        """Nothing: a collection is made with its first vector."""

    def put(self, model: Model, entries: Sequence[Entry]) -> None:
        dimensions = next((entry.vectors.shape[1] for entry in entries if len(entry.vectors)), 0)
        with _understood():
            name = self._ensure(model, dimensions) if dimensions else ""
            points = [
                models.PointStruct(
                    id=str(uuid.uuid5(_POINTS, f"{entry.key}/{ordinal}")),
                    vector=vector.tolist(),
                    payload={"analysis": entry.key, "ordinal": ordinal},
                )
                for entry in entries
                for ordinal, vector in enumerate(entry.vectors)
            ]
            if points:
                self._client.upsert(name, points, wait=True)
            # What is new is there before what is old goes: a search in between finds either.
            self._delete(name, [_from(entry.key, len(entry.vectors)) for entry in entries])
            for other in self._collections():
                if other != name:
                    self._delete(other, [_of([entry.key for entry in entries])])

    def drop(self, keys: Sequence[int]) -> None:
        with _understood():
            for name in self._collections():
                self._delete(name, [_of(keys)])

    def search(self, connection: sa.Connection, model: Model, query: Vector, k: int, allowed: Allowed) -> list[Ranked]:
        fitting: list[int] = list(connection.execute(allowed.limit(_FEW + 1)).scalars())
        if not fitting:
            return []
        named = _of(fitting) if len(fitting) <= _FEW else None

        def confirm(keys: Sequence[int]) -> dict[int, int]:
            if named is not None:
                return dict(zip(keys, keys, strict=True))
            fits: list[int] = list(connection.execute(among(allowed, set(keys))).scalars())
            return dict(zip(fits, fits, strict=True))

        with _understood():
            name = self._name(model, len(query))
            return confirmed(self._nearest(name, query, k, named), k, confirm) if self._is_there(name) else []

    def _nearest(self, name: str, query: Vector, k: int, named: models.Filter | None) -> Iterator[Sequence[Scored]]:
        seen = 0
        for size in portions(k):
            found = self._client.query_points(
                name, query=query.tolist(), query_filter=named, limit=size, offset=seen, with_payload=["analysis"]
            ).points
            yield [((point.payload or {})["analysis"], min(max(point.score, -1.0), 1.0)) for point in found]
            if len(found) < size:
                return
            seen += size

    def vectors(self, connection: sa.Connection, model: Model, key: int) -> Matrix:
        with _understood():
            rows: list[tuple[int, list[float]]] = []
            for name in self._of_model(model):
                points, _ = self._client.scroll(
                    name, scroll_filter=_of([key]), limit=_MOST_PIECES, with_vectors=True, with_payload=True
                )
                rows += [((point.payload or {})["ordinal"], point.vector) for point in points]  # type: ignore[misc]
        matrix = np.array([vector for _, vector in sorted(rows)], dtype=np.float32)
        return matrix.reshape(len(rows), -1 if rows else 0)

    def count(self, connection: sa.Connection, model: Model) -> int:
        with _understood():
            return sum(self._client.count(name, exact=True).count for name in self._of_model(model))

    def check(self) -> None:
        with _understood():
            self._client.get_collections()

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()

    def _name(self, model: Model, dimensions: int) -> str:
        return f"{self._beginning(model)}{dimensions}"

    def _beginning(self, model: Model) -> str:
        # The names of models may hold anything, those of collections may not.
        digest = hashlib.sha256(repr((model.name, model.version)).encode()).hexdigest()
        return f"{self._prefix}{digest[:16]}_"

    def _of_model(self, model: Model) -> list[str]:
        return [name for name in self._collections() if name.startswith(self._beginning(model))]

    def _collections(self) -> list[str]:
        found = self._client.get_collections().collections
        return [collection.name for collection in found if collection.name.startswith(self._prefix)]

    def _is_there(self, name: str) -> bool:
        if name not in self._known and self._client.collection_exists(name):
            self._known.add(name)
        return name in self._known

    def _ensure(self, model: Model, dimensions: int) -> str:
        name = self._name(model, dimensions)
        with self._lock:
            if not self._is_there(name):
                self._make(name, dimensions)
        return name

    def _make(self, name: str, dimensions: int) -> None:
        vectors = models.VectorParams(size=dimensions, distance=models.Distance.COSINE)
        try:
            self._client.create_collection(name, vectors_config=vectors)
        except (UnexpectedResponse, ValueError):
            # Another process may have made it in this moment.
            if not self._client.collection_exists(name):
                raise
        for field in ("analysis", "ordinal"):
            self._client.create_payload_index(name, field, models.PayloadSchemaType.INTEGER, wait=True)

    def _delete(self, name: str, filters: Sequence[models.Filter]) -> None:
        if name:
            self._client.delete(name, models.FilterSelector(filter=models.Filter(should=list(filters))), wait=True)


def _of(keys: Sequence[int]) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key="analysis", match=models.MatchAny(any=list(keys)))])


def _from(key: int, ordinal: int) -> models.Filter:
    return models.Filter(
        must=[
            models.FieldCondition(key="analysis", match=models.MatchValue(value=key)),
            models.FieldCondition(key="ordinal", range=models.Range(gte=ordinal)),
        ]
    )


@contextmanager
def _understood() -> Iterator[None]:
    """Say what Qdrant's errors mean here."""
    try:
        yield
    except ResponseHandlingException as error:
        raise ProcessorUnavailable(f"Qdrant cannot be reached: {error}") from error
    except UnexpectedResponse as error:
        kind = (
            ProcessorUnavailable
            if error.status_code in {401, 403, 429} or (error.status_code or 500) >= 500
            else ProcessorError
        )
        raise kind(f"Qdrant refused: {error.reason_phrase} ({error.status_code})") from error
