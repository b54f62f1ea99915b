"""Indexes kept up to date with what is kept: the use cases, and the jobs that do the work."""

from holdfast.services.processing.handlers import ProcessHandler, RebuildHandler
from holdfast.services.processing.indexing import Indexing
from holdfast.services.processing.service import ProcessingService, ProcessorStatus

__all__ = ["Indexing", "ProcessHandler", "ProcessingService", "ProcessorStatus", "RebuildHandler"]
