"""Objects of a user's own, for tests."""

from __future__ import annotations

from typing import Any


class Counting:
    def __init__(self, fail: bool = False) -> None:
        self.counts: dict[str, int] = {}
        self.timings: list[str] = []
        self.labels: list[Any] = []
        self.fail = fail

    def increment(self, name: str, value: int = 1, labels: Any = None) -> None:
        self.counts[name] = self.counts.get(name, 0) + value
        self.labels.append(labels)
        if self.fail:
            raise RuntimeError

    def gauge(self, name: str, value: float, labels: Any = None) -> None: ...

    def histogram(self, name: str, value: float, labels: Any = None) -> None: ...

    def timing(self, name: str, ms: float, labels: Any = None) -> None:
        self.timings.append(name)
        if self.fail:
            raise RuntimeError
