"""Logging in when it is needed."""

from __future__ import annotations

import time

import pytest

import gds_vault
from gds_vault import (
    NoOpCache,
    RetryPolicy,
    VaultAuthError,
    VaultAuthUnavailableError,
    VaultClient,
    VaultPermissionError,
)
from tests.scripted import Reply, Scripted, kv2

ONCE = RetryPolicy(max_retries=0)
QUICK = RetryPolicy(max_retries=3, initial_delay=0.001)
APP = "secret/data/app"


def test_logs_in_when_needed_over_the_same_connection(scripted: Scripted) -> None:
    scripted.login("hvs.new")
    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, role_id="r", secret_id="s")
    assert (bool(client), client.is_authenticated, client.is_initialized) == (False, False, False)
    client.get_secret(APP)
    assert (bool(client), client.is_initialized) == (True, False)
    assert scripted.requests[-1].headers["x-vault-token"] == "hvs.new"
    for _ in range(20):
        client.get_secret(APP, use_cache=False)
        time.sleep(0.02)
    # One, and now and then another: a connection is back a moment after its answer is.
    assert scripted.connections <= 4


def test_a_short_token_is_used_and_replaced_at_its_end(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.login("hvs.short", 60)
    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, role_id="r", secret_id="s", cache=NoOpCache())
    for _ in range(3):
        client.get_secret(APP)
    assert scripted.count("POST", "auth/approle/login") == 1
    later = time.time() + 55
    monkeypatch.setattr(time, "time", lambda: later)
    assert not client.is_authenticated
    client.get_secret(APP)
    assert scripted.count("POST", "auth/approle/login") == 2


def test_a_token_that_vault_does_not_know_any_more(scripted: Scripted) -> None:
    scripted.login()
    dead = Reply(403, {"errors": ["permission denied", "invalid token"]})
    scripted.on("GET", APP, dead, Reply(200, kv2({"a": 1})))
    client = VaultClient(scripted.url, role_id="r", secret_id="s", retry_policy=ONCE)
    assert client.get_secret(APP) == {"a": 1}
    assert scripted.count("POST", "auth/approle/login") == 2
    scripted.on("GET", "secret/data/b", dead)
    with pytest.raises(VaultPermissionError):
        client.get_secret("secret/data/b")
    assert scripted.count("POST", "auth/approle/login") == 3


def test_a_genuine_403_does_not_log_in_again(scripted: Scripted) -> None:
    scripted.login()
    scripted.on("GET", APP, Reply(403, {"errors": ["permission denied"]}))
    client = VaultClient(scripted.url, role_id="r", secret_id="s", retry_policy=QUICK)
    with pytest.raises(VaultPermissionError):
        client.get_secret(APP)
    assert (scripted.count("POST", "auth/approle/login"), scripted.count("GET", APP)) == (1, 1)


def test_authenticate(scripted: Scripted) -> None:
    client = VaultClient(scripted.url, role_id="r", secret_id="s", retry_policy=QUICK)
    with pytest.raises(VaultAuthError):
        client.authenticate()
    scripted.on("POST", "auth/approle/login", Reply(500, {"errors": []}))
    with pytest.raises(VaultAuthUnavailableError):
        client.authenticate()
    assert scripted.count("POST", "auth/approle/login") == 1 + 4
    scripted.login()
    assert client.authenticate() is True


def test_with_block(scripted: Scripted) -> None:
    scripted.login()
    scripted.secret(APP, a=1)
    with VaultClient(scripted.url, role_id="r", secret_id="s") as client:
        assert client.is_initialized
        assert client.is_authenticated
        client.get_secret(APP)
    assert (client.is_initialized, client.is_authenticated, len(client)) == (False, False, 0)
    assert client.get_secret(APP) == {"a": 1}
    client.close()


def test_renewal(scripted: Scripted) -> None:
    scripted.login("hvs.x", 60)
    scripted.on("POST", "auth/token/renew-self", Reply(200, {"auth": {"client_token": "hvs.x", "lease_duration": 120}}))
    client = VaultClient(scripted.url, role_id="r", secret_id="s")
    client.authenticate()
    before = client._token.usable_until if client._token else 0
    assert client.renew_token() is True
    assert client._token is not None
    assert client._token.usable_until > before + 40
    scripted.on("POST", "auth/token/renew-self", Reply(400, {"errors": ["lease is not renewable"]}))
    with pytest.raises(VaultAuthError, match="not renewable"):
        client.renew_token()
    scripted.on("POST", "auth/token/renew-self", Reply(503, {"errors": []}))
    with pytest.raises(VaultAuthUnavailableError):
        client.renew_token()


def test_namespaces(scripted: Scripted) -> None:
    scripted.login()
    scripted.secret(APP, a=1)
    client = VaultClient(
        scripted.url, gds_vault.AppRoleAuth("r", "s", namespace="admin"), namespace="team", retry_policy=ONCE
    )
    client.get_secret(APP)
    assert [seen.headers["x-vault-namespace"] for seen in scripted.requests] == ["admin", "team"]


def test_a_path_may_have_any_name(scripted: Scripted) -> None:
    scripted.login()
    scripted.on("GET", "login", Reply(200, {"data": {"a": 1}}))
    assert VaultClient(scripted.url, role_id="r", secret_id="s").get_secret("login") == {"a": 1}
