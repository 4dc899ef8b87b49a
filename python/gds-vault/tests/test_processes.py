"""Forks, threads, signals, and the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

from gds_vault import NoOpCache, RetryPolicy, TTLCache, VaultClient
from gds_vault._flight import ThreadFlights
from tests.scripted import Reply, Scripted, kv2

APP = "secret/data/app"
ONCE = RetryPolicy(max_retries=0)


def in_child(work: Any) -> int:
    """Run something in a forked child; return its exit code. A child that hangs is killed."""
    child = os.fork()
    if child == 0:  # pragma: no cover - measured in the parent only
        signal.alarm(60)
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(f"in the child: {error!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_makes_its_own_connections(scripted: Scripted) -> None:
    scripted.login()
    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, role_id="r", secret_id="s", cache=NoOpCache())
    client.get_secret(APP)

    def work() -> None:
        for _ in range(3):
            assert client.get_secret(APP) == {"a": 1}
        client.close()

    for _ in range(4):
        assert in_child(work) == 0
        assert client.get_secret(APP) == {"a": 1}
    assert scripted.connections >= 1 + 4, "at least one each, none shared"
    assert scripted.count("POST", "auth/approle/login") == 1, "the session goes along"


def test_forking_while_other_threads_read(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, token="t", cache=TTLCache(default_ttl=0.0001), retry_policy=ONCE)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            client.get_secret(APP)
            client.get_secret(APP, use_cache=False)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            assert in_child(lambda: client.get_secret(APP)) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _read_in_pool(url: str) -> Any:
    return VaultClient(url, token="t").get_secret(APP)


def test_multiprocessing_pools(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    _read_in_pool(scripted.url)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_read_in_pool, [scripted.url] * 4) == [{"a": 1}] * 4


def test_locks_that_others_held_are_made_anew() -> None:
    cache, flights = TTLCache(), ThreadFlights()
    cache.set("a", {})

    def work() -> None:
        assert cache.get("a") is None, "it may have been half changed"
        cache.set("b", {})
        assert flights.run("key", lambda: 5) == 5

    with cache._lock, flights._lock:
        flights._flights["key"] = object()  # type: ignore[assignment]
        assert in_child(work) == 0


def test_an_abandoned_flight_is_taken_over() -> None:
    flights = ThreadFlights()
    started, go = threading.Event(), threading.Event()

    def interrupted() -> int:
        started.set()
        go.wait(60)
        raise KeyboardInterrupt

    def lead() -> None:
        with pytest.raises(KeyboardInterrupt):
            flights.run("key", interrupted)

    got: list[int] = []
    leader = threading.Thread(target=lead)
    follower = threading.Thread(target=lambda: got.append(flights.run("key", lambda: 5)))
    leader.start()
    assert started.wait(60)
    follower.start()
    time.sleep(0.05)
    go.set()
    leader.join()
    follower.join()
    assert got == [5]


def test_errors_of_others_are_shared_as_they_are() -> None:
    flights = ThreadFlights()
    started, go = threading.Event(), threading.Event()

    def fail() -> None:
        started.set()
        go.wait(60)
        raise LookupError("x")

    errors: list[Exception] = []

    def run() -> None:
        try:
            flights.run("key", fail)
        except LookupError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    threads[0].start()
    assert started.wait(60)
    threads[1].start()
    time.sleep(0.05)
    go.set()
    for thread in threads:
        thread.join()
    assert len(errors) == 2


def test_many_threads(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, token="t", cache=TTLCache(default_ttl=0.001), retry_policy=ONCE)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(50):
                assert client.get_secret(APP) == {"a": 1}
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_waiting_releases_the_gil(scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(200, kv2({"a": 1}), gate=gate))
    client = VaultClient(scripted.url, token="t")
    reader = threading.Thread(target=client.get_secret, args=(APP,))
    reader.start()
    # The server answers from this very process: it could not even take the request otherwise.
    while scripted.count("GET", APP) == 0:
        time.sleep(0.001)
    gate.set()
    reader.join(60)
    assert not reader.is_alive()


def script(code: str, url: str, **kw: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(code), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kw,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_ctrl_c_ends_a_wait(scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(200, kv2({}), gate=gate))
    code = """
        import sys
        from gds_vault import VaultClient
        client = VaultClient(sys.argv[1], token="t", timeout=60)
        try:
            client.get_secret("secret/data/app")
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """
    process = script(code, scripted.url)
    try:
        while scripted.count("GET", APP) == 0:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert ended(process) == (0, "interrupted\n", "")
    finally:
        gate.set()
        process.kill()


@pytest.mark.parametrize("daemon", [True, False])
def test_the_interpreter_ends_while_threads_read(scripted: Scripted, daemon: bool) -> None:
    scripted.secret(APP, a=1)
    code = f"""
        import sys, threading, time, atexit
        atexit.register(lambda: print("last", client.get_secret("secret/data/app")))
        from gds_vault import VaultClient, NoOpCache, RetryPolicy
        client = VaultClient(sys.argv[1], token="t", cache=NoOpCache(), retry_policy=RetryPolicy(0))
        ending = time.monotonic() + 0.5
        def read():
            while {daemon} or time.monotonic() < ending:
                try:
                    client.get_secret("secret/data/app")
                except RuntimeError:
                    pass  # cut off: the interpreter is shutting down
        for _ in range(8):
            threading.Thread(target=read, daemon={daemon}).start()
        atexit.register(lambda: print(client.get_secret("secret/data/app")))
        time.sleep(0.3)
        """
    assert ended(script(code, scripted.url)) == (0, "{'a': 1}\nlast {'a': 1}\n", "")


def test_the_interpreter_ends_while_a_loop_waits(scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(200, kv2({}), gate=gate))
    code = """
        import asyncio, sys, threading
        from gds_vault import AsyncVaultClient
        async def main():
            client = AsyncVaultClient(sys.argv[1], token="t")
            try:
                await asyncio.wait_for(client.get_secret("secret/data/app", use_cache=False), 0.2)
            except asyncio.TimeoutError:
                print("given up")
        asyncio.run(main())
        """
    try:
        exit_code, out, err = ended(script(code, scripted.url))
        # On a busy machine asyncio's debug mode has something to say of its own.
        assert (exit_code, out, "Traceback" in err) == (0, "given up\n", False), err
    finally:
        gate.set()


def test_asyncio_is_not_loaded_without_need(scripted: Scripted) -> None:
    code = """
        import sys
        import gds_vault
        assert "asyncio" not in sys.modules
        gds_vault.AsyncVaultClient
        assert "asyncio" in sys.modules
        """
    assert ended(script(code, scripted.url)) == (0, "", "")
