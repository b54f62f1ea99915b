"""What analyses are about."""

from datetime import datetime

import sqlalchemy as sa

from holdfast.domain.subjects import Subject
from holdfast.store import tables
from holdfast.store.prepared import Prepared

_t = tables.subjects.c
_FIND = Prepared(
    lambda _: sa.select(_t.id).where(
        _t.kind == sa.bindparam("kind", type_=_t.kind.type), _t.key == sa.bindparam("key", type_=_t.key.type)
    )
)
_ENSURE = Prepared(lambda insert: insert(tables.subjects).on_conflict_do_nothing(index_elements=["kind", "key"]))


class Subjects:
    """The subjects of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def find(self, kind: str, key: str) -> int | None:
        """The internal key of a subject, or None."""
        found: int | None = _FIND.scalar(self._connection, {"kind": kind, "key": key})
        return found

    def ensure(self, subject: Subject, now: datetime) -> int:
        """The internal key of a subject, which is kept from now on."""
        row = {
            "kind": subject.kind,
            "key": subject.key,
            "title": subject.title,
            "attributes": subject.attributes,
            "created_at": now,
        }
        while True:
            # Found first: the usual case, and an upsert would make all its writers queue for one row.
            found = self.find(subject.kind, subject.key)
            if found is not None:
                return found
            # Until it is there: on PostgreSQL the one that stood in the way may have been forgotten since.
            _ENSURE.run(self._connection, row)
