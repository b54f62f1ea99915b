"""A second database of the other dialect."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def other_database(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of the dialect that ``database`` is not of."""
    server = request.getfixturevalue("postgres_server")
    if database.startswith("postgresql"):
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    name = f"test_{uuid.uuid4().hex}"
    server.create_database(name, None)
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)
