"""Functions whose results are kept: the decorator, and what a decorated function can do."""

import asyncio
import contextlib
import functools
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from holdfast.domain.analysis import Analysis
from holdfast.domain.checks import check_kind, check_positive, check_tags
from holdfast.domain.context import Context
from holdfast.domain.subjects import Subject
from holdfast.domain.tracking import Kept, TrackRequest
from holdfast.signatures import Arguments, Decoder, captured, check_function, default_kind, key_of, source_hash
from holdfast.tracker import Tracker
from holdfast.tracking import TrackedRun

if TYPE_CHECKING:
    from holdfast.services.queries import Page

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

# The calls that the present code is part of: one that calls itself with the same arguments must not wait for itself.
_computing: ContextVar[frozenset[str]] = ContextVar("holdfast_computing", default=frozenset())


class Door(Protocol):
    """What a function needs of an open store."""

    @property
    def tracker(self) -> Tracker:
        """Speaks for what runs here."""
        ...

    def list_analyses(self, *, limit: int = 100, **where: Any) -> "Page":
        """See ``Holdfast.list_analyses``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a function's results are kept; see ``Decorator``."""

    kind: str | None = None
    version: str | None = None
    reuse: bool = True
    key: Callable[..., Any] | None = None
    tags: Sequence[str] = ()
    context: Context | None = None
    ttl_seconds: float | None = None


class _Flights:
    """Calls of this process with equal input: the first one computes, the others wait for it."""

    def __init__(self) -> None:
        self._under_way: dict[str, Future[None]] = {}

    def board(self, name: str) -> Future[None] | None:
        """The call that is under way; None if the caller's own is, from now on."""
        mine: Future[None] = Future()
        # So that one who waits and is cancelled does not cancel it for the others.
        mine.set_running_or_notify_cancel()
        other = self._under_way.setdefault(name, mine)
        return None if other is mine else other

    def land(self, name: str) -> None:
        """The call is over; the first of those who wait looks whether its result is kept, or computes it."""
        self._under_way.pop(name).set_result(None)


class _Function(Generic[R]):
    """What decorated functions and coroutine functions have in common."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], options: Options, door: Callable[[], Door]) -> None:
        checked = check_function(function)
        functools.update_wrapper(cast("Any", self), checked)
        self._function = checked
        self._options = options
        self._door = door
        self._instance: Any = None
        self._arguments = Arguments(checked, options.key)
        self._kind = check_kind(default_kind(checked) if options.kind is None else options.kind)
        self._key = key_of(checked)
        # Now: later the file may hold another source than the one that was loaded.
        self._source = source_hash(checked) if options.version is None else ""
        self._decoder = Decoder(checked)
        self._flights = _Flights()

    def __repr__(self) -> str:
        return f"<analysis {self._kind!r} of {self._key}>"

    def __reduce__(self) -> Any:
        # By name, as functions and methods are: another process imports it.
        name: str = self._function.__name__
        return self._function.__qualname__ if self._instance is None else (getattr, (self._instance, name))

    def _bind(self, instance: Any) -> Self:
        bound = type(self).__new__(type(self))
        bound.__dict__.update(self.__dict__, _instance=instance)
        return bound

    def _given(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return args if self._instance is None else (self._instance, *args)

    def _request(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, reuse: bool) -> TrackRequest:
        options = self._options
        revision = self._source + captured(self._function) if options.version is None else options.version
        return TrackRequest(
            kind=self._kind,
            subject=Subject(kind="function", key=self._key, revision=revision, title=self._function.__qualname__),
            params=self._arguments.params(self._given(args), kwargs),
            version=options.version or "",
            context=options.context or Context(),
            tags=options.tags,
            reuse=reuse,
            ttl_seconds=options.ttl_seconds,
        )

    def _look(self, request: TrackRequest) -> tuple[Tracker, Kept | None]:
        tracker = self._door().tracker
        return tracker, tracker.service.kept(request) if request.reuse else None

    def _list(self, limit: int) -> list[Analysis]:
        owner = (self._options.context or Context()).client_session_id
        subject = ("function", self._key)
        return self._door().list_analyses(limit=limit, kind=self._kind, subject=subject, client_session_id=owner).items

    def _flight(self, request: TrackRequest, tracker: Tracker) -> str | None:
        """What equal calls have in common; None if this one should not wait for them."""
        if not request.reuse or not tracker.service.reuses:
            return None
        # With the process: a forked child has the flights of its parent, and nobody in it who lands them.
        name = f"{os.getpid()} {request.context.client_session_id} {request.fingerprint}"
        return None if name in _computing.get() else name

    @contextlib.contextmanager
    def _computed(self, name: str) -> Iterator[None]:
        token = _computing.set(_computing.get() | {name})
        try:
            yield
        finally:
            _computing.reset(token)
            self._flights.land(name)

    def _result(self, run: TrackedRun) -> R:
        return self._decode(run.content or b"null")

    def _decode(self, content: bytes) -> R:
        return cast("R", self._decoder.decode(content))


class AnalysedFunction(_Function[R], Generic[P, R]):
    """A function whose results are kept; called like the function itself."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The kept result for these arguments; else the function's, which is kept from now on.

        Raises:
            InvalidParams: an argument is not JSON-able.
            UnknownDocument: the result is not JSON-able.
            StoreError: the result could not be looked for, or not be kept.
        """
        return self._call(args, kwargs, reuse=self._options.reuse)

    def fresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function whatever is kept, and keep what it returns; raises as a call does."""
        return self._call(args, kwargs, reuse=False)

    def kept(self, *args: P.args, **kwargs: P.kwargs) -> Analysis | None:
        """The analysis whose result answers a call with these arguments; None if the function would run."""
        _, kept = self._look(self._request(args, kwargs, reuse=True))
        return None if kept is None else kept.analysis

    def history(self, limit: int = 20) -> list[Analysis]:
        """The function's analyses, with whatever arguments and however they ended, newest first."""
        return self._list(limit)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: "AnalysedFunction[Concatenate[S, Q], R]", instance: S, owner: type | None = None
    ) -> "AnalysedFunction[Q, R]": ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bound to an instance, as a method is."""
        return self if instance is None else self._bind(instance)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, reuse: bool) -> R:
        request = self._request(args, kwargs, reuse=reuse)
        tracker, kept = self._look(request)
        if kept is not None:
            return self._decode(kept.content)
        with self._waiting(self._flight(request, tracker)), TrackedRun(tracker, request) as run:
            if not run.reused:
                run.result = self._function(*self._given(args), **kwargs)
        return self._result(run)

    @contextlib.contextmanager
    def _waiting(self, name: str | None) -> Iterator[None]:
        if name is None:
            yield
            return
        while (other := self._flights.board(name)) is not None:
            other.result()
        with self._computed(name):
            yield


class AnalysedCoroutine(_Function[R], Generic[P, R]):
    """A coroutine function whose results are kept; the store is spoken to in threads, the event loop goes on."""

    def __init__(self, function: Callable[..., Any], options: Options, door: Callable[[], Door]) -> None:
        super().__init__(function, options, door)
        # Frameworks ask whether to await it.
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(self)
        else:
            self._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001 the only way

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``AnalysedFunction``; cancelling the task marks the analysis cancelled."""
        return await self._call(args, kwargs, reuse=self._options.reuse)

    async def fresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``AnalysedFunction``."""
        return await self._call(args, kwargs, reuse=False)

    async def kept(self, *args: P.args, **kwargs: P.kwargs) -> Analysis | None:
        """See ``AnalysedFunction``."""
        _, kept = await asyncio.to_thread(self._look, self._request(args, kwargs, reuse=True))
        return None if kept is None else kept.analysis

    async def history(self, limit: int = 20) -> list[Analysis]:
        """See ``AnalysedFunction``."""
        return await asyncio.to_thread(self._list, limit)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: "AnalysedCoroutine[Concatenate[S, Q], R]", instance: S, owner: type | None = None
    ) -> "AnalysedCoroutine[Q, R]": ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bound to an instance, as a method is."""
        return self if instance is None else self._bind(instance)

    async def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, reuse: bool) -> R:
        request = self._request(args, kwargs, reuse=reuse)
        tracker, kept = await asyncio.to_thread(self._look, request)
        if kept is not None:
            return self._decode(kept.content)
        async with self._waiting(self._flight(request, tracker)), TrackedRun(tracker, request) as run:
            if not run.reused:
                run.result = await self._function(*self._given(args), **kwargs)
        return self._result(run)

    @contextlib.asynccontextmanager
    async def _waiting(self, name: str | None) -> AsyncIterator[None]:
        if name is None:
            yield
            return
        while (other := self._flights.board(name)) is not None:
            # Without a thread: those who wait must not take all threads from the one that computes.
            await asyncio.wrap_future(other)
        with self._computed(name):
            yield


class Decorator:
    """Keeps the results of functions: ``@hf.analysis``, or ``@hf.analysis(...)`` with options.

    The same arguments get the kept result as long as that is fresh; changed code runs anew. What a call returns is
    what was kept, read as the function's return annotation says: the same the first time and every time after.
    """

    def __init__(self, door: Callable[[], Door], options: Options | None = None) -> None:
        """Keep results behind the door that ``door`` returns when a function is called."""
        self._door = door
        self._options = options or Options()

    @overload
    def __call__(  # type: ignore[overload-overlap] # a coroutine function is a function as well
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AnalysedCoroutine[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> AnalysedFunction[P, R]: ...
    @overload
    def __call__(
        self,
        /,
        *,
        kind: str | None = None,
        version: str | None = None,
        reuse: bool = True,
        key: Callable[..., Any] | None = None,
        tags: Sequence[str] = (),
        context: Context | None = None,
        ttl_seconds: float | None = None,
    ) -> "Decorator": ...
    def __call__(self, function: Any = None, /, **options: Any) -> Any:  # noqa: D417 the options are those above
        """Decorate a function, or set options first.

        Args:
            function: a function or a coroutine function.
            kind: the kind of analysis; the function's name when None.
            version: of the function. Another version runs anew; when None, another source does.
            reuse: whether a fresh kept result answers a call.
            key: called with the call's arguments, returns what names the call: JSON-able, in place of all
                arguments. For methods, and for arguments that are not JSON-able.
            tags: labels.
            context: owner and surroundings.
            ttl_seconds: how long to keep a result; None for ever.

        Raises:
            InvalidInput: it is no function, or one that yields; or an option is not valid.
        """
        if function is not None:
            made = AnalysedCoroutine if inspect.iscoroutinefunction(function) else AnalysedFunction
            return made(function, self._options, self._door)
        # One on top of the other, so that a decorator with a team's own defaults can be kept and refined.
        chosen = replace(self._options, **options)
        if chosen.kind is not None:
            check_kind(chosen.kind)
        check_tags(chosen.tags)
        check_positive("ttl_seconds", chosen.ttl_seconds)
        return Decorator(self._door, chosen)
