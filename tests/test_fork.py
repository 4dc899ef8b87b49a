from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import threading
from typing import TYPE_CHECKING, Any, Callable

import pytest
from gds_vault.exceptions import VaultError

from secrets_service import AsyncResilientVaultClient, ResilientVaultClient, SecretCache, VaultConfig

if TYPE_CHECKING:
    from pathlib import Path

    from secrets_service._native import DevVault

# Python 3.12 warns of forks with threads about, which is what these tests are about.
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here"),
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]
PATIENCE_SECONDS = 60


def in_children(count: int, work: Callable[[], Any]) -> list[Any]:
    """Runs `work` in forked children at once, and returns what each one made of it."""
    context = multiprocessing.get_context("fork")
    ends = []
    children = []
    for _ in range(count):
        ours, theirs = context.Pipe(duplex=False)

        def run(pipe: Any = theirs) -> None:  # noqa: ANN401
            try:
                pipe.send(work())
            except BaseException as error:  # noqa: BLE001
                pipe.send(repr(error))

        child = context.Process(target=run)
        child.start()
        ends.append(ours)
        children.append(child)
    results = [end.recv() if end.poll(PATIENCE_SECONDS) else "no answer: deadlock" for end in ends]
    for child in children:
        child.join(PATIENCE_SECONDS)
        assert child.exitcode == 0
    return results


def test_row30_forked_children_read_with_connections_and_logins_of_their_own(
    dev: DevVault, config_for: Callable[..., VaultConfig]
) -> None:
    dev.put("secret/a", {"x": "1"})
    client = ResilientVaultClient(config_for(dev))
    assert client.get_secret("secret/a") == {"x": "1"}
    dev.reset_counts()
    connections = dev.connections()
    assert (
        in_children(4, lambda: (client.get_secret("secret/a"), client.get_secret("secret/a")))
        == [({"x": "1"}, {"x": "1"})] * 4
    )
    # Four logins on four new connections (at least): nobody spoke on the parent's.
    assert dev.count("GET", "auth/token/lookup-self") == 4
    assert dev.connections() - connections >= 4
    # And the parent goes on as if nothing had been.
    assert client.get_secret("secret/a") == {"x": "1"}
    assert client.get_secret("secret/a", bypass_cache=True) == {"x": "1"}
    client.close()


def test_row30_a_fork_while_other_threads_are_in_the_middle_of_it(
    dev: DevVault, config_for: Callable[..., VaultConfig]
) -> None:
    for i in range(4):
        dev.put(f"secret/{i}", {"i": i})
    client = ResilientVaultClient(config_for(dev, cache_ttl_seconds=0))
    stop = threading.Event()
    failures: list[BaseException] = []

    def hammer(i: int) -> None:
        while not stop.is_set():
            try:
                assert client.get_secret(f"secret/{i % 4}") == {"i": i % 4}
            except BaseException as error:  # noqa: BLE001
                failures.append(error)
                return

    threads = [threading.Thread(target=hammer, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert in_children(2, lambda: client.get_secret("secret/1")) == [{"i": 1}] * 2
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    client.close()


def test_row30_a_fork_while_other_threads_log(
    dev: DevVault, config_for: Callable[..., VaultConfig], tmp_path: Path
) -> None:
    """A child must not find the log file's lock held by a thread that it does not have."""
    handler = logging.FileHandler(tmp_path / "log")
    logger = logging.getLogger("secrets_service")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        test_row30_a_fork_while_other_threads_are_in_the_middle_of_it(dev, config_for)
    finally:
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)
        handler.close()
    assert "operation=read" in (tmp_path / "log").read_text()


def test_a_child_of_a_child(dev: DevVault, config_for: Callable[..., VaultConfig]) -> None:
    dev.put("secret/a", {"x": "1"})
    client = ResilientVaultClient(config_for(dev))

    def work() -> list[Any]:
        return [client.get_secret("secret/a"), *in_children(1, lambda: client.get_secret("secret/a"))]

    client.get_secret("secret/a")
    assert in_children(1, work) == [[{"x": "1"}, {"x": "1"}]]
    client.close()


def test_what_is_closed_before_a_fork_is_closed_after_it(dev: DevVault, config_for: Callable[..., VaultConfig]) -> None:
    client = ResilientVaultClient(config_for(dev))
    client.close()
    (told,) = in_children(1, lambda: _error_of(lambda: client.get_secret("secret/a")))
    assert "closed" in told


def test_a_dropped_client_of_the_parent_does_not_trouble_the_child(
    dev: DevVault, config_for: Callable[..., VaultConfig]
) -> None:
    dev.put("secret/a", {"x": "1"})
    clients = [ResilientVaultClient(config_for(dev)) for _ in range(3)]
    for client in clients:
        client.get_secret("secret/a")

    def work() -> Any:  # noqa: ANN401
        del clients[:2]
        return clients[0].get_secret("secret/a")

    assert in_children(2, work) == [{"x": "1"}] * 2
    for client in clients:
        assert client.get_secret("secret/a", bypass_cache=True) == {"x": "1"}
        client.close()


def test_an_event_loop_of_the_childs_own(dev: DevVault, config_for: Callable[..., VaultConfig]) -> None:
    dev.put("secret/a", {"x": "1"})
    client = AsyncResilientVaultClient(config_for(dev))

    async def read() -> dict[str, Any]:
        return await client.get_secret("secret/a")

    assert asyncio.run(read()) == {"x": "1"}
    assert in_children(2, lambda: asyncio.run(read())) == [{"x": "1"}] * 2


def test_the_development_server_stays_with_the_parent(dev: DevVault) -> None:
    (told,) = in_children(1, lambda: _error_of(dev.seal))
    assert "parent process" in told
    assert dev.count() == 0


def test_a_cache_is_copied_like_any_other_object() -> None:
    cache = SecretCache()
    cache.set("key", "value")
    assert in_children(1, lambda: cache.get("key")) == ["value"]


def _error_of(work: Callable[[], object]) -> str:
    try:
        work()
    except (VaultError, RuntimeError) as error:
        return str(error)
    return "no error"
