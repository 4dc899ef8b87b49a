"""Metrics: whatever object is given, it can never break a read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Metrics"]

_log = logging.getLogger("gds_vault")


class Metrics(Protocol):
    """What ``metrics=`` takes: any object with these methods."""

    def increment(self, name: str, value: int = 1, labels: Mapping[str, str] | None = None) -> None:
        """Add to a counter."""

    def gauge(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Set a gauge."""

    def histogram(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Add a value to a distribution."""

    def timing(self, name: str, ms: float, labels: Mapping[str, str] | None = None) -> None:
        """Add a duration in milliseconds to a distribution."""


class SafeMetrics:
    """Passes on to the user's object, if there is one, and survives it."""

    def __init__(self, metrics: Metrics | None) -> None:
        self._metrics = metrics

    def increment(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Count one."""
        if self._metrics is not None:
            try:
                self._metrics.increment(name, 1, labels)
            except Exception as error:  # noqa: BLE001 - anything may come from there
                _log.debug("the metrics object failed: %s", type(error).__name__)

    def timing(self, name: str, seconds: float) -> None:
        """Note a duration."""
        if self._metrics is not None:
            try:
                self._metrics.timing(name, seconds * 1000.0, None)
            except Exception as error:  # noqa: BLE001
                _log.debug("the metrics object failed: %s", type(error).__name__)
