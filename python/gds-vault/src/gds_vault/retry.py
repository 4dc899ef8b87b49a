"""Retries with exponential backoff and jitter."""

from __future__ import annotations

import functools
import inspect
import random
import time
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from gds_vault.exceptions import VaultConnectionError, VaultError

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["RETRIABLE_EXCEPTIONS", "RetryPolicy", "retry_with_backoff"]

T = TypeVar("T")

#: What is retried unless something else is said: Vault is unavailable, or the network is.
RETRIABLE_EXCEPTIONS: tuple[type[Exception], ...] = (VaultConnectionError, ConnectionError, TimeoutError)

#: Share of a delay by which it is lengthened or shortened at random, so that processes that failed together do not
#: come back together. A quarter: delays still grow from attempt to attempt.
_JITTER = 0.25

_random = random.SystemRandom()


class RetryPolicy:
    """How often to try again, and how long to wait in between.

    There are ``max_retries + 1`` attempts. Before retry *n* (from 0) it waits ``initial_delay * backoff_factor ** n``
    seconds, at most ``max_delay``, give or take 25 %. If Vault says how long to wait (``Retry-After``), no attempt is
    made earlier; if that is longer than ``max_delay``, the error is raised at once. Errors that are not among
    ``retriable_exceptions`` are raised at once.
    """

    def __init__(
        self,
        max_retries: int = 3,
        initial_delay: float = 1.0,
        max_delay: float = 32.0,
        backoff_factor: float = 2.0,
        retriable_exceptions: tuple[type[Exception], ...] = RETRIABLE_EXCEPTIONS,
    ) -> None:
        if max_retries < 0:
            raise ValueError("max_retries must be 0 or more")
        if initial_delay < 0 or max_delay < 0:
            raise ValueError("delays must be 0 or more")
        if backoff_factor < 1:
            raise ValueError("backoff_factor must be 1 or more")
        self.max_retries = max_retries
        self.initial_delay = initial_delay
        self.max_delay = max_delay
        self.backoff_factor = backoff_factor
        self.retriable_exceptions = tuple(retriable_exceptions)

    def delay(self, retry: int) -> float:
        """Return how many seconds to wait before a retry, jitter included. The first retry is 0."""
        try:
            plain = self.initial_delay * self.backoff_factor**retry
        except OverflowError:
            plain = self.max_delay
        return min(plain, self.max_delay) * _random.uniform(1 - _JITTER, 1 + _JITTER)

    def execute(self, func: Callable[[], T]) -> T:
        """Call ``func`` until it succeeds, an error is final, or the attempts are used up."""
        for retry in range(self.max_retries):
            try:
                return func()
            except self.retriable_exceptions as error:
                wait = self._wait_after(error, retry)
            time.sleep(wait)
        return func()

    async def execute_async(self, func: Callable[[], Awaitable[T]]) -> T:
        """Do the same for a coroutine function, without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - loads slowly, and threads have no use for it

        for retry in range(self.max_retries):
            try:
                return await func()
            except self.retriable_exceptions as error:
                wait = self._wait_after(error, retry)
            await asyncio.sleep(wait)
        return await func()

    def _wait_after(self, error: Exception, retry: int) -> float:
        """Return the delay; raise the error if waiting cannot help."""
        asked = error.retry_after if isinstance(error, VaultError) else None
        if asked is None:
            return self.delay(retry)
        if asked > self.max_delay:
            raise error
        return max(asked * _random.uniform(1, 1 + _JITTER), self.delay(retry))

    def __repr__(self) -> str:
        """Show the settings."""
        return (
            f"RetryPolicy(max_retries={self.max_retries}, initial_delay={self.initial_delay}, "
            f"max_delay={self.max_delay}, backoff_factor={self.backoff_factor})"
        )


def retry_with_backoff(
    max_retries: int = 3,
    initial_delay: float = 1.0,
    max_delay: float = 32.0,
    backoff_factor: float = 2.0,
    retriable_exceptions: tuple[type[Exception], ...] = RETRIABLE_EXCEPTIONS,
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorate a function, or a coroutine function, so that it is retried. See ``RetryPolicy``."""
    policy = RetryPolicy(max_retries, initial_delay, max_delay, backoff_factor, retriable_exceptions)

    def decorate(func: Callable[..., T]) -> Callable[..., T]:
        if inspect.iscoroutinefunction(func):

            async def retried_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
                return await policy.execute_async(functools.partial(func, *args, **kwargs))

            return functools.wraps(func)(retried_async)  # type: ignore[return-value]

        @functools.wraps(func)
        def retried(*args: Any, **kwargs: Any) -> T:  # noqa: ANN401
            return policy.execute(functools.partial(func, *args, **kwargs))

        return retried

    return decorate
