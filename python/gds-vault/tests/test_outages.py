"""How long values are kept, and what stands in during an outage."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gds_vault import (
    RetryPolicy,
    TTLCache,
    VaultAuthError,
    VaultClient,
    VaultConnectionError,
    VaultError,
)
from tests.doubles import Counting
from tests.scripted import Reply, Scripted, kv2, leased

ONCE = RetryPolicy(max_retries=0)
QUICK = RetryPolicy(max_retries=3, initial_delay=0.001)
APP = "secret/data/app"


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (leased({"password": "p"}, 100), 90),
        (leased({"password": "p"}, 10_000), 300),
        ({"data": {"password": "p", "ttl": 50, "last_vault_rotation": "2026-01-01T00:00:00Z"}}, 45),
        ({"data": {"password": "p", "ttl": 50}}, 300),
    ],
)
def test_what_ends_is_not_kept_longer(scripted: Scripted, clock: Clock, answer: Any, kept: float) -> None:
    scripted.on("GET", "database/creds/app", Reply(200, answer))
    client = VaultClient(scripted.url, token="t", cache=TTLCache(default_ttl=300))
    client.get_secret("database/creds/app")
    clock.now += kept - 0.1
    assert "database/creds/app" in client
    clock.now += 0.2
    assert "database/creds/app" not in client


def test_something_older_stands_in_during_an_outage(
    scripted: Scripted, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Counting()
    cache = TTLCache(default_ttl=10, max_stale=1000)
    client = VaultClient(scripted.url, token="t", cache=cache, metrics=metrics, retry_policy=QUICK)
    scripted.on("GET", APP, Reply(200, kv2({"a": [1]})), Reply(503, {"errors": ["Vault is sealed"]}))
    client.get_secret(APP)
    clock.now += 60
    for _ in range(5):
        client.get_secret(APP)["a"].append("spoilt")
    assert client.get_secret(APP) == {"a": [1]}
    assert scripted.count("GET", APP) == 2, "asked once, then not for a while"
    assert metrics.counts["vault.secret.stale"] == 6
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"Vault is unavailable: {APP} is served from the cache, 60 s old"]
    clock.now += 5
    client.get_secret(APP)
    assert scripted.count("GET", APP) == 3
    scripted.secret(APP, a=[2])
    clock.now += 5
    assert client.get_secret(APP) == {"a": [2]}
    clock.now += 2000
    scripted.on("GET", APP, Reply(503, {"errors": []}))
    with pytest.raises(VaultConnectionError):
        client.get_secret(APP)


def test_nothing_stands_in_without_the_cache(scripted: Scripted, clock: Clock) -> None:
    client = VaultClient(scripted.url, token="t", cache=TTLCache(default_ttl=10), retry_policy=ONCE)
    scripted.on("GET", APP, Reply(200, kv2({"a": 1})), Reply(500, {"errors": []}))
    client.get_secret(APP)
    clock.now += 20
    with pytest.raises(VaultConnectionError):
        client.get_secret(APP, use_cache=False)


@pytest.mark.parametrize("status", [403, 404])
def test_what_is_gone_or_forbidden_never_comes_back(scripted: Scripted, clock: Clock, status: int) -> None:
    client = VaultClient(scripted.url, token="t", cache=TTLCache(default_ttl=10), retry_policy=ONCE)
    scripted.on("GET", APP, Reply(200, kv2({"a": 1})), Reply(status, {"errors": []}), Reply(503, {"errors": []}))
    client.get_secret(APP)
    clock.now += 20
    with pytest.raises(VaultError):
        client.get_secret(APP)
    with pytest.raises(VaultConnectionError):
        client.get_secret(APP)


def test_a_dead_lease_does_not_stand_in(scripted: Scripted, clock: Clock) -> None:
    client = VaultClient(scripted.url, token="t", retry_policy=ONCE)
    scripted.on("GET", "database/creds/app", Reply(200, leased({"u": 1}, 60)), Reply(503, {"errors": []}))
    client.get_secret("database/creds/app")
    clock.now += 61
    with pytest.raises(VaultConnectionError):
        client.get_secret("database/creds/app")


def test_a_login_that_fails_in_an_outage_lets_older_values_stand_in(
    scripted: Scripted, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.login(lease=60)
    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, role_id="r", secret_id="s", cache=TTLCache(default_ttl=10), retry_policy=ONCE)
    client.get_secret(APP)
    clock.now += 60
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    scripted.on("POST", "auth/approle/login", Reply(503, {"errors": []}))
    assert client.get_secret(APP) == {"a": 1}
    scripted.on("POST", "auth/approle/login", Reply(400, {"errors": ["invalid secret id"]}))
    clock.now += 60
    with pytest.raises(VaultAuthError):
        client.get_secret(APP)


def test_the_password_of_a_static_role_stands_in(scripted: Scripted, clock: Clock) -> None:
    password = {"data": {"password": "p", "ttl": 50, "last_vault_rotation": "2026-01-01T00:00:00Z"}}
    scripted.on("GET", "database/static-creds/app", Reply(200, password), Reply(503, {"errors": []}))
    client = VaultClient(scripted.url, token="t", retry_policy=ONCE)
    client.get_secret("database/static-creds/app")
    clock.now += 60
    assert client.get_secret("database/static-creds/app")["password"] == "p"
