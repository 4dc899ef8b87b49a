"""Strategies, caches, metrics and policies of the user's own."""

from __future__ import annotations

import time
from typing import Any, Optional

import pytest

from gds_vault import (
    AuthStrategy,
    RetryPolicy,
    RotationAwareCache,
    TokenAuth,
    VaultAuthError,
    VaultAuthUnavailableError,
    VaultClient,
    VaultConnectionError,
    VaultError,
    VaultPermissionError,
    VaultSecretNotFoundError,
)
from tests.doubles import Counting
from tests.scripted import Reply, Scripted, kv2, leased

ONCE = RetryPolicy(max_retries=0)
QUICK = RetryPolicy(max_retries=3, initial_delay=0.001)
APP = "secret/data/app"


class Guest(AuthStrategy):
    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.asked: list[tuple[Any, ...]] = []

    def authenticate(
        self, vault_addr: str, timeout: float, verify_ssl: bool = True, ssl_cert_path: Optional[str] = None
    ) -> tuple[str, float]:
        self.asked.append((vault_addr, timeout, verify_ssl, ssl_cert_path))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome  # type: ignore[no-any-return]


def test_an_auth_strategy(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    guest = Guest(("guest-token", time.time() + 100))
    client = VaultClient(scripted.url, guest, timeout=3, retry_policy=ONCE)
    assert client.get_secret(APP) == {"a": 1}
    assert guest.asked == [(scripted.url, 3.0, True, None)]
    assert scripted.requests[-1].headers["x-vault-token"] == "guest-token"


def test_a_strategy_derived_from_ours(scripted: Scripted) -> None:
    class Mine(TokenAuth):
        def authenticate(self, *args: Any, **kw: Any) -> tuple[str, float]:
            token, until = super().authenticate(*args, **kw)
            return token + "-changed", until

    scripted.secret(APP, a=1)
    VaultClient(scripted.url, Mine("t")).get_secret(APP)
    assert scripted.requests[-1].headers["x-vault-token"] == "t-changed"


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (RuntimeError("canary"), VaultAuthError),
        (ConnectionRefusedError("canary"), VaultAuthUnavailableError),
        (VaultAuthError("said so"), VaultAuthError),
        (VaultConnectionError("away"), VaultAuthUnavailableError),
        (VaultPermissionError("no", status=403), VaultAuthError),
        ("not a pair", VaultAuthError),
        (("only-one",), VaultAuthError),
    ],
)
def test_a_strategy_that_fails(scripted: Scripted, outcome: Any, error: type[VaultError]) -> None:
    client = VaultClient(scripted.url, Guest(outcome), retry_policy=ONCE)
    with pytest.raises(VaultAuthError) as caught:
        client.get_secret(APP)
    assert type(caught.value) is error
    assert "canary" not in str(caught.value)


class DictCache:
    """The least that a cache must have: `set` takes neither a ttl nor metadata."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.content.get(key)

    def set(self, key: str, value: Any) -> None:
        self.content[key] = value

    def remove(self, key: str) -> bool:
        return self.content.pop(key, None) is not None

    def clear(self) -> None:
        self.content.clear()

    def get_stats(self) -> dict[str, Any]:
        return {"size": len(self.content)}

    def __len__(self) -> int:
        return len(self.content)

    def __contains__(self, key: object) -> bool:
        return key in self.content


def test_a_cache(scripted: Scripted) -> None:
    scripted.secret(APP, a=[1])
    scripted.on("GET", "database/creds/app", Reply(200, leased({"username": "u"}, 60)))
    cache = DictCache()
    client = VaultClient(scripted.url, token="t", cache=cache)
    client.get_secret(APP)["a"].append("spoilt")
    client.get_secret(APP)["a"].append("spoilt")
    assert client.get_secret(APP) == {"a": [1]}
    assert cache.content == {APP: {"a": [1]}}
    client.get_secret("database/creds/app")
    assert len(cache) == 1, "what ends must not stay in a cache without a clock"
    assert client.cache_stats == {"size": 1}
    client.clear_cache()
    assert len(client) == 0


def test_a_cache_that_takes_everything(scripted: Scripted) -> None:
    noted: list[dict[str, Any]] = []

    class Noting(DictCache):
        def set(self, key: str, value: Any, **extra: Any) -> None:
            noted.append(extra)
            super().set(key, value)

    facts = {"last_rotation": "2026-01-01T00:00:00Z", "schedule": "0 1 * * *"}
    scripted.on("GET", APP, Reply(200, kv2({"a": 1}, custom_metadata=facts)))
    scripted.on("GET", "database/creds/app", Reply(200, leased({"username": "u"}, 60)))
    client = VaultClient(scripted.url, token="t", cache=Noting())
    client.get_secret(APP)
    client.get_secret("database/creds/app")
    assert noted == [
        {"rotation_metadata": facts},
        {"ttl": 54.0, "expires": True, "rotation_metadata": None},
    ]


@pytest.mark.parametrize("fail", [False, True])
def test_metrics(scripted: Scripted, fail: bool) -> None:
    scripted.login()
    scripted.secret(APP, a=1)
    metrics = Counting(fail)
    client = VaultClient(scripted.url, role_id="r", secret_id="s", metrics=metrics, retry_policy=ONCE)
    client.get_secret(APP)
    client.get_secret(APP)
    with pytest.raises(VaultSecretNotFoundError):
        client.get_secret("secret/data/none")
    scripted.on("POST", "auth/approle/login", Reply(400, {"errors": []}))
    with pytest.raises(VaultAuthError):
        client.authenticate()
    assert metrics.counts == {
        "vault.auth.success": 1,
        "vault.auth.failure": 1,
        "vault.secret.fetch": 1,
        "vault.secret.hit": 1,
        "vault.secret.error": 1,
    }
    assert metrics.timings == ["vault.secret.fetch"]
    assert {"error": "not_found"} in metrics.labels


def test_a_retry_policy(scripted: Scripted) -> None:
    class Twice:
        def execute(self, func: Any) -> Any:
            func()
            return func()

    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, token="t", retry_policy=Twice())  # type: ignore[arg-type]
    assert client.get_secret(APP) == {"a": 1}
    assert scripted.count("GET", APP) == 2


def test_rotation_metadata_reaches_the_cache(scripted: Scripted) -> None:
    facts = {"last_rotation": "2000-01-01T00:00:00Z", "schedule": "0 0 1 1 *"}
    scripted.on("GET", APP, Reply(200, kv2({"a": 1}, custom_metadata=facts)))
    cache = RotationAwareCache()
    client = VaultClient(scripted.url, token="t", cache=cache)
    client.get_secret(APP)
    assert cache.get_rotation_info(APP) == {**facts, "ttl_remaining": 0, "needs_refresh": True}
    assert APP not in client
