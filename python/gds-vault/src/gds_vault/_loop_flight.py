"""Single flight for event loops. Apart from that for threads, which must not need ``asyncio``: it loads slowly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


class LoopFlights:
    """For one event loop at a time."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Task[Any]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work, or wait for whoever is doing it. It goes on if one who waits is cancelled."""
        loop = asyncio.get_running_loop()
        task = self._flights.get(key)
        if task is None or task.get_loop() is not loop:
            task = loop.create_task(_as_coroutine(work))
            self._flights[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        outcome: T = await asyncio.shield(task)
        return outcome

    def _landed(self, key: str, task: asyncio.Task[Any]) -> None:
        if self._flights.get(key) is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # Looked at, in case nobody waits any more.


async def _as_coroutine(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
