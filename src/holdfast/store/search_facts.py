"""What is known of searches beside their results: with what they were made, what the library held, what owners want."""

from dataclasses import asdict
from datetime import datetime

import msgspec
import sqlalchemy as sa

from holdfast.domain.ports import MANIFEST
from holdfast.domain.triage import Preferences
from holdfast.store import tables
from holdfast.store.prepared import insert_into

_s = tables.duplicate_searches.c
_c = tables.checkpoints.c
_p = tables.duplicate_preferences.c


class SearchFacts:
    """The facts of searches, of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def note(self, analysis: int, owner: str, search_term: str, params_hash: str, created_at: datetime) -> None:
        """Remember by what an analysis was made."""
        row = {
            "analysis": analysis,
            "client_session_id": owner,
            "search_term": search_term,
            "params_hash": params_hash,
            "created_at": created_at,
        }
        insert = insert_into(self._connection)(tables.duplicate_searches)
        self._connection.execute(insert.on_conflict_do_nothing(), row)

    def searches(
        self, owner: str, *, search_term: str | None = None, params_hash: str | None = None, limit: int = 50
    ) -> list[int]:
        """The analyses of an owner that were made so, by their internal keys, newest first."""
        select = sa.select(_s.analysis).where(_s.client_session_id == owner)
        if search_term is not None:
            select = select.where(_s.search_term == search_term)
        if params_hash is not None:
            select = select.where(_s.params_hash == params_hash)
        ordered = select.order_by(_s.created_at.desc(), _s.analysis.desc()).limit(limit)
        return list(self._connection.execute(ordered).scalars())

    def keep_manifest(self, analysis: int, scope: str) -> None:
        """Keep what a run has checkpointed as its manifest, before its checkpoints go."""
        run = self._connection.execute
        run(sa.delete(tables.manifests).where(tables.manifests.c.analysis == analysis))
        kept = sa.select(sa.literal(analysis), _c.data).where(_c.scope == scope, _c.key == MANIFEST)
        run(sa.insert(tables.manifests).from_select(["analysis", "data"], kept))

    def manifest(self, analysis: int) -> bytes | None:
        """The manifest of an analysis, as checkpoints are encoded; None where there is none."""
        select = sa.select(tables.manifests.c.data).where(tables.manifests.c.analysis == analysis)
        data = self._connection.execute(select).scalar()
        return None if data is None else bytes(data)

    def preferences(self, owner: str) -> Preferences:
        """What an owner wants to be told of."""
        data = self._connection.execute(sa.select(_p.data).where(_p.client_session_id == owner)).scalar()
        return Preferences() if data is None else msgspec.convert(data, Preferences)

    def put_preferences(self, owner: str, preferences: Preferences, now: datetime) -> None:
        """Keep what an owner wants to be told of."""
        insert = insert_into(self._connection)(tables.duplicate_preferences)
        changed = {"data": insert.excluded.data, "updated_at": insert.excluded.updated_at}
        upsert = insert.on_conflict_do_update(index_elements=["client_session_id"], set_=changed)
        row = {"client_session_id": owner, "data": asdict(preferences), "updated_at": now}
        self._connection.execute(upsert, row)
