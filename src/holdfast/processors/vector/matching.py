"""Which analyses a search may find, as SQL on the analyses themselves: no copy of them can be out of date."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from holdfast.processors.vector.index import Hit
from holdfast.store import lists, tables
from holdfast.store.lists import Filter

_a = tables.analyses.c
_g = tables.tags.c

_FIRST = 64
_GROWTH = 8
# Below what the least of the databases takes in one statement.
_PARAMETERS = 10_000

Scored = tuple[Any, float, int]
"""What an index knows a vector by, its score, its place in the text."""


def conditions(where: Filter) -> list[sa.ColumnElement[bool]]:
    """What a row of ``analyses`` must fulfil."""
    # The lists look up every tag but the first, which leads them: here none leads.
    found = lists.conditions(replace(where, status=(), tags=("", *where.tags)))
    if where.status:
        found.append(_a.status.in_([status.value for status in where.status]))
    if where.created_after is not None:
        found.append(_a.created_at >= where.created_after)
    if where.created_before is not None:
        found.append(_a.created_at < where.created_before)
    return found


def eligible(where: Filter) -> sa.Select[Any]:
    """The keys of the analyses that fit."""
    select = sa.select(_a.id).where(*conditions(where))
    if where.tags:
        # So that a rare tag is found by its index, whatever else is asked for.
        has = [_g.tag == where.tags[0]]
        if where.client_session_id is not None:
            has.append(_g.client_session_id == where.client_session_id)
        select = select.join(tables.tags, _g.analysis == _a.id).where(*has)
    return select


def confirmed(
    ranked: Iterator[Sequence[Scored]], k: int, confirm: Callable[[Sequence[Any]], dict[Any, str]]
) -> list[Hit]:
    """The best ``k`` analyses out of vectors in the order of their scores.

    Args:
        ranked: the vectors in portions, best first, until there are no more.
        k: how many analyses.
        confirm: of these vectors those whose analyses fit, with the analyses' ids.
    """
    hits: dict[str, Hit] = {}
    least = -2.0
    for portion in ranked:
        # Beyond the last place only what scores the same may still belong there, by its id.
        if len(hits) >= k and portion and portion[0][1] < least:
            break
        fits = confirm([place for place, _, _ in portion])
        for place, score, ordinal in portion:
            analysis_id = fits.get(place)
            if analysis_id is not None and analysis_id not in hits:
                hits[analysis_id] = Hit(analysis_id=analysis_id, score=score, ordinal=ordinal)
        if len(hits) >= k:
            least = sorted((hit.score for hit in hits.values()), reverse=True)[k - 1]
    return sorted(hits.values(), key=lambda hit: (-hit.score, hit.analysis_id))[:k]


def portions(k: int) -> Iterator[int]:
    """How many vectors to look at, again and again, until enough of them fit."""
    size = max(_FIRST, 4 * k)
    while True:
        yield min(size, _PARAMETERS)
        size *= _GROWTH
