"""P7's floor: claim by UPDATE .. RETURNING, then DELETE and the effect's row, two commits, on the driver itself."""

import json
import time
from datetime import UTC, datetime

from bench import protocol
from bench.floors import Raw

_CLAIM = (
    "UPDATE jobs SET status = 'leased', lease_owner = ?, lease_until = ?, attempt = attempt + 1 WHERE id IN "
    "(SELECT id FROM jobs WHERE status = 'ready' AND kind = 'bench' AND run_at <= ? "
    "ORDER BY rank, run_at, id LIMIT ?{}) RETURNING id, payload"
)
_DONE = "DELETE FROM jobs WHERE id = ? AND lease_owner = ?"
_EFFECT = (
    "INSERT INTO ledger (at, name, analysis_id, client_session_id, actor, data) "
    "VALUES (?, 'bench.done', ?, NULL, 'system', '{}')"
)


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000)


def main() -> None:
    wanted = protocol.given()
    raw, tally = Raw(wanted["url"]), protocol.Tally()
    claim = _CLAIM.format("" if raw.dialect == "sqlite" else " FOR UPDATE SKIP LOCKED")
    owner = f"floor-{time.monotonic_ns()}"
    protocol.wait_for_go()
    tally.began = time.time()
    while True:
        raw.begin()
        now = _now()
        claimed = raw.fetch(claim, [owner, now + 30_000_000, now, wanted["batch"]])
        raw.commit()
        if not claimed:
            break
        payloads = [json.loads(payload) for _, payload in claimed]
        for payload in payloads:
            tally.start(payload["at"])
        raw.begin()
        raw.run_many(_DONE, [(key, owner) for key, _ in claimed])
        raw.run_many(_EFFECT, [(now, f"job-{payload['n']}") for payload in payloads])
        raw.commit()
    tally.ended = time.time()
    raw.close()
    protocol.tell(tally)


if __name__ == "__main__":
    main()
