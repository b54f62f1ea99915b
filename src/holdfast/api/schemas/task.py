"""What services have done and language models have answered, as it is sent to be kept."""

from typing import Annotated

from pydantic import ConfigDict, Field

from holdfast.api.schemas.analysis import ID
from holdfast.api.schemas.base import Incoming, Json, JsonObject, Seconds

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Text = Annotated[str, Field(max_length=1_000_000)]
_Tag = Annotated[str, Field(min_length=1, max_length=128)]


class _Kept(Incoming):
    """What a task and a call of a model have in common."""

    structured_output: Json = Field(default=None, description="What came of it as data of a known form.")
    service_name: _Name | None = Field(default=None, description="Who has done it, or asked.")
    thread_id: _Name | None = Field(default=None, description="A conversation or chain of tasks.")
    session_id: _Name | None = Field(default=None, description="A working session.")
    process_instance_id: _Name | None = Field(default=None, description="One execution of an engine's process.")
    tags: list[_Tag] = Field(default_factory=list, max_length=100)
    usage: dict[_Name, float] = Field(default_factory=dict, max_length=100, description="Figures by name, as tokens.")
    latency_seconds: Seconds | None = Field(default=None, description="How long it took.")
    error: _Text | None = Field(default=None, description="Why it failed.")
    analysis_id: str | None = Field(default=None, pattern=ID, description="An id of your own: kept once.")


class TaskIn(_Kept):
    """A task that a service has done."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "task_description": "Analyze decision alternatives",
                    "task_name": "Decision Analysis",
                    "variables": {"budget": 10000},
                    "response_data": {"recommendation": "Option A", "confidence": 0.8},
                    "thread_id": "conversation_456",
                    "tags": ["decision", "analysis"],
                }
            ]
        }
    )

    task_description: str = Field(min_length=1, max_length=1_000_000, description="What was to be done.")
    response_data: Json = Field(default=None, description="What came of it.")
    task_id: _Name | None = Field(default=None, description="Its id where it came from.")
    task_name: _Name | None = Field(default=None, description="What tasks of this sort are called.")
    variables: JsonObject = Field(default_factory=dict, description="What it was given.")
    raw_response: Json = Field(default=None, description="What came of it as it was received.")


class InteractionIn(_Kept):
    """A call of a language model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "gpt-4o",
                    "request": {"messages": [{"role": "user", "content": "Which option?"}]},
                    "response": {"choices": [{"message": {"content": "Option A"}}]},
                    "output_text": "Option A",
                    "prompt_text": "Which option?",
                    "usage": {"input_tokens": 7, "output_tokens": 3},
                    "thread_id": "conversation_456",
                }
            ]
        }
    )

    request: JsonObject = Field(description="What it was asked: messages, parameters.")
    response: Json = Field(default=None, description="Its answer as it was received.")
    model: _Name = Field(description="The model.")
    output_text: _Text = Field(default="", description="The answer's text.")
    prompt_text: _Text = Field(default="", description="What was asked last, for people.")
    operation: _Name | None = Field(default=None, description="What was called, as `chat.completions`.")
