"""Many analyses at once: rows go straight into the store's tables, past every rule, in the form a store gives them.

Skewed as real data are: a few owners have most, most tags are on few rows. What is called rare is on ``RARE`` rows
however many there are, so that a page of it holds as much in a small store as in a large one.
"""

import random
from collections.abc import Iterator
from typing import Any

import holdfast
from bench.floors import Raw
from holdfast.domain.context import Context

RARE = 150
BEGINNING = 1_700_000_000_000_000
BETWEEN = 1_000_000
_KINDS = (("code", 0.6), ("duplicates", 0.3), ("licences", 0.09), ("coverage", 0.01))
_STATUSES = (("completed", 0.93), ("failed", 0.05), ("timed_out", 0.01), ("cancelled", 0.01))
_TAGS = (("nightly", 0.4), ("main", 0.3), ("release", 0.02), ("audit", 0.01))
_CHUNK = 20_000


def fill(url: str, count: int) -> None:
    """Put ``count`` analyses, one a second, and what they refer to into an empty store."""
    seed = random.Random(count)
    with holdfast.open(url) as hf:
        subject = holdfast.Subject(kind="repository", key="subject-0", revision="r")
        context = Context(client_session_id="owner-0", thread_id="t", session_id="s", process_instance_id="p")
        known = hf.store_analysis("code", {"n": 0}, subject=subject, context=context, tags=["main"])
    raw = Raw(url)
    template = raw.row("SELECT * FROM analyses WHERE analysis_id = ?", [known.analysis_id])
    del template["id"]
    subject_row = raw.row("SELECT * FROM subjects")
    first_subject = subject_row.pop("id")
    rows = ([*(subject_row | {"key": f"subject-{n}"}).values()] for n in range(1, count // 20 + 1))
    raw.load("subjects", list(subject_row), list(rows))
    last_id: int = raw.fetch("SELECT max(id) FROM analyses")[0][0]
    raw.commit()
    rare = {name: set(seed.sample(range(count), min(RARE, count))) for name in _RARE}
    made = _analyses(count, seed, template, first_subject, rare)
    for start in range(0, count, _CHUNK):
        chunk = [next(made) for _ in range(min(_CHUNK, count - start))]
        raw.load(
            "analyses",
            ["id", *template],
            [[last_id + 1 + start + n, *row.values()] for n, (row, _) in enumerate(chunk)],
        )
        tags = [
            (tag, row["created_at"], last_id + 1 + start + n, row["client_session_id"])
            for n, (row, own) in enumerate(chunk)
            for tag in own
        ]
        raw.load("tags", ["tag", "created_at", "analysis", "client_session_id"], tags)
    if raw.dialect == "postgresql":
        raw.run("SELECT setval(pg_get_serial_sequence('analyses', 'id'), ?)", [last_id + count])
        raw.commit()
    raw.settle()
    raw.close()


_RARE = ("owner", "kind", "status", "tag", "subject", "thread", "session", "process")


def _analyses(
    count: int, seed: random.Random, template: dict[str, Any], first_subject: int, rare: dict[str, set[int]]
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    owners = max(count // 50, 10)
    for n in range(count):
        # Some were asked for in the same microsecond.
        at = BEGINNING + (n - n % 7 // 6) * BETWEEN
        tags = sorted(tag for tag, part in _TAGS if seed.random() < part)
        row = template | {
            "analysis_id": f"bench-{n:010d}",
            "kind": "rare" if n in rare["kind"] else _pick(seed, _KINDS),
            "status": "running" if n in rare["status"] else _pick(seed, _STATUSES),
            "client_session_id": "owner-rare" if n in rare["owner"] else f"owner-{int(owners * seed.random() ** 4)}",
            "thread_id": "thread-rare" if n in rare["thread"] else _maybe(seed, 0.5, "thread", count // 10),
            "session_id": "session-rare" if n in rare["session"] else _maybe(seed, 0.3, "session", count // 50),
            "process_instance_id": "process-rare"
            if n in rare["process"]
            else _maybe(seed, 0.05, "process", count // 50),
            "subject": first_subject if n in rare["subject"] else first_subject + 1 + int(count // 20 * seed.random()),
            "fingerprint": f"{seed.getrandbits(256):064x}",
            "tags": "[" + ",".join(f'"{tag}"' for tag in tags) + "]",
            "created_at": at,
            "updated_at": at,
            "started_at": at,
            "completed_at": at,
        }
        yield row, [*tags, "rare"] if n in rare["tag"] else tags


def _pick(seed: random.Random, choices: tuple[tuple[str, float], ...]) -> str:
    at = seed.random()
    for name, part in choices:
        at -= part
        if at < 0:
            return name
    return choices[0][0]


def _maybe(seed: random.Random, part: float, name: str, among: int) -> str | None:
    return f"{name}-{int(among * seed.random())}" if seed.random() < part else None
