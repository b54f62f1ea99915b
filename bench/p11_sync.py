"""P11: many writers of one branch, in four processes, under each way of settling them; many branches in one batch.

Updates count as lost when a merged counter does not come to as many as were written, when the branch does not end with
the latest version, or when what a writer was told is not kept. Stale writes must be answered with both versions.
"""

import multiprocessing
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import holdfast
from bench import floors
from bench.floors import Stores
from bench.report import Options, Report, quantile, ratio, run, spread
from holdfast.domain.errors import VersionConflict
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import Strategy
from holdfast.store.branches import KEPT_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

_PROCESSES = 4
_THREADS = 8
_START = datetime(2030, 1, 1, tzinfo=UTC)
_BATCH = 500
_BATCH_GOAL = 250


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _writers(options, report, stores)
            _ends(options, report, stores)
            _batches(options, report, stores)


def _writers(options: Options, report: Report, stores: Stores) -> None:
    each = options.pick(5, 1_000)
    total = _PROCESSES * _THREADS * each
    for way in (Strategy.LATEST_WINS, Strategy.MERGE, _GUARDED):
        url = stores.fresh()
        with holdfast.open(url) as hf:
            hf.repositories.store_repository("r")
            hf.sync.sync_branch_metadata("r", BranchInfo(name="main", declared_at=_START, metadata={"n": 0}))
            began = time.perf_counter()
            _in_processes(url, each, way)
            seconds = time.perf_counter() - began
            kept = hf.repositories.get_branch("r", "main")
            latest = f"{_PROCESSES * _THREADS * each:09}"
            found = total * (kept.commit_sha == latest) if way is Strategy.LATEST_WINS else kept.metadata["n"]
            name = f"{stores.dialect}: 32 writers x {each:,} updates of one branch, {way}"
            report.add("P11", f"{name}: lost updates", total - found, "", goal="0", met=found == total)
            report.add("P11", f"{name}: updates", total / seconds, "/s")


def _ends(options: Options, report: Report, stores: Stores) -> None:
    """How often 32 writers at once end with the latest version."""
    runs = options.pick(3, 100)
    with holdfast.open(stores.fresh()) as hf, ThreadPoolExecutor(_PROCESSES * _THREADS) as pool:
        hf.repositories.store_repository("r")
        chance = random.Random(7)
        right = 0
        for run in range(runs):
            places = list(range(_PROCESSES * _THREADS))
            chance.shuffle(places)

            def write(place: int, run: int = run) -> None:
                at = _START + timedelta(microseconds=place)
                hf.sync.sync_branch_metadata("r", BranchInfo(name=f"b{run}", commit_sha=str(place), declared_at=at))

            list(pool.map(write, places))
            right += hf.repositories.get_branch("r", f"b{run}").commit_sha == str(len(places) - 1)
    name = f"{stores.dialect}: runs of {runs} that end with the latest of 32 versions"
    report.add("P11", name, right, "", goal=f"{runs}", met=right == runs)


def _in_processes(url: str, each: int, way: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_process, args=(url, number, each, str(way))) for number in range(_PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0, "a writer failed"


def _process(url: str, process: int, each: int, way: str) -> None:
    write: Callable[..., None] = _WAYS[way]
    with holdfast.open(url, sync_counters=("metadata.n",)) as hf:
        failed: list[BaseException] = []

        def thread(writer: int) -> None:
            try:
                for number in range(1, each + 1):
                    write(hf, writer, number)
            except BaseException as error:  # noqa: BLE001 told by the process
                failed.append(error)

        threads = [threading.Thread(target=thread, args=(process * _THREADS + one,)) for one in range(_THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        if failed:
            raise failed[0]


def _declared(hf: holdfast.Holdfast, writer: int, number: int) -> None:
    """A version of its own moment; the latest of all is the last one of the last writer."""
    place = (number - 1) * _PROCESSES * _THREADS + writer + 1
    info = BranchInfo(name="main", commit_sha=f"{place:09}", declared_at=_START + timedelta(microseconds=place))
    hf.sync.sync_branch_metadata("r", info, strategy=Strategy.LATEST_WINS)


def _merged(hf: holdfast.Holdfast, writer: int, number: int) -> None:
    """One more than what was read; read again if by then too many others have written."""
    while True:
        kept = hf.repositories.get_branch("r", "main")
        at = _START + timedelta(microseconds=number * 1_000 + writer)
        info = BranchInfo(
            name="main",
            metadata=kept.metadata | {"n": kept.metadata["n"] + 1, f"w{writer}": number},
            declared_at=at,
            base_version=kept.version,
        )
        try:
            hf.sync.sync_branch_metadata("r", info, strategy=Strategy.MERGE)
        except VersionConflict:
            continue
        return


def _guarded(hf: holdfast.Holdfast, writer: int, number: int) -> None:
    """One more than what was read, refused where that is not the present version."""
    while True:
        kept = hf.repositories.get_branch("r", "main")
        info = BranchInfo(
            name="main",
            metadata=kept.metadata | {"n": kept.metadata["n"] + 1, f"w{writer}": number},
            declared_at=kept.declared_at + timedelta(microseconds=1),
        )
        try:
            hf.sync.sync_branch_metadata("r", info, expected_version=kept.version)
        except VersionConflict as stale:
            told = stale.details
            assert told["current"]["metadata"]["n"] > kept.metadata["n"], "a stale write was not told what is kept"
            if told["version"] - kept.version < KEPT_VERSIONS:
                assert told["base"]["metadata"] == kept.metadata, "a stale write was not told what it began with"
            continue
        return


_GUARDED = "guarded"
_WAYS = {Strategy.LATEST_WINS.value: _declared, Strategy.MERGE.value: _merged, _GUARDED: _guarded}


def _batches(options: Options, report: Report, stores: Stores) -> None:
    url = stores.fresh()
    rounds = options.pick(5, 15)
    with holdfast.open(url) as hf:
        new = []
        for repo_id in ("floor", *(f"r{number}" for number in range(rounds)), "r"):
            hf.repositories.store_repository(repo_id)
            said = [BranchInfo(name=_name(number), commit_sha="c", declared_at=_START) for number in range(_BATCH)]
            began = time.perf_counter()
            _sync(hf, repo_id, said)
            new.append(time.perf_counter() - began)
        _tell(report, stores, "new", new)
        _sync(hf, "floor", _said(0))
        floor = _Floor(url)
        moved: list[float] = []
        least: list[float] = []

        def move(turn: int) -> None:
            said = _said(turn + 1)
            began = time.perf_counter()
            _sync(hf, "r", said)
            moved.append(time.perf_counter() - began)

        def move_least(turn: int) -> None:
            began = time.perf_counter()
            floor.move(turn + 1)
            least.append(time.perf_counter() - began)

        floors.taking_turns(rounds, move, move_least)
        floor.close()
        _tell(report, stores, "all moved", moved, least)
        again = []
        for _ in range(rounds):
            began = time.perf_counter()
            _sync(hf, "r", _said(rounds))
            again.append(time.perf_counter() - began)
        _tell(report, stores, "unchanged", again)


def _name(number: int) -> str:
    return f"team/topic-{number}"


def _said(place: int) -> list[BranchInfo]:
    return [
        BranchInfo(
            name=_name(number),
            commit_sha=f"moved-{place}-{number}",
            declared_at=_START + timedelta(seconds=place),
            metadata={"author": "ann", "labels": ["a", "b"]},
        )
        for number in range(_BATCH)
    ]


def _sync(hf: holdfast.Holdfast, repo_id: str, said: list[BranchInfo]) -> None:
    assert hf.sync.sync_multiple_branches(repo_id, said).synced == len(said)


def _tell(report: Report, stores: Stores, what: str, seconds: list[float], least: list[float] | None = None) -> None:
    middle = quantile(seconds, 0.5) * 1000
    report.add(
        "P11",
        f"{stores.dialect}: {_BATCH} branches in one transaction, {what}",
        middle,
        "ms",
        ratio=None if least is None else ratio(seconds, least),
        against="" if least is None else spread(seconds, least, "the driver"),
        goal=f"<= {_BATCH_GOAL} ms",
        met=middle <= _BATCH_GOAL,
    )


class _Floor:
    """The same rows by the driver alone: branches held and changed, their versions, and the ledger."""

    def __init__(self, url: str) -> None:
        self._raw = floors.Raw(url)
        found = "SELECT id FROM repositories WHERE repo_id = 'floor'"
        ((self._repository,),) = self._raw.fetch(found)
        self._raw.commit()

    def move(self, place: int) -> None:
        """Move every branch."""
        raw = self._raw
        raw.begin()
        held = "" if raw.dialect == "sqlite" else " FOR UPDATE"
        found = raw.fetch(
            f"SELECT id, name, commit_sha, metadata, version, declared_at FROM branches WHERE repository = ?{held}",
            (self._repository,),
        )
        said = [(id_, f"moved-{place}-{id_}", version + 1, 1_000_000 * place) for id_, _, _, _, version, _ in found]
        content = '{"commit_sha":"c","is_default":false,"last_commit_date":null,"metadata":{"author":"ann"}}'
        event = '{"repo_id":"floor","branch":"team/topic-1","version":1,"commit_sha":"moved"}'
        if raw.dialect == "sqlite":
            raw.run_many(
                "UPDATE branches SET commit_sha = ?, version = ?, declared_at = ? WHERE id = ?",
                [(sha, version, at, id_) for id_, sha, version, at in said],
            )
            raw.run_many(
                f"INSERT INTO branch_versions ({_KEPT}) VALUES (?, ?, ?, ?, 'local', ?)",
                [(id_, version, content, at, at) for id_, _, version, at in said],
            )
            raw.run_many(
                f"INSERT INTO ledger ({_TOLD}) VALUES (0, ?, 'branch.changed', 'local', 'local', ?)",
                [(at, event) for *_, at in said],
            )
        else:
            given = [list(column) for column in zip(*said, strict=True)]
            rows = "unnest(?::bigint[], ?::text[], ?::int[], ?::bigint[]) AS given(id, sha, version, at)"
            raw.run(
                "UPDATE branches SET commit_sha = given.sha, version = given.version, declared_at = given.at "
                f"FROM {rows} WHERE branches.id = given.id",
                given,
            )
            raw.run(
                f"INSERT INTO branch_versions ({_KEPT}) SELECT id, version, ?, at, 'local', at FROM {rows}",
                [content, *given],
            )
            raw.run(
                f"INSERT INTO ledger ({_TOLD}) SELECT pg_current_xact_id()::text::bigint, at, 'branch.changed', "
                f"'local', 'local', ? FROM {rows}",
                [event, *given],
            )
        raw.commit()

    def close(self) -> None:
        self._raw.close()


_KEPT = "branch, version, content, declared_at, declared_by, kept_at"
_TOLD = '"transaction", at, name, client_session_id, actor, data'


if __name__ == "__main__":
    run({"p11": measure})
