"""Single flight: what several ask for at the same time is asked of Vault once, and all share the outcome."""

from __future__ import annotations

import copy
import threading
from typing import Any, Callable, Generic, TypeVar

from gds_vault import _fork
from gds_vault._native import is_exiting
from gds_vault.exceptions import VaultError

T = TypeVar("T")

#: How often one who waits looks whether the interpreter is about to end.
_LOOK_AROUND = 0.1


class _Flight(Generic[T]):
    """One request under way."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.outcome: T | None = None
        self.error: Exception | None = None
        #: The leader was interrupted (Ctrl-C): somebody else has to ask.
        self.abandoned = True


class ThreadFlights(_fork.ForkAware):
    """For threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight[Any]] = {}
        _fork.register(self)

    def run(self, key: str, work: Callable[[], T]) -> T:
        """Do the work, or wait for whoever is doing it."""
        while True:
            with self._lock:
                joined = self._flights.get(key)
                flight: _Flight[T] = joined or _Flight()
                if joined is None:
                    self._flights[key] = flight
            if joined is None:
                return self._lead(key, flight, work)
            while not flight.done.wait(_LOOK_AROUND):
                if is_exiting():
                    # Whoever leads has been stopped for good; only the thread that ends the interpreter comes here.
                    return work()
            if flight.error is not None:
                # Each caller raises one of its own: raising adds to its traceback.
                raise copy.copy(flight.error) if isinstance(flight.error, VaultError) else flight.error
            if not flight.abandoned:
                return flight.outcome  # type: ignore[return-value]

    def _lead(self, key: str, flight: _Flight[T], work: Callable[[], T]) -> T:
        try:
            outcome = work()
            flight.outcome, flight.abandoned = outcome, False
        except Exception as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                self._flights.pop(key, None)
            flight.done.set()
        return outcome

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._flights = {}
