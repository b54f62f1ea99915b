"""kill -9 of writers, of workers, of the database."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

import holdfast
from holdfast.domain.analysis import Status
from holdfast.domain.jobs import NewJob
from holdfast.store import tables
from tests.analyzers.sample_analyzers import Map
from tests.durability import actors
from tests.support.postgres import PostgresServer
from tests.support.processes import kill_tree, wait_until

KILLS = 200
THREADS = 16


@pytest.fixture(params=["sqlite", "postgresql"])
def durable_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, PostgresServer | None]]:
    """A database that waits for the disk, and its server, which is the test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'holdfast.db'}", None
        return
    with PostgresServer(durable=True) as server:
        server.create_database("holdfast")
        yield server.url("holdfast"), server


@pytest.mark.long
@pytest.mark.timeout(600)
def test_acknowledged_results_survive_kill_9(durable_database: tuple[str, PostgresServer | None]) -> None:
    url, server = durable_database
    with holdfast.open(url):
        pass
    chance = random.Random(7)
    acknowledged: list[str] = []
    for kill in range(KILLS):
        reader, writer = actors.context().Pipe(duplex=False)
        process = actors.start(actors.acknowledged_writes, url, f"k{kill}", THREADS, writer)
        writer.close()
        # The first acknowledgement says that all are writing; then a random moment.
        with open(reader.fileno(), "rb", closefd=False) as stream:
            acknowledged.append(stream.readline().decode().strip())
            time.sleep(chance.random() * 0.03)
            if server is not None and kill % 20 == 19:
                server.kill()
            process.kill()
            lines = stream.read().decode().split("\n")
        # A line that was cut off was not read by anybody.
        acknowledged.extend(lines[:-1])
        process.join()
        reader.close()
        if server is not None and kill % 20 == 19:
            server.start()
    with holdfast.open(url) as hf:
        assert hf.engine.check() == []
        kept = _kept(hf)
        assert [analysis_id for analysis_id in acknowledged if analysis_id not in kept] == []
        for analysis_id in chance.sample(acknowledged, 200):
            assert hf.get_result(analysis_id)["id"] == analysis_id
            assert hf.get_findings(analysis_id)[0].title == analysis_id
        # Nothing half stored: whatever is there is whole, and the figures agree with the rows.
        assert hf.get_stats().total_results == len(kept)
        with hf.engine.read() as connection:
            for table in (tables.findings, tables.metrics):
                count = sa.select(sa.func.count()).select_from(table)
                assert connection.execute(count).scalar_one() == len(kept)
            references = sa.select(sa.func.sum(tables.payloads.c.reference_count))
            assert connection.execute(references).scalar_one() == len(kept)
        # And it goes on.
        assert hf.store_analysis("after", {}).status is Status.COMPLETED
    assert len(acknowledged) > KILLS


def _kept(hf: holdfast.Holdfast) -> set[str]:
    with hf.engine.read() as connection:
        return set(connection.execute(sa.select(tables.analyses.c.analysis_id)).scalars())


@pytest.mark.timeout(300)
def test_every_job_has_its_effect_once_though_workers_are_killed(database: str) -> None:
    total = 2000
    with holdfast.open(database) as hf:
        workers = [actors.start(actors.work, database) for _ in range(4)]
        for start in range(0, total, 100):
            hf.jobs.enqueue([NewJob(kind=actors.COUNTED, payload={"number": start + n}) for n in range(100)])
            if start in {600, 1200}:
                victim = workers.pop()
                wait_until(lambda: _done(hf), 30, "some work done")
                victim.kill()
        wait_until(lambda: sum(hf.jobs.counts().values()) == 0, 120, "all jobs gone")
        for worker in workers:
            worker.kill()
        effects = _done(hf)
        assert len(effects) == total
        assert set(effects.values()) == {1}


def _done(hf: holdfast.Holdfast) -> Counter[str]:
    with hf.engine.read() as connection:
        rows = connection.execute(
            sa.select(tables.ledger.c.analysis_id).where(tables.ledger.c.name == "test.done")
        ).scalars()
        return Counter(str(row) for row in rows)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("processes", [2, 4])
def test_many_threads_of_many_processes_see_no_lock(database: str, processes: int) -> None:
    pipes = []
    for number in range(processes):
        reader, writer = actors.context().Pipe(duplex=False)
        pipes.append((reader, actors.start(actors.contend, database, f"p{number}", 8, 8.0, writer)))
    reports = [reader.recv() for reader, _ in pipes]
    for reader, process in pipes:
        process.join()
        reader.close()
    assert [error for _, errors in reports for error in errors] == []
    with holdfast.open(database) as hf:
        assert hf.get_stats().total_results == sum(count for count, _ in reports) > 0


def _run_worker(url: str) -> None:
    with holdfast.open(url, lease_seconds=1, processes=2) as hf:
        hf.registry.register(Map)
        hf.worker().run()


@pytest.mark.timeout(120)
def test_a_run_goes_on_where_its_killed_worker_stopped(database: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    count = 120
    with holdfast.open(database, lease_seconds=1) as hf:
        hf.registry.register(Map)
        params = {"count": count, "longest": 0.1, "log": str(log)}
        analysis_id = hf.submit(Map.kind, "it", params=params).analysis.analysis_id
        first = actors.start(_run_worker, database)
        wait_until(lambda: len(log.read_text().split()) > count // 2, 60, "half of the parts")
        kill_tree(psutil.Process(first.pid))
        done = len(log.read_text().split())
        saved = _checkpoints(hf)
        second = actors.start(_run_worker, database)
        analysis = hf.wait(analysis_id, timeout=60)
        second.terminate()
        assert analysis.status is Status.COMPLETED
        assert analysis.attempt == 2
        assert [attempt.status for attempt in hf.queries.attempts(analysis_id)] == [Status.QUEUED, Status.COMPLETED]
        runs = Counter(log.read_text().split())
        assert len(runs) == count
        # Only what was computed but not yet checkpointed is computed again.
        assert saved > 0
        assert sum(runs.values()) - count <= done - saved
        assert _checkpoints(hf) == 0
        names = [entry.event.name for entry in hf.queries.events(analysis_id)]
        assert names.count("analysis.completed") == 1
        assert "analysis.interrupted" in names


def _checkpoints(hf: holdfast.Holdfast) -> int:
    with hf.engine.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(tables.checkpoints)).scalar_one()
