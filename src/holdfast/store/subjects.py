"""What analyses are about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.subjects import Subject
from holdfast.store import tables
from holdfast.store.prepared import Prepared
from holdfast.store.together import Together

_t = tables.subjects.c
_AT_ONCE = 500
_FIND = Prepared(
    lambda _: sa.select(_t.id).where(
        _t.kind == sa.bindparam("kind", type_=_t.kind.type), _t.key == sa.bindparam("key", type_=_t.key.type)
    )
)
_ENSURE = Together.insert(
    tables.subjects,
    ("kind", "key", "title", "attributes", "created_at"),
    lambda insert: insert.on_conflict_do_nothing(index_elements=["kind", "key"]),
)


class Subjects:
    """The subjects of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def find(self, kind: str, key: str) -> int | None:
        """The internal key of a subject, or None."""
        found: int | None = _FIND.scalar(self._connection, {"kind": kind, "key": key})
        return found

    def ensure_many(self, subjects: Sequence[Subject], now: datetime) -> dict[str, int]:
        """The internal keys of subjects of one kind, which are kept from now on, by their keys."""
        found: dict[str, int] = {}
        # In one order for all writers, so that two of them never wait for each other's rows.
        missing = sorted(subjects, key=lambda subject: subject.key)
        while missing:
            for start in range(0, len(missing), _AT_ONCE):
                some = [subject.key for subject in missing[start : start + _AT_ONCE]]
                select = sa.select(_t.key, _t.id).where(_t.kind == missing[0].kind, _t.key.in_(some))
                found.update((row.key, row.id) for row in self._connection.execute(select))
            missing = [subject for subject in missing if subject.key not in found]
            _ENSURE.run(self._connection, [_values(subject, now) for subject in missing])
        return found

    def ensure(self, subject: Subject, now: datetime) -> int:
        """The internal key of a subject, which is kept from now on."""
        row = _values(subject, now)
        while True:
            # Found first: the usual case, and an upsert would make all its writers queue for one row.
            found = self.find(subject.kind, subject.key)
            if found is not None:
                return found
            # Until it is there: on PostgreSQL the one that stood in the way may have been forgotten since.
            _ENSURE.run(self._connection, [row])


def _values(subject: Subject, now: datetime) -> dict[str, Any]:
    return {
        "kind": subject.kind,
        "key": subject.key,
        "title": subject.title,
        "attributes": subject.attributes,
        "created_at": now,
    }
