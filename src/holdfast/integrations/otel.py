"""Keep the calls of language models that OpenTelemetry has traced; ``formats.otel`` reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import Analysis
from holdfast.domain.errors import InvalidInput
from holdfast.formats import otel
from holdfast.services.results import NewResult


def import_spans(holdfast: Holdfast, document: Mapping[str, Any] | str | Path) -> list[Analysis]:
    """Keep every span of a trace that is a call of a language model; the same span again is kept once.

    Args:
        holdfast: where they are kept, all in one transaction.
        document: OTLP's JSON, an ``ExportTraceServiceRequest``; or a file with one, or with one a line.

    Returns:
        The analyses.

    Raises:
        InvalidInput: it is no such document.
    """
    found = [document] if isinstance(document, Mapping) else otel.documents(_read(Path(document)))
    new = [NewResult(**call.analysis(), analysis_id=name) for name, call, _, _ in otel.calls(found)]
    return holdfast.store_analyses(new) if new else []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", field="document") from error
