"""Work that goes on through a pool while credentials rotate under it, and what came of it."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

import psycopg

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from typing_extensions import Self

    from secrets_service.testing import Database

WORKERS = 4
ITEMS = 16
# One transaction: what it changes stays changed, and it tells as whom.
CHANGE = "UPDATE items SET n = n + 1 WHERE id = {}"
WHO = "SELECT current_user::text"
_SAMPLE_SECONDS = 0.25
# Whoever has not seen enough by then will not see it: a guard, no matter how slow the machine is.
_STUCK_SECONDS = 120.0

# Sessions of users that are no more: connections that were kept for too long.
_ORPHANS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usesysid NOT IN (SELECT oid FROM pg_roles)
"""


@dataclass
class Report:
    """What came of a run."""

    queries: int = 0
    users: set[str] = field(default_factory=set)
    failures: list[BaseException] = field(default_factory=list)
    orphans: int = 0

    @property
    def rotations(self) -> int:
        return max(0, len(self.users) - 1)

    def did(self, user: str) -> None:
        self.queries += 1
        self.users.add(user)

    def __str__(self) -> str:
        return (
            f"{self.queries} queries, {self.rotations} rotations, {len(self.failures)} failed, "
            f"{self.orphans} sessions of users that were no more"
        )


class Witness:
    """Looks on as the superuser."""

    def __init__(self, database: Database) -> None:
        self._connection = psycopg.connect(database.superuser_url, autocommit=True)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.orphans = 0

    def _look(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            row = self._connection.execute(_ORPHANS).fetchone()
            self.orphans = max(self.orphans, row[0] if row else 0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()


def enough(report: Report, seconds: float, rotations: int) -> Callable[[], bool]:
    """So many seconds and rotations, but not for ever."""
    begin = time.monotonic()

    def done() -> bool:
        passed = time.monotonic() - begin
        stuck = passed > seconds + _STUCK_SECONDS
        return bool(report.failures) or (passed > seconds and (report.rotations >= rotations or stuck))

    return done


def run(
    database: Database,
    work: Callable[[int], str],
    *,
    seconds: float,
    rotations: int,
    at_end: Callable[[], object] = lambda: None,
) -> Report:
    """Threads that work without pause; `work` returns the user that it was done as. `at_end` runs in each of them."""
    report = Report()
    done = enough(report, seconds, rotations)

    def keep_on(number: int) -> None:
        while not done():
            try:
                report.did(work(number))
            except BaseException as error:  # noqa: BLE001
                report.failures.append(error)
        at_end()

    threads = [threading.Thread(target=keep_on, args=(number,)) for number in range(WORKERS)]
    with Witness(database) as witness:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    report.orphans = witness.orphans
    return report


async def run_async(
    database: Database, work: Callable[[int], Awaitable[str]], *, seconds: float, rotations: int
) -> Report:
    """The same with tasks."""
    report = Report()
    done = enough(report, seconds, rotations)

    async def keep_on(number: int) -> None:
        while not done():
            try:
                report.did(await work(number))
            except BaseException as error:  # noqa: BLE001
                report.failures.append(error)

    with Witness(database) as witness:
        await asyncio.gather(*(keep_on(number) for number in range(WORKERS)))
    report.orphans = witness.orphans
    return report
