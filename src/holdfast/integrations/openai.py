"""Keep what the official ``openai`` client is asked and answers, by wrapping the client.

The package itself is not imported here: whatever looks like its client can be wrapped.
"""

import functools
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

from holdfast.bootstrap import Holdfast

_log = logging.getLogger(__name__)

C = TypeVar("C")

_METHODS = (("chat.completions", "create"), ("responses", "create"))
_USAGE = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
}


def keep_calls(client: C, holdfast: Holdfast, *, strict: bool = False, **about: Any) -> C:
    """Keep every call of a client's chat completions and responses, streamed ones too, when it has ended.

    Args:
        client: an ``OpenAI`` or ``AsyncOpenAI``; it is changed, and no other client.
        holdfast: where calls are kept.
        strict: whether a call fails that cannot be kept; otherwise that is only logged.
        about: further arguments of ``store_openai_interaction`` for each call (thread_id, session_id, service_name,
            tags, ...).

    Returns:
        The client.
    """
    keeper = _Keeper(holdfast, about, strict=strict)
    for place, name in _METHODS:
        part: Any = client
        for step in place.split("."):
            part = getattr(part, step, None)
        if part is not None:
            setattr(part, name, keeper.wrapped(getattr(part, name), place))
    return client


class _Keeper:
    def __init__(self, holdfast: Holdfast, about: Mapping[str, Any], *, strict: bool) -> None:
        self._holdfast = holdfast
        self._about = dict(about)
        self._strict = strict

    def wrapped(self, create: Callable[..., Any], operation: str) -> Callable[..., Any]:
        @functools.wraps(create)
        def called(*args: Any, **kwargs: Any) -> Any:
            call = _Call(self, operation, kwargs)
            try:
                answer = create(*args, **kwargs)
            except BaseException as error:
                # Ctrl-C in the midst of it ends the call as well, and is kept as its error.
                call.ended(error)
                raise
            if inspect.isawaitable(answer):
                return _awaited(answer, call, is_stream=kwargs.get("stream") is True)
            if kwargs.get("stream") is True:
                return _Stream(answer, call)
            call.see(answer)
            call.ended()
            return answer

        return called

    def keep(self, **found: Any) -> None:
        """Keep one call; a failure to do so is the call's only where that is wanted."""
        try:
            self._holdfast.store_openai_interaction(**found, **self._about)
        except Exception:
            # An answer that was paid for must not be lost because it could not be kept, whatever the reason.
            if self._strict:
                raise
            _log.exception("A call of a language model could not be kept")


class _Call:
    """One call, from its beginning to its end."""

    def __init__(self, keeper: _Keeper, operation: str, request: Mapping[str, Any]) -> None:
        self._keeper = keeper
        self._operation = operation
        self._request = {name: _plain(value) for name, value in request.items() if _is_given(value)}
        self._began = time.monotonic()
        self._texts: list[str] = []
        self._answer: Any = None
        self._usage: dict[str, float] = {}
        self._model = str(self._request.get("model", ""))
        self._is_over = False

    def see(self, answer: Any) -> None:
        """Take in a whole answer, or one part of a stream."""
        # Whatever an answer looks like, looking at it must not break the call.
        try:
            self._see(_plain(answer))
        except Exception:  # noqa: BLE001 as said
            _log.exception("An answer of a language model could not be read")

    def _see(self, plain: Any) -> None:
        if not isinstance(plain, dict):
            return
        whole = plain.get("response") if str(plain.get("type", "")).startswith("response.") else plain
        if isinstance(whole, dict):
            self._model = whole.get("model") or self._model
            usage = whole.get("usage") or {}
            self._usage |= {_USAGE[name]: value for name, value in usage.items() if name in _USAGE}
        if plain.get("type") == "response.output_text.delta":
            self._texts.append(str(plain.get("delta", "")))
        elif "choices" in plain:
            for choice in plain["choices"]:
                said = choice.get("message") or choice.get("delta") or {}
                self._texts.append(said.get("content") or "")
            self._answer = plain
        elif isinstance(whole, dict) and whole.get("output"):
            self._answer = whole
            parts = [part for item in whole["output"] for part in item.get("content") or ()]
            self._texts = [part.get("text") or "" for part in parts]

    def ended(self, error: BaseException | None = None) -> None:
        """Keep it, once."""
        if self._is_over:
            return
        self._is_over = True
        self._keeper.keep(
            request=self._request,
            response=self._answer,
            model=self._model or "unknown",
            operation=self._operation,
            output_text="".join(self._texts),
            prompt_text=_last_prompt(self._request),
            usage=self._usage,
            latency_seconds=time.monotonic() - self._began,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )

    async def ended_async(self, error: BaseException | None = None) -> None:
        """The same beside the event loop."""
        # Imported by whoever has a loop already.
        import asyncio  # noqa: PLC0415

        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self.ended, error))


async def _awaited(coming: Awaitable[Any], call: _Call, *, is_stream: bool) -> Any:
    try:
        answer = await coming
    except BaseException as error:
        # A task that is cancelled ends its call as well.
        await call.ended_async(error)
        raise
    if is_stream:
        return _AsyncStream(answer, call)
    call.see(answer)
    await call.ended_async()
    return answer


class _Stream:
    """A stream of the client's whose parts are seen on their way."""

    def __init__(self, stream: Any, call: _Call) -> None:
        self._stream = stream
        self._call = call
        self._parts = self._seen()

    def _seen(self) -> Iterator[Any]:
        try:
            for part in self._stream:
                self._call.see(part)
                yield part
        except GeneratorExit:
            self._call.ended()
            raise
        except BaseException as error:
            # Ctrl-C between two parts ends the call as well.
            self._call.ended(error)
            raise
        self._call.ended()

    def __iter__(self) -> Iterator[Any]:
        return self._parts

    def __next__(self) -> Any:
        return next(self._parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave it, read to its end or not."""
        self._stream.close()
        self._call.ended()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _AsyncStream:
    """The same for coroutines."""

    def __init__(self, stream: Any, call: _Call) -> None:
        self._stream = stream
        self._call = call
        self._parts = self._seen()

    async def _seen(self) -> AsyncIterator[Any]:
        try:
            async for part in self._stream:
                self._call.see(part)
                yield part
        except Exception as error:
            await self._call.ended_async(error)
            raise
        await self._call.ended_async()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._parts

    async def __anext__(self) -> Any:
        return await anext(self._parts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave it, read to its end or not."""
        await self._stream.close()
        await self._call.ended_async()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_given(value: Any) -> bool:
    """Whether it is no placeholder of the client's for what was left out."""
    return type(value).__name__ not in {"NotGiven", "Omit"}


def _plain(value: Any) -> Any:
    """As JSON can say it, whatever it is."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True, warnings=False)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _last_prompt(request: Mapping[str, Any]) -> str:
    asked = request.get("messages", request.get("input"))
    if isinstance(asked, str):
        return asked
    for message in reversed(asked or ()):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str) and message.get("role") == "user":
            return content
        if isinstance(content, list):
            return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return ""
