"""The processors of meaning and of relations, from what is stored to what is found."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.context import Context
from holdfast.domain.errors import AnalysisNotFound, EntityNotFound, InvalidInput, UnknownProcessor, WrongOwner
from holdfast.domain.processing import ProcessingStatus
from holdfast.domain.subjects import Subject
from holdfast.services.results import NewResult
from holdfast.store import tables
from tests.services.samples import opened
from tests.support.processes import spawn_python, wait_until

MUSIC = "Songs by the same artist that appear twice in the music library"
CODE = "Python functions in the repository that are too long and hard to test"


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    names = ("fulltext", "vector", "graph")
    with opened(database, processors=names) as holdfast:
        yield holdfast


def index(hf: Holdfast) -> None:
    """Let a worker do all that there is to be done."""
    hf.worker().run(until_idle=True)


def waiting(hf: Holdfast) -> bool:
    with hf.store.engine.read() as connection:
        return bool(connection.execute(sa.select(sa.exists().where(tables.jobs.c.kind.startswith("process")))).scalar())


def keep(hf: Holdfast, analysis_id: str, summary: str, owner: str = "local", **fields: Any) -> None:
    context = Context(client_session_id=owner, thread_id=fields.pop("thread_id", None))
    result = fields.pop("result", {})
    hf.store_analysis("task", result, analysis_id=analysis_id, summary=summary, context=context, **fields)


def found(hf: Holdfast, words: str, *by: str, caller: Caller | None = None) -> list[str]:
    return [hit.analysis.analysis_id for hit in hf.search.search(words, by=by, caller=caller or LOCAL).items]


def test_meaning_and_both(hf: Holdfast) -> None:
    keep(hf, "music", MUSIC)
    keep(hf, "code", CODE)
    keep(hf, "tune", "Tracks of a band found twice in an album collection")
    index(hf)
    assert found(hf, "melodies by a singer", "vector")[-1] == "code"
    assert set(found(hf, "music", "fulltext", "vector")) == {"music", "code", "tune"}
    assert found(hf, "music", "fulltext", "vector")[0] == "music"
    assert [hit.analysis.analysis_id for hit in hf.similar_analyses("music")] == ["tune", "code"]
    assert hf.similar_analyses("music")[0].score > hf.similar_analyses("music")[1].score
    assert hf.get_analysis("music").summary == MUSIC


def test_filters_come_before_the_limit(hf: Holdfast) -> None:
    for number in range(30):
        keep(hf, f"m{number}", MUSIC)
    keep(hf, "far", CODE, tags=["rare"])
    index(hf)
    assert found(hf, "songs tag:rare", "vector") == ["far"]


def test_nobody_finds_what_is_somebody_elses(hf: Holdfast) -> None:
    keep(hf, "mine", MUSIC, owner="me", thread_id="t")
    keep(hf, "theirs", MUSIC, owner="other", thread_id="t")
    index(hf)
    me = Caller(name="me", owner="me")
    assert found(hf, "songs", "vector", caller=me) == ["mine"]
    assert hf.relations.similar("mine", caller=me) == []
    with pytest.raises((WrongOwner, AnalysisNotFound)):
        hf.relations.similar("theirs", caller=me)
    with pytest.raises(EntityNotFound):
        hf.relations.neighbourhood("theirs", caller=me)
    near = hf.relations.neighbourhood("thread:t", hops=6, caller=me)
    assert {one.node.place.key for one in near.entities if one.node.place.kind == "analysis"} == {"mine"}
    assert hf.path("mine", "theirs").nodes == ()


def test_relations_of_a_task(hf: Holdfast) -> None:
    keep(
        hf,
        "one",
        "Which option",
        thread_id="conversation_456",
        tags=["decision"],
        subject=Subject(kind="task", key="task_123", title="Decision Analysis"),
        result={"recommendation": "Option A", "technologies": ["Python"]},
    )
    keep(hf, "two", "And then", thread_id="conversation_456")
    index(hf)
    near = {f"{one.node.place.kind}:{one.node.place.key}" for one in hf.neighbourhood("one").entities}
    assert near == {
        "analysis:one",
        "owner:local",
        "thread:conversation_456",
        "tag:decision",
        "task:task_123",
        "technology:python",
        "recommendation:Option A",
    }
    way = hf.path("technology:Python", "two").nodes
    assert [node.place.key for node in way] == ["python", "one", "conversation_456", "two"]


def test_deleted_leaves_both(hf: Holdfast) -> None:
    keep(hf, "one", MUSIC, thread_id="t")
    keep(hf, "two", MUSIC, thread_id="t")
    index(hf)
    hf.delete_analysis("two")
    assert found(hf, "songs", "vector") == ["one"]
    assert hf.path("one", "thread:t").nodes
    with pytest.raises(EntityNotFound):
        hf.neighbourhood("two")
    hf.delete_analysis("two", purge=True)
    index(hf)
    assert found(hf, "songs", "vector") == ["one"]


def test_processors_by_the_names_of_their_document(hf: Holdfast) -> None:
    keep(hf, "one", MUSIC)
    assert hf.process_pending_analyses("vector_store") == 1
    hf.worker(without=["graph_db"]).run(until_idle=True)
    assert hf.jobs.counts() == {("process.graph", "ready"): 1}
    assert found(hf, "songs", "vector_store") == ["one"]
    assert hf.process_pending_analyses("graph_db") == 1
    assert hf.reprocess_analysis("one", processors=["graph_db"])
    assert hf.jobs.counts() == {("process.graph", "ready"): 1}


def test_what_is_not_enabled_says_so(database: str) -> None:
    with opened(database, enable_vector_store=False, enable_graph_db=False) as hf:
        keep(hf, "one", MUSIC)
        with pytest.raises(UnknownProcessor):
            hf.similar_analyses("one")
        with pytest.raises(UnknownProcessor):
            hf.neighbourhood("one")


@pytest.mark.parametrize("hops", [0, 7])
def test_hops_have_a_limit(hf: Holdfast, hops: int) -> None:
    with pytest.raises(InvalidInput):
        hf.neighbourhood("one", hops=hops)


_WORK = """
import sys
from holdfast.bootstrap import open_holdfast
with open_holdfast(sys.argv[1], enable_vector_store=True, enable_graph_db=True, lease_seconds=1.0,
                   process_batch_size=5) as hf:
    worker = hf.worker()
    print("works", flush=True)
    worker.run()
"""


def content(hf: Holdfast) -> tuple[list[Any], list[Any]]:
    """All that the indexes hold."""
    with hf.store.engine.read() as connection:
        vectors = connection.exec_driver_sql(
            "SELECT analyses.analysis_id, vectors.ordinal, vectors.data FROM vectors"
            " JOIN analyses ON analyses.id = vectors.analysis ORDER BY 1, 2"
        ).all()
        edges = connection.exec_driver_sql(
            "SELECT analyses.analysis_id, a.kind, a.key, e.kind, b.kind, b.key FROM graph_edges AS e"
            " JOIN graph_nodes AS a ON a.id = e.source JOIN graph_nodes AS b ON b.id = e.target"
            " JOIN analyses ON analyses.id = e.analysis ORDER BY 1, 2, 3, 4, 5, 6"
        ).all()
    return [(row[0], row[1], bytes(row[2])) for row in vectors], [tuple(row) for row in edges]


def test_killed_workers_leave_what_one_worker_leaves(database: str, tmp_path: Any) -> None:
    results = [
        NewResult(
            kind="task",
            result={"technologies": [f"t{number % 7}"]},
            analysis_id=f"a{number}",
            summary=f"{MUSIC} {number}",
        )
        for number in range(120)
    ]
    # By the machine's clock: leases must end.
    with open_holdfast(database, enable_vector_store=True, enable_graph_db=True) as hf:
        hf.store_analyses(results)
        for kill in (True, True, False):
            with spawn_python(_WORK, database) as one, spawn_python(_WORK, database) as other:
                try:
                    before = len(content(hf)[0])
                    if kill:
                        wait_until(lambda: len(content(hf)[0]) > before or not waiting(hf), 60, "some to be indexed")  # noqa: B023
                    else:
                        wait_until(lambda: not waiting(hf), 60, "all to be indexed")
                finally:
                    one.kill()
                    other.kill()
        crashed = content(hf)
    assert [row[:2] for row in crashed[0]] == sorted((f"a{number}", 0) for number in range(120))
    with opened(f"sqlite:///{tmp_path / 'other.db'}", enable_vector_store=True, enable_graph_db=True) as calm:
        calm.store_analyses(results)
        index(calm)
        assert content(calm) == crashed


def test_both_tell_how_far_they_are(hf: Holdfast) -> None:
    keep(hf, "one", MUSIC)
    index(hf)
    states = {one.processor: one.status for one in hf.processing.of_analysis("one")}
    assert states.pop("substring") is ProcessingStatus.SKIPPED
    assert states == dict.fromkeys(("fulltext", "vector", "graph"), ProcessingStatus.COMPLETED)


def test_a_word_said_very_often_is_one_word(database: str) -> None:
    with open_holdfast(database, processors=("fulltext",)) as hf:
        kept = hf.store_analysis("note", {"t": "word " * 3_000 + "end"}, tags=["word"]).analysis_id
        hf.worker().run(until_idle=True)
        for asked in ("word", '"word word"', "end", "wo*", "tag:word"):
            assert [hit.analysis.analysis_id for hit in hf.search.search(asked).items] == [kept], asked
