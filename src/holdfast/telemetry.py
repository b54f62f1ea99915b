"""Logs of the command line and the worker; as a library, Holdfast only writes to ``logging``."""

import logging
import sys
from typing import Literal

import structlog

from holdfast import terminal
from holdfast.tracing import current_ids

# What has line ends of its own, made by the logging itself.
_PARAGRAPHS = {"exception", "stack"}


def configure_logging(level: str, style: Literal["text", "json"]) -> None:
    """Write Holdfast's log to standard error.

    Args:
        level: the lowest level that is written.
        style: ``json`` for one object a line, ``text`` for people.
    """
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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logger = logging.getLogger("holdfast")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


def _traced(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Which trace a line belongs to."""
    event.update(current_ids())
    return event


def _harmless(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What was analysed, or an analyzer printed, must not act on the terminal that shows the log."""
    return {
        terminal.safe(name): value
        if not isinstance(value, str)
        else terminal.paragraph(value)
        if name in _PARAGRAPHS
        else terminal.safe(value)
        for name, value in event.items()
    }
