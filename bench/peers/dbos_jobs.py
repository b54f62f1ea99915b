"""No-op workflows through a DBOS queue, on SQLite or PostgreSQL, each process an executor of its own.

Its documentation recommends a worker concurrency for queues with several workers. Its queue looks for work once a
second by default; here it does so twenty times a second, which helps it. A job here has no effect at all.
"""

import importlib
import logging
import os
import time
from typing import Any

from bench import protocol

# Installed in .venv-peers only, where no type checker looks.
dbos: Any = importlib.import_module("dbos")

_QUEUE = "bench"
_ENQUEUED = ["ENQUEUED", "PENDING"]


def main() -> None:
    wanted = protocol.given()
    role, number = wanted["role"], wanted["number"]
    tally = protocol.Tally()

    def noop(n: int, at: float) -> None:
        tally.start(at)

    dbos.DBOS(
        config={
            "name": "bench",
            "system_database_url": wanted["url"],
            "executor_id": f"{role}-{os.getpid()}",
            "application_version": "1",
            "log_level": "ERROR",
        }
    )
    workflow = dbos.DBOS.workflow(name="noop")(noop)
    logging.disable(logging.ERROR)
    if role in {"enqueue", "pace"}:
        # This process must not do the work itself.
        dbos.DBOS.listen_queues(["nothing"])
        dbos.DBOS.launch()
        dbos.DBOS.register_queue(
            _QUEUE,
            worker_concurrency=wanted["concurrency"],
            polling_interval_sec=wanted["polling"],
            on_conflict="always_update",
        )
        protocol.wait_for_go()
        if role == "enqueue":
            at = time.time()
            for n in range(number):
                dbos.DBOS.enqueue_workflow(_QUEUE, workflow, n, at)
        else:
            for n, at in enumerate(protocol.paced(number, wanted["rate"])):
                dbos.DBOS.enqueue_workflow(_QUEUE, workflow, n, at)
    else:
        protocol.wait_for_go()
        dbos.DBOS.launch()
        if role == "work":
            while dbos.DBOS.list_workflows(status=_ENQUEUED, limit=1, load_input=False):
                time.sleep(0.2)
        else:
            while tally.done < number:
                time.sleep(0.2)
    dbos.DBOS.destroy()
    protocol.tell(tally)


if __name__ == "__main__":
    main()
