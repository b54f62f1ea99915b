"""The one shape of every error."""

from pydantic import ConfigDict, Field

from holdfast.api.schemas.base import JsonObject, Outgoing


class ProblemDetail(Outgoing):
    """What was wrong, and what to do."""

    code: str = Field(description="Stable, for programs; docs/reference/errors.md lists them.")
    message: str = Field(description="For people; names the cause.")
    details: JsonObject = Field(description="Further facts: the field, the limit, the value refused.")
    suggestions: list[str] = Field(description="What to do next.")
    analysis_id: str | None = None
    partial_results_available: bool = False
    retry_suggested: bool = False
    request_id: str = Field(description="Names the request in the service's log; also the header X-Request-Id.")


class Problem(Outgoing):
    """An error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "success": False,
                    "error": {
                        "code": "ANALYSIS_NOT_FOUND",
                        "message": "There is no analysis 0198f3a2",
                        "details": {},
                        "suggestions": ["Start a new analysis"],
                        "analysis_id": "0198f3a2",
                        "partial_results_available": False,
                        "retry_suggested": False,
                        "request_id": "5f1c0de2a1b34c55",
                    },
                }
            ]
        }
    )
    success: bool = False
    error: ProblemDetail
