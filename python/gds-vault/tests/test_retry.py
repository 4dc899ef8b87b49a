"""Retries: how often, how long, what."""

from __future__ import annotations

import asyncio
from typing import Any, Callable

import pytest

from gds_vault import (
    RetryPolicy,
    VaultAuthUnavailableError,
    VaultConnectionError,
    VaultError,
    VaultPermissionError,
    retry_with_backoff,
)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    noted: list[float] = []

    async def sleep(seconds: float) -> None:
        noted.append(seconds)

    monkeypatch.setattr("time.sleep", noted.append)
    monkeypatch.setattr("asyncio.sleep", sleep)
    return noted


class Failing:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def call(self) -> str:
        return self()


Runner = Callable[[RetryPolicy, Failing], str]


def run_async(policy: RetryPolicy, failing: Failing) -> str:
    return asyncio.run(policy.execute_async(failing.call))


both = pytest.mark.parametrize("run", [lambda policy, failing: policy.execute(failing), run_async])


@both
def test_one_attempt_more_than_retries(run: Runner, waits: list[float]) -> None:
    failing = Failing(*[VaultConnectionError(str(n)) for n in range(9)])
    with pytest.raises(VaultConnectionError, match="3"):
        run(RetryPolicy(max_retries=3, initial_delay=1.0), failing)
    assert failing.calls == 4
    assert len(waits) == 3


@both
def test_delays_grow_with_jitter(run: Runner, waits: list[float]) -> None:
    for _ in range(50):
        run(RetryPolicy(max_retries=3, initial_delay=1.0), Failing(*[VaultConnectionError()] * 3))
    for retry, plain in enumerate([1.0, 2.0, 4.0]):
        seen = waits[retry::3]
        assert all(0.75 * plain <= wait <= 1.25 * plain for wait in seen)
        assert len(set(seen)) > 40


@both
def test_final_errors_are_raised_at_once(run: Runner, waits: list[float]) -> None:
    failing = Failing(VaultPermissionError("no"))
    with pytest.raises(VaultPermissionError):
        run(RetryPolicy(), failing)
    assert failing.calls == 1
    assert waits == []


@both
@pytest.mark.parametrize(
    "error", [VaultConnectionError(), VaultAuthUnavailableError(), ConnectionResetError(), TimeoutError()]
)
def test_what_is_retried(run: Runner, waits: list[float], error: Exception) -> None:
    assert run(RetryPolicy(), Failing(error)) == "done"
    assert len(waits) == 1


@both
def test_retry_after_is_honoured(run: Runner, waits: list[float]) -> None:
    assert run(RetryPolicy(initial_delay=0.1), Failing(VaultConnectionError(retry_after=7.0))) == "done"
    assert 7.0 <= waits[0] <= 7.0 * 1.25


@both
def test_a_retry_after_past_the_limit_is_final(run: Runner, waits: list[float]) -> None:
    with pytest.raises(VaultConnectionError):
        run(RetryPolicy(max_delay=5), Failing(VaultConnectionError(retry_after=60)))
    assert waits == []


def test_delays_are_capped() -> None:
    policy = RetryPolicy(initial_delay=1, max_delay=8, backoff_factor=10)
    assert all(policy.delay(retry) <= 10 for retry in (1, 5, 10_000))


def test_keyboard_interrupt_is_not_retried() -> None:
    calls = []

    def interrupted() -> None:
        calls.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RetryPolicy(retriable_exceptions=(Exception,)).execute(interrupted)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "wrong", [{"max_retries": -1}, {"initial_delay": -1}, {"max_delay": -1}, {"backoff_factor": 0.5}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**wrong)


def test_decorated_functions_keep_name_and_arguments(waits: list[float]) -> None:
    failing = Failing(VaultError("custom"))

    @retry_with_backoff(max_retries=1, retriable_exceptions=(VaultError,))
    def read(path: str, *, version: int) -> tuple[str, int]:
        """Read."""
        failing()
        return path, version

    assert read("a", version=2) == ("a", 2)
    assert (read.__name__, read.__doc__) == ("read", "Read.")
    assert len(waits) == 1


def test_decorated_coroutine_functions(waits: list[float]) -> None:
    failing = Failing(ConnectionError())

    @retry_with_backoff(max_retries=1)
    async def read(path: str) -> str:
        failing()
        return path

    assert asyncio.run(read("a")) == "a"
    assert len(waits) == 1


def test_repr() -> None:
    assert "max_retries=3" in repr(RetryPolicy())
