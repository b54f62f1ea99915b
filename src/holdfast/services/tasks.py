"""What services have done and language models have answered, kept as ordinary analyses."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis
from holdfast.domain.tasks import Belonging, Interaction, Task

Keep = Callable[[dict[str, Any], str | None, Caller], Analysis]


class TasksService:
    """The use cases of tasks; each keeps one analysis in one transaction."""

    def __init__(self, keep: Keep) -> None:
        """Keep analyses by ``keep``, which is given the fields of a result, the request's own name and who asks."""
        self._keep = keep

    def store_task_analysis(  # noqa: PLR0913 the source's own names, all by keyword
        self,
        task_description: str,
        response_data: Any = None,
        *,
        task_id: str | None = None,
        task_name: str | None = None,
        variables: Mapping[str, Any] | None = None,
        structured_output: Any = None,
        raw_response: Any = None,
        service_name: str | None = None,
        thread_id: str | None = None,
        session_id: str | None = None,
        process_instance_id: str | None = None,
        tags: Sequence[str] = (),
        usage: Mapping[str, float] | None = None,
        latency_seconds: float | None = None,
        error: str | None = None,
        analysis_id: str | None = None,
        idempotency_key: str | None = None,
        client_ip: str | None = None,
        caller: Caller = LOCAL,
    ) -> Analysis:
        """Keep what a service has done; durable when this returns.

        Args:
            task_description: what was to be done.
            response_data: what came of it, JSON-able.
            task_id: the task's id where it came from.
            task_name: what tasks of this sort are called.
            variables: what it was given, JSON-able.
            structured_output: what came of it as data of a known form.
            raw_response: what came of it as it was received.
            service_name: who has done it.
            thread_id: a conversation or chain of tasks.
            session_id: a working session.
            process_instance_id: one execution of a workflow engine's process.
            tags: labels.
            usage: figures by name.
            latency_seconds: how long it took.
            error: why it failed.
            analysis_id: an id of your own; the same content again is kept once.
            idempotency_key: the request's own name: repeated, it is answered by what it led to.
            client_ip: the address that it came from.
            caller: who asks, and owns it.

        Raises:
            ContentConflict: the id is taken by other content.
            StoreError: nothing was stored.
        """
        task = Task(
            description=task_description,
            response_data=response_data,
            task_id=task_id,
            task_name=task_name,
            variables=dict(variables or {}),
            structured_output=structured_output,
            raw_response=raw_response,
            service_name=service_name,
            tags=tags,
            belonging=_belonging(caller, thread_id, session_id, process_instance_id, client_ip),
            error=error,
            usage=dict(usage or {}),
            latency_seconds=latency_seconds,
        )
        return self._keep(task.analysis() | {"analysis_id": analysis_id}, idempotency_key, caller)

    def store_openai_interaction(  # noqa: PLR0913 as above
        self,
        request: Mapping[str, Any],
        response: Any = None,
        *,
        model: str,
        output_text: str = "",
        prompt_text: str = "",
        structured_output: Any = None,
        service_name: str | None = None,
        operation: str | None = None,
        thread_id: str | None = None,
        session_id: str | None = None,
        process_instance_id: str | None = None,
        tags: Sequence[str] = (),
        usage: Mapping[str, float] | None = None,
        latency_seconds: float | None = None,
        error: str | None = None,
        analysis_id: str | None = None,
        idempotency_key: str | None = None,
        client_ip: str | None = None,
        caller: Caller = LOCAL,
    ) -> Analysis:
        """Keep a call of a language model; durable when this returns.

        Args:
            request: what it was asked, JSON-able (messages, input, parameters).
            response: its answer as it was received, JSON-able.
            model: the model.
            output_text: the answer's text.
            prompt_text: what was asked last, for people.
            structured_output: the answer as data of a known form.
            service_name: who has asked.
            operation: what was called.
            thread_id: a conversation.
            session_id: a working session.
            process_instance_id: one execution of a workflow engine's process.
            tags: labels.
            usage: tokens by name.
            latency_seconds: how long the answer took.
            error: why there is none.
            analysis_id: an id of your own; the same content again is kept once.
            idempotency_key: the request's own name: repeated, it is answered by what it led to.
            client_ip: the address that it came from.
            caller: who asks, and owns it.

        Raises:
            ContentConflict: the id is taken by other content.
            StoreError: nothing was stored.
        """
        call = Interaction(
            model=model,
            request=dict(request),
            response=response,
            output_text=output_text,
            prompt_text=prompt_text,
            structured_output=structured_output,
            service_name=service_name,
            operation=operation,
            tags=tags,
            belonging=_belonging(caller, thread_id, session_id, process_instance_id, client_ip),
            usage=dict(usage or {}),
            latency_seconds=latency_seconds,
            error=error,
        )
        return self._keep(call.analysis() | {"analysis_id": analysis_id}, idempotency_key, caller)


def _belonging(
    caller: Caller,
    thread_id: str | None,
    session_id: str | None,
    process_instance_id: str | None,
    client_ip: str | None,
) -> Belonging:
    return Belonging(
        client_session_id=caller.owner,
        thread_id=thread_id,
        session_id=session_id,
        process_instance_id=process_instance_id,
        client_ip=client_ip,
    )
