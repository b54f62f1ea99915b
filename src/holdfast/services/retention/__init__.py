"""Keeping house: what is not to be kept any longer goes."""

from holdfast.services.retention.service import Horizons, Plan, RetentionService, Sweep, SweepHandler

__all__ = ["Horizons", "Plan", "RetentionService", "Sweep", "SweepHandler"]
