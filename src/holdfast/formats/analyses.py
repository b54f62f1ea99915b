"""The export of analyses that other programs read and write, as one JSON document.

    {"exported_at": ..., "total_count": ..., "analyses": [
        {"metadata": {...}, "input_data": ..., "output_data": ..., "raw_response": ..., "processing_log": [...]}]}

It is written and read one analysis at a time. What keeps a whole store is a bundle.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import ijson
import msgspec

from holdfast.documents import to_json
from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.context import Context
from holdfast.domain.findings import Finding
from holdfast.domain.subjects import Subject
from holdfast.formats.foreign import Foreign, InvalidFile, moment

_STATUSES = {status.value: status for status in Status if status.ended}
_SPLIT = {"output_data", "raw_response"}


def write(exported_at: str, total: int, entries: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    """The document, piece by piece."""
    head = msgspec.json.encode({"exported_at": exported_at, "total_count": total})
    yield head[:-1] + b',"analyses":['
    separator = b"\n"
    for entry in entries:
        yield separator + msgspec.json.encode(entry)
        separator = b",\n"
    yield b"\n]}\n"


def parted(result: Any) -> tuple[Any, Any]:
    """A result as output and raw response."""
    if isinstance(result, dict) and result.keys() == _SPLIT:
        return result["output_data"], result["raw_response"]
    return result, None


def read(stream: IO[bytes]) -> Iterator[Foreign]:
    """The analyses of a document, one at a time.

    Raises:
        InvalidFile: it is cut off, or is not such a document.
    """
    number = 0
    try:
        for number, entry in enumerate(ijson.items(stream, "analyses.item", use_float=True), 1):
            try:
                yield _analysis(entry)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise InvalidFile(f"Analysis {number} of the file cannot be read: {error!r}") from error
    except ijson.JSONError as error:
        raise InvalidFile(f"The file is damaged or cut off after analysis {number}: {error}") from error


def _analysis(entry: Mapping[str, Any]) -> Foreign:
    about = dict(entry.get("metadata") or {})
    output, raw = entry.get("output_data"), entry.get("raw_response")
    result = output if raw is None else {"output_data": output, "raw_response": raw}
    params = entry.get("input_data")
    status = _STATUSES.get(str(about.get("status", "completed")), Status.COMPLETED if result else Status.FAILED)
    given = about.get("analysis_id") or about.get("id")
    subject = about.get("subject")
    error = about.get("error")
    return Foreign(
        analysis_id=str(given or f"analysis-{hashlib.sha256(to_json(entry)).hexdigest()[:32]}"),
        kind=str(about.get("kind") or "task"),
        result=result if result is not None or status is not Status.COMPLETED else {},
        status=status,
        error=None if error is None else _error(error),
        created_at=moment(about.get("created_at") or about.get("timestamp")),
        completed_at=moment(about.get("completed_at")),
        subject=None if subject is None else msgspec.convert(_known(subject, Subject), Subject),
        params=params if isinstance(params, dict) else {} if params is None else {"input_data": params},
        context=Context(
            client_session_id=str(about.get("client_session_id") or "local"),
            thread_id=about.get("thread_id"),
            session_id=about.get("session_id"),
            process_instance_id=about.get("process_instance_id"),
        ),
        summary=str(about.get("summary") or about.get("task_description") or ""),
        findings=tuple(msgspec.convert(_known(one, Finding), Finding) for one in about.get("findings") or ()),
        metrics=about.get("metrics") or {},
        tags=tuple(about.get("tags") or ()),
        analyzer_version=str(about.get("analyzer_version") or ""),
    )


def _error(error: Any) -> ErrorInfo:
    if isinstance(error, dict):
        return msgspec.convert(_known(error, ErrorInfo), ErrorInfo)
    return ErrorInfo(code="RUN_ERROR", message=str(error))


def _known(value: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    return {name: inner for name, inner in value.items() if name in kind.__dataclass_fields__}
