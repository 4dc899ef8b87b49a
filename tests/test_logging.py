from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Callable

import pytest
from gds_vault.exceptions import VaultConnectionError

from secrets_service import AsyncResilientVaultClient, ResilientVaultClient, VaultConfig

from .conftest import CANARY

if TYPE_CHECKING:
    from secrets_service._native import DevVault

    ClientFor = Callable[..., ResilientVaultClient]


def told(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_operations_are_logged_before_the_call_returns(
    dev: DevVault, client_for: ClientFor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "secrets_service")
    dev.put("secret/a", {"password": CANARY})
    client_for(dev).get_secret("secret/a")
    reads = [record for record in caplog.records if "operation=read" in record.getMessage()]
    assert len(reads) == 1
    assert reads[0].name == "secrets_service.upstream"
    assert reads[0].levelno == logging.INFO
    fields = reads[0].__dict__["vault"]
    assert (fields["path"], fields["outcome"]) == ("secret/a", "ok")
    assert {record.name.partition(".")[0] for record in caplog.records} == {"secrets_service"}


def test_a_stale_value_is_a_warning_once_per_outage(
    dev: DevVault, client_for: ClientFor, caplog: pytest.LogCaptureFixture
) -> None:
    dev.put("secret/a", {"password": CANARY})
    client = client_for(dev, cache_ttl_seconds=0, retry_max_attempts=1)
    client.get_secret("secret/a")
    caplog.set_level(logging.WARNING, "secrets_service")
    caplog.clear()
    dev.refuse()
    for _ in range(5):
        client.get_secret("secret/a")
    warnings = [text for text in told(caplog, logging.WARNING) if "serving the last known value" in text]
    assert len(warnings) == 1
    assert "path=secret/a" in warnings[0]


def test_levels_are_followed(dev: DevVault, client_for: ClientFor, caplog: pytest.LogCaptureFixture) -> None:
    client = client_for(dev)
    dev.put("secret/a", {"x": 1})
    for level, expected in [(logging.ERROR, False), (logging.DEBUG, True), (logging.WARNING, False)]:
        caplog.set_level(level, "secrets_service")
        caplog.clear()
        client.get_secret("secret/a", bypass_cache=True)
        assert bool(told(caplog, logging.DEBUG)) == expected
        assert bool(told(caplog, logging.INFO)) == expected


def test_a_single_logger_can_be_more_talkative(
    dev: DevVault, client_for: ClientFor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "secrets_service")
    caplog.set_level(logging.DEBUG, "secrets_service.gds_vault")
    dev.put("secret/a", {"x": 1})
    client_for(dev).get_secret("secret/a")
    assert {record.name for record in caplog.records} == {"secrets_service.gds_vault"}


def test_a_handler_that_reads_secrets_itself(dev: DevVault, client_for: ClientFor) -> None:
    """As handlers do that get their own password from Vault: no endless loop, no deadlock."""
    dev.put("secret/a", {"x": 1})
    client = client_for(dev)
    seen: list[dict[str, object]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno and len(seen) < 5:
                seen.append(client.get_secret("secret/a"))

    handler = Handler()
    logger = logging.getLogger("secrets_service")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        client.get_secret("secret/a")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert seen[0] == {"x": 1}


def test_events_of_the_background_arrive_without_a_call(dev: DevVault, config_for: Callable[..., VaultConfig]) -> None:
    arrived = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "operation=read" in record.getMessage() and "path=secret/a" in record.getMessage():
                arrived.set()

    handler = Handler()
    logger = logging.getLogger("secrets_service")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    async def given_up() -> None:
        client = AsyncResilientVaultClient(config_for(dev))
        dev.put("secret/b", {"x": 1})
        await client.get_secret("secret/b")
        dev.freeze()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.get_secret("secret/a"), 0.05)
        dev.thaw()

    try:
        asyncio.run(given_up())
        # The request goes on for whoever wants it next, and tells how it ended. Nobody calls anything any more.
        assert arrived.wait(30)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def test_a_flood_is_cut_off_and_counted(dev: DevVault, client_for: ClientFor, caplog: pytest.LogCaptureFixture) -> None:
    """While a handler holds everything up, events are dropped rather than kept without bound."""
    caplog.set_level(logging.DEBUG, "secrets_service")
    client = client_for(dev, retry_max_attempts=1)
    dev.refuse()

    def flood(n: int) -> None:
        for i in range(20):
            with pytest.raises(VaultConnectionError):
                client.get_secret(f"secret/{n}/{i}")

    threads = [threading.Thread(target=flood, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.records) > 0
