"""Logs of the command line and the worker; as a library, Holdfast only writes to ``logging``."""

import functools
import logging
import sys
from typing import TYPE_CHECKING, Literal

from holdfast import terminal
from holdfast.tracing import current_ids

if TYPE_CHECKING:
    import structlog

# What has line ends of its own, made by the logging itself.
_PARAGRAPHS = {"exception", "stack"}


def configure_logging(level: str, style: Literal["text", "json"]) -> None:
    """Write Holdfast's log to standard error.

    Args:
        level: the lowest level that is written.
        style: ``json`` for one object a line, ``text`` for people.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Late(style))
    logger = logging.getLogger("holdfast")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


class _Late(logging.Formatter):
    """Becomes a formatter with the first line: most commands write none, and need not wait for structlog."""

    def __init__(self, style: Literal["text", "json"]) -> None:
        super().__init__()
        self._shape: Literal["text", "json"] = style

    @functools.cached_property
    def _formatter(self) -> logging.Formatter:
        return _formatter(self._shape)

    def format(self, record: logging.LogRecord) -> str:
        return self._formatter.format(record)


def _formatter(style: Literal["text", "json"]) -> logging.Formatter:
    import structlog  # noqa: PLC0415 see ``_Late``

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _traced,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if style == "json"
        else [
            _harmless,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def _traced(
    _logger: "structlog.typing.WrappedLogger", _method: str, event: "structlog.typing.EventDict"
) -> "structlog.typing.EventDict":
    """Which trace a line belongs to."""
    event.update(current_ids())
    return event


def _harmless(
    _logger: "structlog.typing.WrappedLogger", _method: str, event: "structlog.typing.EventDict"
) -> "structlog.typing.EventDict":
    """What was analysed, or an analyzer printed, must not act on the terminal that shows the log."""
    return {
        terminal.safe(name): value
        if not isinstance(value, str)
        else terminal.paragraph(value)
        if name in _PARAGRAPHS
        else terminal.safe(value)
        for name, value in event.items()
    }
