"""Refreshes: marked, scheduled, called off, and begun by themselves where something is stale."""

from holdfast.services.refresh.handlers import CheckHandler, RefreshHandler
from holdfast.services.refresh.service import DEFAULT_DELAY_MINUTES, RefreshService, TaskPage

__all__ = ["DEFAULT_DELAY_MINUTES", "CheckHandler", "RefreshHandler", "RefreshService", "TaskPage"]
