"""Tasks of services and calls of language models, as analyses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.context import LOCAL_OWNER, Context
from holdfast.domain.errors import InvalidInput
from holdfast.domain.subjects import Subject

TASK = "task"
INTERACTION = "openai-interaction"
_LONGEST_SUMMARY = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """What a task belongs to.

    Attributes:
        client_session_id: its owner.
        thread_id: a conversation or chain of tasks.
        session_id: a working session.
        process_instance_id: one execution of a workflow engine's process.
        client_ip: the address that it came from.
    """

    client_session_id: str = LOCAL_OWNER
    thread_id: str | None = None
    session_id: str | None = None
    process_instance_id: str | None = None
    client_ip: str | None = None

    def context(self) -> Context:
        """The same as the surroundings of an analysis."""
        return Context(**{name: getattr(self, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task that a service has done.

    Attributes:
        description: what was to be done.
        response_data: what came of it, JSON-able; None when it failed.
        task_id: its id where it came from.
        task_name: what tasks of this sort are called; tasks of one name have one history.
        variables: what it was given, JSON-able.
        structured_output: the same as data of a known form.
        raw_response: the same as it was received.
        service_name: who has done it.
        tags: labels.
        belonging: owner, thread, session, process.
        error: why it failed.
        usage: figures by name (tokens, calls).
        latency_seconds: how long it took.
    """

    description: str
    response_data: Any = None
    task_id: str | None = None
    task_name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    structured_output: Any = None
    raw_response: Any = None
    service_name: str | None = None
    tags: Sequence[str] = ()
    belonging: Belonging = Belonging()
    error: str | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    latency_seconds: float | None = None

    def analysis(self) -> dict[str, Any]:
        """The fields of the analysis that it is kept as."""
        if not self.description.strip():
            raise InvalidInput("A task needs a description", field="task_description")
        params = {
            "task_id": self.task_id,
            "task_name": self.task_name,
            "task_description": self.description,
            "variables": dict(self.variables),
            "service_name": self.service_name,
        }
        result = {
            "response": self.response_data,
            "structured_output": self.structured_output,
            "raw_response": self.raw_response,
        }
        return {
            "kind": TASK,
            "subject": None if self.task_name is None else Subject(kind=TASK, key=self.task_name, title=self.task_name),
            "params": _given(params),
            "summary": shortened(self.description),
            "result": _given(result) or ({} if self.error is None else None),
            "metrics": _figures(self.usage, self.latency_seconds),
            "tags": self.tags,
            "context": self.belonging.context(),
            **_ending(self.error),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A call of a language model.

    Attributes:
        model: the model.
        request: what it was asked, JSON-able (messages, input, parameters).
        response: its answer as it was received, JSON-able.
        output_text: the answer's text.
        prompt_text: what was asked last, for people.
        structured_output: the answer as data of a known form.
        service_name: who has asked.
        operation: what was called (``chat.completions``, ``responses``).
        tags: labels.
        belonging: owner, thread, session, process.
        usage: tokens by name, ``input_tokens``, ``output_tokens``.
        latency_seconds: how long the answer took.
        error: why there is none.
    """

    model: str
    request: Mapping[str, Any]
    response: Any = None
    output_text: str = ""
    prompt_text: str = ""
    structured_output: Any = None
    service_name: str | None = None
    operation: str | None = None
    tags: Sequence[str] = ()
    belonging: Belonging = Belonging()
    usage: Mapping[str, float] = field(default_factory=dict)
    latency_seconds: float | None = None
    error: str | None = None

    def analysis(self) -> dict[str, Any]:
        """The fields of the analysis that it is kept as."""
        result = {
            "output_text": self.output_text or None,
            "structured_output": self.structured_output,
            "raw_response": self.response,
        }
        params = {
            "model": self.model,
            "operation": self.operation,
            "service_name": self.service_name,
            "request": dict(self.request),
        }
        return {
            "kind": INTERACTION,
            "subject": Subject(kind="model", key=self.model, title=self.model),
            "params": _given(params),
            "summary": shortened(self.prompt_text or self.output_text),
            "result": _given(result) or ({} if self.error is None else None),
            "metrics": _figures(self.usage, self.latency_seconds),
            "tags": self.tags,
            "context": self.belonging.context(),
            **_ending(self.error),
        }


def shortened(text: str) -> str:
    """A text as a summary."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SUMMARY else line[: _LONGEST_SUMMARY - 1] + "…"


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != {}}


def _figures(usage: Mapping[str, float], latency_seconds: float | None) -> dict[str, float]:
    figures = dict(usage)
    if latency_seconds is not None:
        figures["latency_seconds"] = latency_seconds
    return figures


def _ending(error: str | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {"status": Status.FAILED, "error": ErrorInfo(code="TASK_FAILED", message=error)}
