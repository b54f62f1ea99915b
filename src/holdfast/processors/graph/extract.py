"""What an analysis tells of entities and relations. Pure: the same analysis always tells the same.

    analysis --owned-by--> owner           analysis --uses--> technology      (result: technologies)
    analysis --in-thread--> thread         analysis --found--> issue          (findings)
    analysis --in-session--> session       issue --located-in--> file         (the finding's path)
    analysis --in-process--> process       subject --contains--> file
    analysis --about--> subject or task    analysis --recommends--> recommendation
    analysis --tagged--> tag                           (result: recommendation, recommendations)
    analysis --refreshed-from--> analysis

Files and issues belong to their subject: the same path in two repositories is two files. Technologies, tags,
recommendations are an owner's. Of findings the first ``MOST`` count, as of technologies and of recommendations.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from holdfast.domain.analysis import Analysis
from holdfast.domain.checks import check_name
from holdfast.domain.findings import Finding
from holdfast.domain.processing import Document
from holdfast.processors.graph.index import ANALYSIS, OWNER, Entity, Place, Portrait, Relation
from holdfast.store.types import storable

MOST = 200

KINDS = (
    ANALYSIS,
    "file",
    "issue",
    OWNER,
    "process",
    "recommendation",
    "session",
    "subject",
    "tag",
    "task",
    "technology",
    "thread",
)
"""Every kind of entity."""

_LONGEST_NAME = 4096
_KEY_LENGTH = 200
_LABEL_LENGTH = 200
_Told = tuple[str, Entity]


def place(kind: str, name: str) -> Place:
    """Where the entity of that name is; a long name is shortened, and stays one of its own."""
    key = storable(name)
    if len(key) > _KEY_LENGTH:
        key = f"{key[: _KEY_LENGTH - 33]}~{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    return Place(kind=kind, key=key)


def place_of(name: str) -> Place:
    """Where people mean: ``kind:key``, or the id of an analysis alone.

    Raises:
        InvalidInput: nothing can be called so.
    """
    check_name(name, "entity", _LONGEST_NAME)
    kind, colon, key = name.partition(":")
    if colon and key and kind in KINDS:
        return place(kind, key.lower() if kind == "technology" else key)
    return place(ANALYSIS, name)


def extract(document: Document) -> Portrait:
    """All that the analysis tells."""
    analysis = document.analysis
    itself = _entity(ANALYSIS, analysis.analysis_id, analysis.summary or f"{analysis.kind} {analysis.analysis_id}")
    subject = _subject(analysis)
    entities = {itself.place: itself}
    relations: dict[Relation, None] = {}

    def tell(source: Entity, kind: str, target: Entity) -> None:
        entities.setdefault(source.place, source)
        entities.setdefault(target.place, target)
        relations[Relation(source=source.place, kind=kind, target=target.place)] = None

    told = [*_surroundings(analysis), *_from_result(document.result)]
    if subject is not None:
        told.append(("about", subject))
    for kind, entity in told:
        tell(itself, kind, entity)
    home = "" if subject is None else subject.place.key
    for finding in document.findings[:MOST]:
        issue = _entity("issue", f"{home}#{finding.rule}#{finding.identity}", finding.title)
        tell(itself, "found", issue)
        if finding.path:
            file = _file(home, finding)
            tell(issue, "located-in", file)
            if subject is not None:
                tell(subject, "contains", file)
    if analysis.refreshed_from and analysis.refreshed_from != analysis.analysis_id:
        former = place(ANALYSIS, analysis.refreshed_from)
        # No entity of this analysis: it is there on its own account, or not at all.
        relations[Relation(source=itself.place, kind="refreshed-from", target=former)] = None
    return Portrait(
        key=document.key,
        owner=storable(analysis.context.client_session_id),
        entities=tuple(entities.values()),
        relations=tuple(relations),
    )


def _surroundings(analysis: Analysis) -> Iterator[_Told]:
    context = analysis.context
    yield "owned-by", _entity(OWNER, context.client_session_id)
    for kind, name in (
        ("thread", context.thread_id),
        ("session", context.session_id),
        ("process", context.process_instance_id),
    ):
        if name:
            yield f"in-{kind}", _entity(kind, name)
    for tag in analysis.tags:
        yield "tagged", _entity("tag", tag)


def _subject(analysis: Analysis) -> Entity | None:
    subject = analysis.subject
    if subject is None:
        return None
    if subject.kind == "task":
        return _entity("task", subject.key, subject.title)
    return _entity("subject", f"{subject.kind}:{subject.key}", subject.title)


def _file(home: str, finding: Finding) -> Entity:
    path = finding.path or ""
    return _entity("file", f"{home}#{path}", path)


def _from_result(result: Any) -> Iterator[_Told]:
    if not isinstance(result, dict):
        return
    technologies = result.get("technologies")
    for name in _names(technologies.get("names") if isinstance(technologies, dict) else technologies):
        yield "uses", _entity("technology", name.lower(), name)
    for field in ("recommendation", "recommendations"):
        for text in _names(result.get(field)):
            yield "recommends", _entity("recommendation", text)


def _names(value: Any) -> list[str]:
    """The texts in a text, a list of texts, or a list of objects that have one by an obvious name."""
    items = value if isinstance(value, list) else [value]
    found: dict[str, None] = {}
    for item in items:
        text = (
            next((item[name] for name in ("name", "title", "text") if name in item), None)
            if isinstance(item, dict)
            else item
        )
        if isinstance(text, str) and text.strip():
            found[text.strip()] = None
    return list(found)[:MOST]


def _entity(kind: str, name: str, label: str = "") -> Entity:
    return Entity(place=place(kind, name), label=storable(label or name)[:_LABEL_LENGTH])
