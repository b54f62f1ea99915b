"""Writers in several processes, and one that is killed."""

import signal

import holdfast
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import Strategy
from tests.support.processes import spawn_python

_PROCESSES, _THREADS, _EACH = 4, 8, 4

_WRITE = """
import sys, threading
from datetime import UTC, datetime, timedelta
import holdfast
from holdfast.domain.errors import VersionConflict
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import Strategy

url, process, threads, each = sys.argv[1], *map(int, sys.argv[2:])
START = datetime(2030, 1, 1, tzinfo=UTC)

def guarded(hf):
    while True:
        kept = hf.repositories.get_branch("r", "guarded")
        info = BranchInfo(name="guarded", metadata={"n": kept.metadata["n"] + 1})
        try:
            hf.sync.sync_branch_metadata("r", info, expected_version=kept.version)
        except VersionConflict as stale:
            # Both versions: what is kept now, and what was written against, unless that is too long ago.
            told = stale.details
            assert told["version"] > kept.version
            assert told["current"]["metadata"]["n"] > kept.metadata["n"]
            if told["version"] - kept.version < 64:
                assert told["base"]["metadata"] == kept.metadata
            continue
        return

def write(hf, writer):
    for number in range(each):
        guarded(hf)
        place = number * 1000 + (writer * 7) % 32
        at = START + timedelta(seconds=place)
        hf.sync.sync_branch_metadata("r", BranchInfo(name="latest", commit_sha=f"{place:09}", declared_at=at))
        hf.repositories.store_branches("r", [BranchInfo(name=f"new-{number}")])
        while True:
            kept = hf.repositories.get_branch("r", "merged")
            metadata = kept.metadata | {"n": kept.metadata["n"] + 1, f"w{writer}": number}
            info = BranchInfo(name="merged", metadata=metadata, declared_at=at, base_version=kept.version)
            try:
                hf.sync.sync_branch_metadata("r", info, strategy=Strategy.MERGE)
            except VersionConflict:
                continue
            break

failed = []

def run(hf, writer):
    try:
        write(hf, writer)
    except BaseException as error:
        failed.append(error)

with holdfast.open(url, sync_counters=("metadata.n",)) as hf:
    sys.stdin.readline()
    writers = [threading.Thread(target=run, args=(hf, process * threads + one)) for one in range(threads)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
if failed:
    raise failed[0]
print("done")
"""


def test_no_update_is_lost(database: str) -> None:
    with holdfast.open(database) as hf:
        hf.repositories.store_repository("r")
        hf.repositories.store_branches(
            "r", [BranchInfo(name=name, metadata={"n": 0}) for name in ("merged", "guarded")]
        )
        arguments = [str(number) for number in (_THREADS, _EACH)]
        processes = [spawn_python(_WRITE, database, str(number), *arguments) for number in range(_PROCESSES)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            out, _ = process.communicate(timeout=300)
            assert out == "done\n"
        merged = hf.repositories.get_branch("r", "merged").metadata
        assert merged["n"] == _PROCESSES * _THREADS * _EACH
        writers = {f"w{writer}": _EACH - 1 for writer in range(_PROCESSES * _THREADS)}
        assert merged == {"n": merged["n"]} | writers
        assert hf.repositories.get_branch("r", "latest").commit_sha == f"{(_EACH - 1) * 1000 + 31:09}"
        assert hf.repositories.get_branch("r", "guarded").metadata == {"n": merged["n"]}
        names = [one.name for one in hf.repositories.get_branches("r").items]
        assert names == ["guarded", "latest", "merged", *(f"new-{number}" for number in range(_EACH))]


_CONFLICT = """
import os, signal, sys
import holdfast
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import Strategy
hf = holdfast.open(sys.argv[1])
done = hf.sync.sync_branch_metadata("r", BranchInfo(name="main", commit_sha="c2"), strategy=Strategy.MANUAL)
print(done.conflict.conflict_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_conflict_outlives_who_made_it(database: str) -> None:
    with holdfast.open(database) as hf:
        hf.repositories.store_repository("r")
        hf.sync.sync_branch_metadata("r", BranchInfo(name="main", commit_sha="c1"))
        with spawn_python(_CONFLICT, database) as process:
            out, _ = process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL
        (kept,) = hf.sync.get_conflicts().items
        assert kept.conflict_id == out.strip()
        assert (kept.local["commit_sha"], kept.remote["commit_sha"]) == ("c1", "c2")
        torn = hf.sync.sync_branch_metadata("r", BranchInfo(name="main", commit_sha="c2"), strategy=Strategy.MANUAL)
        assert torn.conflict is not None
        assert torn.conflict.conflict_id == kept.conflict_id
