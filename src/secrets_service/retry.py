"""Retry with exponential backoff and jitter."""

from __future__ import annotations

import time
from typing import Callable, TypeVar, Union

from gds_vault.exceptions import VaultError

from ._native import backoff_delay

__all__ = ["retry_with_backoff"]

T = TypeVar("T")


def retry_with_backoff(  # noqa: PLR0913 - the first three are the ones that people use
    func: Callable[[], T],
    max_attempts: int = 3,
    initial_delay: float = 0.5,
    *,
    max_delay: float = 10.0,
    retry_on: Union[type[BaseException], tuple[type[BaseException], ...]] = Exception,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Execute a function with retry and exponential backoff.

    Before repeat number n, counted from 0, comes a pause of ``initial_delay * 2**n`` seconds give or take a quarter:
    pauses grow, and processes that failed together drift apart. While it waits other threads run, and Ctrl-C works.

    Args:
        func: Called until it returns.
        max_attempts: How often at most.
        initial_delay: The middle of the first pause, in seconds.
        max_delay: No pause is longer.
        retry_on: What is repeated. By default every `Exception`, so never KeyboardInterrupt or SystemExit. Vault
            errors that a repeat cannot mend (login refused, permission, not found, configuration) never are.
        sleep: Takes the pauses: for tests, or for another way to wait.

    Returns:
        What the function returned.

    Raises:
        ValueError: An argument makes no sense.
    """
    if max_attempts < 1:
        msg = "max_attempts must be at least 1"
        raise ValueError(msg)
    backoff_delay(initial_delay, max_delay, 0)
    for attempt in range(max_attempts - 1):
        try:
            return func()
        except retry_on as error:
            if isinstance(error, VaultError) and not error.retryable:
                raise
        sleep(backoff_delay(initial_delay, max_delay, attempt))
    return func()
