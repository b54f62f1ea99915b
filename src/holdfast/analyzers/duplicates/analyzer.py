"""The duplicates analyzer: a music library in, groups of the same song in the same version out."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from xxhash import xxh3_128_hexdigest

from holdfast.analyzers.duplicates.candidates import find_candidates
from holdfast.analyzers.duplicates.crossref import match, prepare_lookup
from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.manifest import Manifest
from holdfast.analyzers.duplicates.matching import Groups, group, prepare
from holdfast.analyzers.duplicates.params import Params, read_params
from holdfast.analyzers.duplicates.parts import PAIRS_A_PART, Edges, Part, compare_part, join_edges, read_edges, split
from holdfast.analyzers.duplicates.readers import AudioFile, FolderLibrary, Library, open_library, read_file
from holdfast.analyzers.duplicates.report import build_groups, findings, summarise, totals
from holdfast.analyzers.duplicates.signatures import Signatures, sign
from holdfast.domain.ports import MANIFEST, Outcome, Request, RunContext
from holdfast.domain.progress import Phase

LOADING = "Loading Tracks"
ANALYZING = "Analyzing Similarities"
CROSS_REFERENCING = "Cross-referencing iTunes"
SAVING = "Saving Results"

_STEP = 100
_PARTIAL_SECONDS = 15.0


class DuplicatesAnalyzer:
    """Finds the tracks that a music library holds more than once; see docs/reference/duplicates-analyzer.md."""

    kind = "duplicates"
    version = "3"
    pairs_a_part = PAIRS_A_PART
    phases: Sequence[Phase] = (
        Phase(name=LOADING, weight=15),
        Phase(name=ANALYZING, weight=60),
        Phase(name=CROSS_REFERENCING, weight=15),
        Phase(name=SAVING, weight=10),
    )

    def resolve(self, target: str, params: Mapping[str, Any]) -> Request:
        """Find out which library ``target`` means, and in which state it is.

        Args:
            target: whatever the readers can open.
            params: see Params.

        Raises:
            InvalidTarget: there is no library there.
            InvalidParams: a parameter is unknown or has a wrong value.
        """
        chosen = read_params(params)
        library = open_library(target, chosen.reading)
        subject = replace(library.subject, revision=_revision(library, chosen))
        return Request(subject=subject, params=chosen.to_json(), location=library.location)

    def run(self, ctx: RunContext) -> Outcome:
        """Search the library that the request names."""
        return _Search(ctx, read_params(ctx.request.params), self.pairs_a_part).run()


def _revision(library: Library, params: Params) -> str:
    """What state the result depends on: with another library to look tracks up in, a change of either is a new one."""
    revision = library.subject.revision
    if not params.itunes_library:
        return revision
    other = open_library(params.itunes_library, params.itunes_options).subject
    return xxh3_128_hexdigest(f"{revision}\0{other.key}\0{other.revision}".encode())


class _Search:
    """One run."""

    def __init__(self, ctx: RunContext, params: Params, pairs_a_part: int) -> None:
        self._ctx = ctx
        self._params = params
        self._pairs_a_part = pairs_a_part
        self._library_size = 0
        self._changed_meanwhile = False
        self._problems: dict[str, Any] = {}
        self._began = time.monotonic()
        self._seconds: dict[str, float] = {}
        self._partial_at = self._began

    def run(self) -> Outcome:
        ctx, params = self._ctx, self._params
        self._enter(LOADING)
        tracks = prepare(self._load(ctx.request.location, params.reading), params.search_term)
        self._enter(ANALYZING, tracks.height)
        signatures, edges = self._analyze(tracks)
        groups = group(tracks, signatures, edges, params)
        self._enter(CROSS_REFERENCING, groups.members.height if params.itunes_library else 0)
        matches = self._cross_reference(tracks, groups) if params.itunes_library else None
        self._enter(SAVING, len(groups.ids))
        outcome = self._outcome(tracks, groups, matches)
        self._advance(len(groups.ids), "Saving groups")
        return outcome

    def _enter(self, name: str, total: int | None = None) -> None:
        now = time.monotonic()
        self._seconds[name] = now
        self._ctx.phase(name, total)

    def _load(self, target: str, options: Mapping[str, Any]) -> pl.DataFrame:
        library = open_library(target, options)
        self._ctx.phase(LOADING, library.count)
        batches = []
        for batch in self._batches(library):
            batches.append(batch)
            self._advance(batch.height, "Loading tracks")
        self._ctx.save(MANIFEST, Manifest.of(batches).to_bytes())
        # Looked at after the reading: what is the same then was the same all the time.
        now = _revision(open_library(target, options), self._params)
        self._changed_meanwhile = now != self._ctx.request.subject.revision
        loaded = pl.concat(batches) if batches else pl.DataFrame(schema=SCHEMA)
        self._library_size = loaded.height
        self._problems = {
            kind: {"count": problem.count, "examples": list(problem.examples)}
            for kind, problem in library.problems.items()
        }
        return loaded

    def _batches(self, library: Library) -> Iterator[pl.DataFrame]:
        if not isinstance(library, FolderLibrary):
            return library.batches()
        # Files that have not changed since an earlier run are not opened again.
        read = self._ctx.map(read_file, library.files(), key=_file_key, remember=True)
        return library.table(read)

    def _analyze(self, tracks: pl.DataFrame) -> tuple[Signatures, Edges]:
        ctx = self._ctx
        signatures = sign(tracks, self._params.same_mask)
        ctx.check()
        # What has the same signature needs no comparison: whoever stops the run from here on keeps that.
        self._offer(tracks, signatures, [])
        candidates = find_candidates(signatures.table, ctx.check)
        edges: list[Edges] = []
        unlinked = tracks.height - int(signatures.table["tracks"].sum())
        grouped = signatures.table["tracks"].to_numpy() > 1
        ctx.advance(0, found=int(grouped.sum()))
        for part, some in self._compared(split(signatures.table, candidates, self._pairs_a_part)):
            edges.append(some)
            # An estimate for the progress: what two parts begin may be one group in the end.
            begun = int((~grouped[some.left] & ~grouped[some.right]).sum())
            grouped[some.left] = grouped[some.right] = True
            self._advance(part.tracks, "Comparing tracks", found=begun)
            if time.monotonic() - self._partial_at > _PARTIAL_SECONDS:
                self._offer(tracks, signatures, edges)
        self._advance(unlinked, "Comparing tracks")
        return signatures, join_edges(edges)

    def _compared(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Edges]]:
        # The parts that went in and have not come out: as many as the context keeps in flight, never all.
        waiting: list[Part] = []

        def noted() -> Iterator[Part]:
            for part in parts:
                waiting.append(part)
                yield part

        for value in self._ctx.map(compare_part, noted(), key=_part_key):
            part = waiting.pop(0)
            yield part, read_edges(part, value)

    def _cross_reference(self, tracks: pl.DataFrame, groups: Groups) -> pl.DataFrame:
        """Look the members of all groups up in the other library; ``row`` is a track's place in ``tracks``."""
        params = self._params
        library = open_library(params.itunes_library, params.itunes_options)
        batches = []
        for batch in library.batches():
            self._ctx.check()
            batches.append(batch)
        other = prepare(pl.concat(batches) if batches else pl.DataFrame(schema=SCHEMA))
        rows = groups.members["row"]
        lookup = prepare_lookup(tracks[rows], other, params.same_mask, self._ctx.check)
        edges = [
            some for _, some in self._compared(split(lookup.signatures.table, lookup.candidates, self._pairs_a_part))
        ]
        matches = match(lookup, join_edges(edges))
        self._advance(len(rows), "Looking tracks up")
        return matches.with_columns(row=rows.gather(matches["row"]))

    def _offer(self, tracks: pl.DataFrame, signatures: Signatures, edges: list[Edges]) -> None:
        groups = group(tracks, signatures, join_edges(edges), self._params)
        self._ctx.partial(self._outcome(tracks, groups, None))
        self._partial_at = time.monotonic()

    def _outcome(self, tracks: pl.DataFrame, groups: Groups, matches: pl.DataFrame | None) -> Outcome:
        built = build_groups(groups, matches, self._params)
        figures = totals(built, tracks.height, self._library_size)
        seconds = self._phase_seconds()
        metrics = {name: float(value) for name, value in figures.items()}
        return Outcome(
            result={
                "groups": built,
                "totals": figures,
                "parameters": self._params.to_json(),
                "problems": self._problems,
                "library_changed_meanwhile": self._changed_meanwhile,
                "phase_seconds": seconds,
                "processing_time_seconds": round(sum(seconds.values()), 3),
            },
            summary=summarise(self._ctx.request.subject.title, figures, changed_meanwhile=self._changed_meanwhile),
            findings=findings(built),
            metrics=metrics,
        )

    def _phase_seconds(self) -> dict[str, float]:
        names, starts = list(self._seconds), [*self._seconds.values(), time.monotonic()]
        return {name: round(end - start, 3) for name, start, end in zip(names, starts, starts[1:], strict=False)}

    def _advance(self, items: int, message: str, found: int = 0) -> None:
        for done in range(0, items, _STEP):
            self._ctx.advance(min(_STEP, items - done), found=0 if done else found, message=message)


def _file_key(file: AudioFile) -> str:
    return file.key


def _part_key(part: Part) -> str:
    return part.key
