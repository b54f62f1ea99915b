"""What has changed in music libraries since they were searched."""

from dataclasses import dataclass

from holdfast.analyzers.codec import decode_value
from holdfast.analyzers.duplicates.manifest import Manifest, compare
from holdfast.analyzers.duplicates.params import read_params
from holdfast.analyzers.duplicates.readers import open_library
from holdfast.analyzers.registry import Registry
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.errors import ManifestNotFound
from holdfast.domain.freshness import NAMED, Changes
from holdfast.store.searches import search
from holdfast.store.unit_of_work import Store, UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryChanges:
    """A library then and now.

    Attributes:
        changes: what was added, modified and deleted since; playing a song changes nothing.
        tracks_before: how many tracks there were.
        tracks_now: how many there are.
        revision: the library's revision now.
    """

    changes: Changes
    tracks_before: int
    tracks_now: int
    revision: str


class LibrariesService:
    """The use cases of libraries."""

    def __init__(self, store: Store, registry: Registry) -> None:
        """Compare with what is kept in ``store``, by the analyzers of ``registry``."""
        self._store = store
        self._registry = registry

    def changes(self, analysis_id: str, *, caller: Caller = LOCAL) -> LibraryChanges:
        """What has changed in a library since an analysis; reads the library unless its revision is the same.

        Args:
            analysis_id: the analysis.
            caller: who asks.

        Raises:
            ManifestNotFound: what the library held then was not kept.
            InvalidTarget: the library cannot be read any more.
        """

        def look(uow: UnitOfWork) -> tuple[str, str, dict[str, object], str, bytes]:
            stored = search(uow, analysis_id, caller)
            value, data = stored.value, uow.search_facts.manifest(stored.key)
            if data is None or value.subject is None:
                raise ManifestNotFound(analysis_id=analysis_id)
            return value.kind, value.location, value.params, value.subject.revision, data

        kind, location, params, revision, data = self._store.read(look)
        before = Manifest.from_bytes(decode_value(data))
        now = self._registry.get(kind).resolve(location, params).subject.revision
        if now == revision:
            return LibraryChanges(changes=Changes(), tracks_before=len(before), tracks_now=len(before), revision=now)
        library = open_library(location, read_params(params).reading)
        after = Manifest.of(library.batches())
        found = compare(before, after, listed=NAMED)
        return LibraryChanges(
            changes=Changes(
                added=found.added.count,
                modified=found.modified.count,
                deleted=found.deleted.count,
                added_names=found.added.ids,
                modified_names=found.modified.ids,
                deleted_names=found.deleted.ids,
            ),
            tracks_before=len(before),
            tracks_now=len(after),
            revision=now,
        )
