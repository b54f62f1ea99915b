"""A back end that takes a call and never answers holds up its own index, for a while, and nothing else."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import pytest

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.processing import Document, Processing, ProcessingStatus
from holdfast.processors.contract import Surroundings, Write
from holdfast.services.results import NewResult
from tests.contract.processors import Tally
from tests.support.processes import wait_until

PATIENCE = 0.5


class Deaf:
    """A server that takes every connection and whatever is sent, and answers only once it is mended.

    Attributes:
        port: where.
        asked: how many connections there were.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._is_mended = False
        self._kept: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        # So that it looks now and then whether it is to end: to close a socket wakes nobody who waits for it.
        self._listening.settimeout(0.1)
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = self._listening.getsockname()[1]

    def mend(self) -> None:
        """Answer those who come from now on; whoever waits already goes on waiting."""
        self._is_mended = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed.set()
        self._thread.join()
        for one in (self._listening, *self._kept):
            one.close()

    def _serve(self) -> None:
        while not self._is_closed.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listening.accept()
                self._kept.append(connection)
                self.asked += 1
                if self._is_mended:
                    connection.sendall(b"done\n")


class Remote(Tally):
    """Asks a server before it indexes anything, and waits for its answer as long as it takes."""

    name = "tally"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._port = surroundings.options["port"]

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write:
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            assert connection.recv(5) == b"done\n"
        return super().process(documents, generations)


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    with Deaf() as server:
        yield server


def opened(database: str, **options: Any) -> Holdfast:
    return open_holdfast(database, process_timeout_seconds=PATIENCE, **options)


def remote(database: str, port: int) -> Holdfast:
    return opened(
        database,
        processors=("tally", "fulltext"),
        processor_classes=(Remote,),
        processor_options={"tally": {"port": port}},
    )


def rows(hf: Holdfast, name: str) -> list[Processing]:
    return [one for n in range(3) for one in hf.processing.of_analysis(f"n{n}") if one.processor == name]


def done(hf: Holdfast, name: str) -> Callable[[], bool]:
    return lambda: all(one.status is ProcessingStatus.COMPLETED for one in rows(hf, name))


def keep(hf: Holdfast) -> None:
    hf.store_analyses([NewResult(kind="note", result=n, analysis_id=f"n{n}") for n in range(3)])


def test_it_is_asked_again_and_indexed_once_it_answers(database: str, deaf: Deaf) -> None:
    with remote(database, deaf.port) as hf, hf.working():
        keep(hf)
        wait_until(done(hf, "fulltext"), 60, "the index that works")
        wait_until(lambda: deaf.asked >= 3, 60, "the one that hangs to be asked again")
        assert {one.status for one in rows(hf, "tally")} <= {ProcessingStatus.PENDING, ProcessingStatus.RUNNING}
        wait_until(lambda: all("has not returned" in (one.last_error or "") for one in rows(hf, "tally")), 60, "why")
        deaf.mend()
        wait_until(done(hf, "tally"), 60, "the one that hung")
        wait_until(lambda: not hf.jobs.counts(), 60, "the end of all jobs")


def test_a_rebuild_goes_on_once_it_answers(database: str, deaf: Deaf) -> None:
    with opened(database, processors=()) as hf:
        keep(hf)
    with remote(database, deaf.port) as hf, hf.working():
        wait_until(lambda: deaf.asked >= 1, 60, "the first call, which hangs")
        deaf.mend()
        wait_until(done(hf, "tally"), 60, "the index")
        wait_until(lambda: not hf.jobs.counts(), 60, "the end of all jobs")


@pytest.mark.parametrize("settings", [
    {"processors": ("graph",), "neo4j_uri": "bolt://127.0.0.1:{port}"},
    {"processors": ("vector",), "qdrant_url": "http://127.0.0.1:{port}"},
    {"processors": ("vector",), "embedder": "openai", "embedding_model": "m", "embedding_url": "http://127.0.0.1:{port}/v1"},
], ids=["neo4j", "qdrant", "openai"])  # fmt: skip
def test_clients_of_real_back_ends_are_left_as_well(database: str, deaf: Deaf, settings: dict[str, Any]) -> None:
    given = {
        name: value.format(port=deaf.port) if isinstance(value, str) else value for name, value in settings.items()
    }
    name = given["processors"][0]
    with opened(database, **given) as hf, hf.working():
        keep(hf)
        wait_until(lambda: deaf.asked >= 2, 60, "another call after the one that hangs")
        wait_until(lambda: all("has not returned" in (one.last_error or "") for one in rows(hf, name)), 60, "why")
        assert {one.status for one in rows(hf, name)} <= {ProcessingStatus.PENDING, ProcessingStatus.RUNNING}
