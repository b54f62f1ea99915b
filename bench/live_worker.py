"""P9's worker: reports progress as a run does, and notes when each report was committed."""

from datetime import UTC, datetime

import holdfast
from bench import protocol
from holdfast.domain.events import Event
from holdfast.domain.progress import Progress
from holdfast.store.unit_of_work import UnitOfWork


def main() -> None:
    wanted = protocol.given()
    tally = protocol.Tally()
    name = wanted["analysis_id"]
    with holdfast.open(wanted["url"]) as hf:
        key = hf.store.read(lambda uow: uow.analyses.find(name))
        assert key is not None
        began = datetime.now(UTC)
        protocol.wait_for_go()
        for n, _ in enumerate(protocol.paced(wanted["number"], wanted["rate"])):
            now = datetime.now(UTC)
            progress = Progress(started_at=began, updated_at=now, items_processed=n, phase="Reading")
            event = Event(
                name="analysis.entered_phase", at=now, analysis_id=name, client_session_id="local", data={"n": n}
            )

            def report(uow: UnitOfWork, progress: Progress = progress, event: Event = event) -> None:
                uow.runs.progressed(key.key, progress)
                uow.ledger.append([event])

            hf.store.write(report)
            tally.start(0.0)
            # When it was committed, not how long it waited.
            tally.waits[-1] = tally.ended
    protocol.tell(tally)


if __name__ == "__main__":
    main()
