from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Callable

import pytest
from gds_vault import exceptions as vault

from secrets_service.retry import retry_with_backoff


class Flaky:
    """Fails so many times, then returns."""

    def __init__(self, failures: int, error: Callable[[], BaseException] = lambda: ConnectionError("no")) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error()
        return "value"


def test_a_success_is_returned_at_once() -> None:
    pauses: list[float] = []
    func = Flaky(0)
    assert retry_with_backoff(func, sleep=pauses.append) == "value"
    assert (func.calls, pauses) == (1, [])


def test_max_attempts_is_respected_and_the_last_error_raised() -> None:
    errors = iter(range(10))
    func = Flaky(10, lambda: ConnectionError(next(errors)))
    with pytest.raises(ConnectionError) as caught:
        retry_with_backoff(func, max_attempts=4, sleep=lambda _: None)
    assert (func.calls, caught.value.args) == (4, (3,))


def test_the_default_is_three_attempts() -> None:
    func = Flaky(2)
    assert retry_with_backoff(func, sleep=lambda _: None) == "value"
    assert func.calls == 3


def test_exponential_backoff_with_jitter() -> None:
    runs = []
    for _ in range(50):
        pauses: list[float] = []
        retry_with_backoff(Flaky(4), 5, 0.5, sleep=pauses.append)
        runs.append(pauses)
    for pauses in runs:
        for n, pause in enumerate(pauses):
            assert 0.75 * 0.5 * 2**n <= pause <= 1.25 * 0.5 * 2**n
        assert pauses == sorted(pauses)
        assert len(set(pauses)) == 4
    # Jitter: no two runs are alike.
    assert len({tuple(pauses) for pauses in runs}) == 50


def test_pauses_are_capped() -> None:
    pauses: list[float] = []
    retry_with_backoff(Flaky(9), 10, 1.0, max_delay=3.0, sleep=pauses.append)
    assert max(pauses) <= 3.0
    assert all(pause >= 2.25 for pause in pauses[2:])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_not_an_exception_is_never_repeated(error: type[BaseException]) -> None:
    func = Flaky(1, error)
    with pytest.raises(error):
        retry_with_backoff(func, sleep=lambda _: None)
    assert func.calls == 1


@pytest.mark.parametrize(
    "error",
    [
        vault.VaultAuthError,
        vault.VaultPermissionError,
        vault.VaultSecretNotFoundError,
        vault.VaultConfigurationError,
    ],
)
def test_vault_errors_that_a_repeat_cannot_mend_are_raised_at_once(error: type[vault.VaultError]) -> None:
    func = Flaky(1, lambda: error("no"))
    with pytest.raises(error):
        retry_with_backoff(func, sleep=lambda _: None)
    assert func.calls == 1


def test_an_unavailable_vault_is_asked_again() -> None:
    func = Flaky(2, lambda: vault.VaultConnectionError("no"))
    assert retry_with_backoff(func, sleep=lambda _: None) == "value"


def test_the_caller_says_what_is_repeated() -> None:
    func = Flaky(2, lambda: KeyError("x"))
    assert retry_with_backoff(func, retry_on=(KeyError, OSError), sleep=lambda _: None) == "value"
    other = Flaky(1, lambda: ValueError("x"))
    with pytest.raises(ValueError, match="x"):
        retry_with_backoff(other, retry_on=KeyError, sleep=lambda _: None)
    assert other.calls == 1


@pytest.mark.parametrize(
    "arguments",
    [{"max_attempts": 0}, {"initial_delay": -1.0}, {"initial_delay": float("nan")}, {"max_delay": -1.0}],
)
def test_nonsense_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        retry_with_backoff(Flaky(0), **arguments)  # type: ignore[arg-type]


def test_other_threads_run_while_it_waits() -> None:
    asked_again = threading.Event()
    other_ran = threading.Event()

    def func() -> str:
        # The second attempt comes only after the other thread has run during the pause.
        if not other_ran.is_set():
            asked_again.set()
            raise ConnectionError
        return "value"

    def other() -> None:
        asked_again.wait(30)
        other_ran.set()

    thread = threading.Thread(target=other)
    thread.start()
    # Attempts for a minute: how soon the other one runs is up to the machine.
    assert retry_with_backoff(func, max_attempts=1_200, initial_delay=0.05, max_delay=0.05) == "value"
    thread.join()


INTERRUPTED = """
import os, signal, threading
from secrets_service.retry import retry_with_backoff

def fail():
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    raise OSError

try:
    retry_with_backoff(fail, initial_delay=600.0, max_delay=600.0)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_a_pause() -> None:
    assert signal.SIGINT
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
    )
    assert ran.stdout == "interrupted\n", ran.stderr
