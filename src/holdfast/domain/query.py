"""The language of searches: what people write, as a tree, and back.

``error AND (kind:code OR tag:"release 2") NOT owner:ci created>=2026-01-01``
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from holdfast.domain.analysis import Status
from holdfast.domain.errors import InvalidQuery

_LONGEST = 2000
_DEEPEST = 20
_MOST_TERMS = 100


class Form(StrEnum):
    """How a text is looked for."""

    WORDS = "words"
    PREFIX = "prefix"
    PART = "part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text: words that follow each other, words whose last is a beginning, or a stretch of letters."""

    value: str
    form: Form = Form.WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field compared with a value.

    Attributes:
        name: the field, one of FIELDS.
        op: ``=``, ``<``, ``<=``, ``>``, ``>=``, or ``^`` for "begins with".
        value: a text, a moment or a number.
    """

    name: str
    op: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """What does not fit ``part``."""

    part: "Query"


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """What fits each part."""

    parts: tuple["Query", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """What fits one part or more."""

    parts: tuple["Query", ...]


Query = Text | Field | Not | And | Or

WORD_FIELDS = {
    "id": "analysis_id",
    "kind": "kind",
    "owner": "client_session_id",
    "process": "process_instance_id",
    "session": "session_id",
    "status": "status",
    "subject": "subject",
    "tag": "tag",
    "task": "task",
    "thread": "thread_id",
}
TIME_FIELDS = {"created": "created_at", "completed": "completed_at", "updated": "updated_at"}
NUMBER_FIELDS = {"findings": "finding_count", "size": "result_size", "attempt": "attempt"}
FIELDS = {**WORD_FIELDS, **TIME_FIELDS, **NUMBER_FIELDS}
_ALIASES = {
    "analysis_id": "id",
    "client_session_id": "owner",
    "completed_at": "completed",
    "created_at": "created",
    "process_instance_id": "process",
    "session_id": "session",
    "tags": "tag",
    "task_name": "task",
    "thread_id": "thread",
    "updated_at": "updated",
}

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>\()
      | (?P<close>\))
      | (?P<not>[-!](?=[^\s)]))
      | (?P<field>[A-Za-z_]+)(?P<op>:\[|:>=|:<=|:>|:<|>=|<=|>|<|:|=)
      | "(?P<quoted>(?:[^"\\]|\\.)*)"(?P<star>\*?)
      | (?P<word>(?:[^\s()"\\]|\\.)+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_VALUE = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"(?P<star>\*?)|(?P<word>(?:[^\s()"\]\\]|\\.)+))', re.DOTALL)
_TO = re.compile(r"\s+TO\s+")
_END = re.compile(r"\s*\]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_PLAIN = re.compile(r"[^\s()\"\\*\[\]]+")


def parse(text: str) -> Query | None:
    """The tree of a query; None for an empty one.

    Raises:
        InvalidQuery: it cannot be understood; ``position`` in the details is the character where.
    """
    if len(text) > _LONGEST:
        raise InvalidQuery(f"A query has at most {_LONGEST} characters", position=_LONGEST)
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._terms = 0

    def parse(self) -> Query | None:
        if not self._text.strip():
            return None
        found = self._alternatives(0)
        if self._peek() is not None:
            raise self._wrong("There is a ')' without its '('")
        return found

    def _wrong(self, what: str, at: int | None = None) -> InvalidQuery:
        place = self._at if at is None else at
        place += len(self._text[place:]) - len(self._text[place:].lstrip())
        near = self._text[place : place + 20]
        where = f"at character {place + 1}, {near!r}" if near else "at the end"
        return InvalidQuery(f"{what} ({where})", position=place, near=near)

    def _peek(self) -> re.Match[str] | None:
        if not self._text[self._at :].strip():
            return None
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            if self._text[self._at :].lstrip().startswith('"'):
                raise self._wrong("A quotation mark is not closed")
            raise self._wrong("A backslash stands before nothing")
        return match

    def _is(self, match: re.Match[str] | None, word: str) -> bool:
        return match is not None and match["word"] == word

    def _alternatives(self, depth: int) -> Query:
        if depth > _DEEPEST:
            raise self._wrong(f"Parentheses are nested deeper than {_DEEPEST}")
        parts = [self._sequence(depth)]
        while self._is(match := self._peek(), "OR"):
            assert match is not None
            self._at = match.end()
            parts.append(self._sequence(depth))
        return either(parts)

    def _sequence(self, depth: int) -> Query:
        parts = [self._part(depth)]
        while True:
            match = self._peek()
            if match is None or match["close"] or self._is(match, "OR"):
                return both(parts)
            if self._is(match, "AND"):
                self._at = match.end()
            parts.append(self._part(depth))

    def _part(self, depth: int) -> Query:
        match = self._peek()
        if match is None or match["close"] or self._is(match, "AND") or self._is(match, "OR"):
            raise self._wrong("Something to look for is missing")
        begin = self._at
        self._at = match.end()
        if self._is(match, "NOT") or match["not"]:
            if depth > _DEEPEST:
                raise self._wrong(f"It is nested deeper than {_DEEPEST}")
            return Not(part=self._part(depth + 1))
        if match["open"]:
            found = self._alternatives(depth + 1)
            closing = self._peek()
            if closing is None or not closing["close"]:
                raise self._wrong("A parenthesis is not closed", begin)
            self._at = closing.end()
            return found
        self._terms += 1
        if self._terms > _MOST_TERMS:
            raise self._wrong(f"A query has at most {_MOST_TERMS} terms", begin)
        if match["field"]:
            return self._field(match, begin)
        return self._words(match, begin)

    def _words(self, match: re.Match[str], begin: int) -> Text:
        if match["quoted"] is not None:
            value = _unescaped(match["quoted"])
            form = Form.PREFIX if match["star"] else Form.WORDS
        else:
            raw = match["word"]
            head, tail = raw.startswith("*"), raw.endswith("*") and not raw.endswith("\\*")
            value = _unescaped(raw[int(head) : len(raw) - int(tail)])
            form = Form.PART if head else Form.PREFIX if tail else Form.WORDS
        if not any(letter.isalnum() for letter in value):
            raise self._wrong("There is no letter or digit to look for", begin)
        return Text(value=value, form=form)

    def _field(self, match: re.Match[str], begin: int) -> Query:
        given, op = match["field"].lower(), match["op"]
        name = _ALIASES.get(given, given)
        if name not in FIELDS:
            raise self._wrong(f"There is no field {given!r}; there are: {', '.join(sorted(FIELDS))}", begin)
        if op == ":[":
            return self._range(name)
        op = op.removeprefix(":") or "="
        value, is_beginning = self._value(name)
        if name in WORD_FIELDS:
            if op != "=":
                raise self._wrong(f"The field {name!r} has no order: use {name}:value", begin)
            return Field(name=name, op="^" if is_beginning else "=", value=value)
        if name in TIME_FIELDS:
            return _in_time(name, op, value)
        return Field(name=name, op=op, value=value)

    def _range(self, name: str) -> Query:
        if name in WORD_FIELDS:
            raise self._wrong(f"The field {name!r} has no ranges")
        first, _ = self._value(name)
        between = _TO.match(self._text, self._at)
        if between is None:
            raise self._wrong("A range is written [first TO last]; TO is missing")
        self._at = between.end()
        last, _ = self._value(name)
        end = _END.match(self._text, self._at)
        if end is None:
            raise self._wrong("The ']' of a range is missing")
        self._at = end.end()
        if name in TIME_FIELDS:
            return both([_in_time(name, ">=", first), _in_time(name, "<=", last)])
        return both([Field(name=name, op=">=", value=first), Field(name=name, op="<=", value=last)])

    def _value(self, name: str) -> tuple[Any, bool]:
        match = _VALUE.match(self._text, self._at)
        if match is None:
            raise self._wrong(f"The value of {name!r} is missing")
        begin, self._at = self._at, match.end()
        if match["quoted"] is not None:
            raw, is_beginning = _unescaped(match["quoted"]), bool(match["star"])
        else:
            word = match["word"]
            is_beginning = word.endswith("*") and not word.endswith("\\*")
            raw = _unescaped(word[:-1] if is_beginning else word)
        if name in TIME_FIELDS:
            return self._moment(name, raw, begin), False
        if name in NUMBER_FIELDS:
            if not re.fullmatch(r"-?\d{1,15}", raw):
                raise self._wrong(f"{name!r} is compared with a whole number", begin)
            return int(raw), False
        if name == "status" and not is_beginning and raw not in set(Status):
            raise self._wrong(f"There is no status {raw!r}; there are: {', '.join(Status)}", begin)
        if name == "subject" and (":" not in raw or is_beginning):
            raise self._wrong('A subject is written as subject:"kind:key"', begin)
        return raw, is_beginning

    def _moment(self, name: str, raw: str, begin: int) -> datetime | tuple[datetime, datetime]:
        try:
            at = datetime.fromisoformat(raw)
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            at = at.astimezone(UTC)
            return (at, at + timedelta(days=1)) if _DATE.fullmatch(raw) else at
        except (ValueError, OverflowError):
            raise self._wrong(
                f"{name!r} is compared with a day or a moment, 2026-01-31 or 2026-01-31T12:00:00Z", begin
            ) from None


def _in_time(name: str, op: str, value: datetime | tuple[datetime, datetime]) -> Query:
    """A comparison with a moment, or with a whole day: after it, on it, before it."""
    if isinstance(value, datetime):
        return Field(name=name, op=op, value=value)
    first, following = value
    bounds = {">": (">=", following), ">=": (">=", first), "<": ("<", first), "<=": ("<", following)}
    if op != "=":
        bound, at = bounds[op]
        return Field(name=name, op=bound, value=at)
    return both([Field(name=name, op=">=", value=first), Field(name=name, op="<", value=following)])


def _unescaped(raw: str) -> str:
    return re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL)


def both(parts: list[Query]) -> Query:
    """What fits each part, flat."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(parts=tuple(flat))


def either(parts: list[Query]) -> Query:
    """What fits one part or more, flat."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(parts=tuple(flat))


def show(query: Query) -> str:
    """The query as it is written; ``parse`` gives the same tree again."""
    if isinstance(query, Text):
        if query.form is Form.PART:
            return f"*{_escaped(query.value)}*"
        return f"{_quoted(query.value)}{'*' if query.form is Form.PREFIX else ''}"
    if isinstance(query, Field):
        if isinstance(query.value, datetime):
            return f'{query.name}{query.op}"{query.value.isoformat()}"'
        if query.op == "^":
            return f"{query.name}:{_quoted(query.value)}*"
        value = _quoted(query.value) if isinstance(query.value, str) else query.value
        return f"{query.name}{':' if query.op == '=' else query.op}{value}"
    if isinstance(query, Not):
        return f"NOT {_inner(query.part)}"
    if isinstance(query, And):
        return " AND ".join(_inner(part) for part in query.parts)
    return " OR ".join(_inner(part) for part in query.parts)


def _inner(query: Query) -> str:
    return f"({show(query)})" if isinstance(query, And | Or) else show(query)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(value: str) -> str:
    return re.sub(r"([\s()\"\\*])", r"\\\1", value)


def texts(query: Query | None) -> Iterator[Text]:
    """The texts that are looked for, not those that must be absent."""
    if isinstance(query, Text):
        yield query
    elif isinstance(query, And | Or):
        for part in query.parts:
            yield from texts(part)


def is_text(query: Query) -> bool:
    """Whether it is of texts only."""
    if isinstance(query, Not):
        return is_text(query.part)
    if isinstance(query, And | Or):
        return all(is_text(part) for part in query.parts)
    return isinstance(query, Text)


def split(query: Query | None, is_ranked: Callable[[Query], bool]) -> tuple[Query | None, Query | None]:
    """The parts that all must fit: those that ``is_ranked`` takes, and the others."""
    parts = list(query.parts) if isinstance(query, And) else [] if query is None else [query]
    ranked = [part for part in parts if is_ranked(part)]
    others = [part for part in parts if not is_ranked(part)]
    return (both(ranked) if ranked else None), (both(others) if others else None)
