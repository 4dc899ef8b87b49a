"""The client for event loops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any, Optional

import pytest

from gds_vault import (
    AsyncVaultClient,
    AuthStrategy,
    NoOpCache,
    RetryPolicy,
    TTLCache,
    VaultAuthError,
    VaultAuthUnavailableError,
    VaultConnectionError,
    VaultPermissionError,
    VaultSecretNotFoundError,
)
from tests.scripted import Reply, Scripted, kv2

ONCE = RetryPolicy(max_retries=0)
APP = "secret/data/app"


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def test_reading(scripted: Scripted) -> None:
    scripted.login()
    scripted.secret(APP, a=[1])
    scripted.on("GET", "secret/metadata/team", Reply(200, {"data": {"keys": ["a"]}}))

    async def main() -> None:
        async with AsyncVaultClient(scripted.url, role_id="r", secret_id="s") as client:
            assert client.is_initialized
            (await client.get_secret(APP))["a"].append("spoilt")
            assert await client.get_secret(APP) == {"a": [1]}
            assert await client.get_secret(APP, version=1) == {"a": [1]}
            assert await client.get_secret(APP, use_cache=False) == {"a": [1]}
            assert scripted.count("GET", APP) == 3
            assert await client.list_secrets("secret/metadata/team") == ["a"]
            assert (len(client), APP in client, bool(client)) == (2, True, True)
            assert "AsyncVaultClient" in repr(client)
        assert not client.is_initialized
        await client.close()
        assert scripted.connections < len(scripted.requests), "they are kept open"

    run(main())


def test_constructors(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)

    async def main() -> None:
        for client in (
            AsyncVaultClient.from_token("t", scripted.url),
            AsyncVaultClient.from_config({"vault_addr": scripted.url, "token": "t"}),
        ):
            assert await client.get_secret(APP) == {"a": 1}

    run(main())


def test_the_loop_is_never_blocked(scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(200, kv2({"a": 1}), gate=gate))

    async def main() -> None:
        client = AsyncVaultClient(scripted.url, token="t")
        reading = asyncio.ensure_future(client.get_secret(APP))
        turns = 0
        while scripted.count("GET", APP) == 0:
            await asyncio.sleep(0)
            turns += 1
        for _ in range(100):
            await asyncio.sleep(0)
        assert not reading.done()
        gate.set()
        assert await reading == {"a": 1}

    run(main())


def test_a_miss_of_many_tasks_is_one_request(scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.login()
    scripted.on("GET", APP, Reply(200, kv2({"a": [1]}), gate=gate))

    async def main() -> None:
        client = AsyncVaultClient(scripted.url, role_id="r", secret_id="s")
        tasks = [asyncio.ensure_future(client.get_secret(APP)) for _ in range(50)]
        while scripted.count("GET", APP) == 0:
            await asyncio.sleep(0.001)
        tasks[0].cancel()
        await asyncio.sleep(0)
        gate.set()
        got = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(got[0], asyncio.CancelledError)
        assert got[1:] == [{"a": [1]}] * 49
        assert (scripted.count("GET", APP), scripted.count("POST", "auth/approle/login")) == (1, 1)

    run(main())


def test_a_cancelled_request_is_given_up(scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(200, kv2({"a": 1}), gate=gate))

    async def main() -> None:
        client = AsyncVaultClient(scripted.url, token="t")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.get_secret(APP, use_cache=False), 0.1)
        gate.set()
        assert await client.get_secret(APP) == {"a": 1}

    run(main())


def test_errors(scripted: Scripted) -> None:
    scripted.on("GET", APP, Reply(503, {"errors": []}))

    async def main() -> None:
        client = AsyncVaultClient(scripted.url, token="t", retry_policy=RetryPolicy(2, 0.001))
        with pytest.raises(VaultSecretNotFoundError):
            await client.get_secret("secret/data/none")
        with pytest.raises(VaultConnectionError):
            await client.get_secret(APP)
        assert scripted.count("GET", APP) == 3
        with pytest.raises(VaultAuthUnavailableError):
            await AsyncVaultClient("http://127.0.0.1:1", role_id="r", secret_id="s", retry_policy=ONCE).authenticate()
        with pytest.raises(VaultAuthError):
            await AsyncVaultClient(scripted.url, role_id="r", secret_id="s").authenticate()

    run(main())


def test_a_bad_token_is_replaced_once(scripted: Scripted) -> None:
    scripted.login()
    dead = Reply(403, {"errors": ["permission denied", "invalid token"]})
    scripted.on("GET", APP, dead, Reply(200, kv2({"a": 1})))
    scripted.on("GET", "secret/data/no", Reply(403, {"errors": ["permission denied"]}))

    async def main() -> None:
        client = AsyncVaultClient(scripted.url, role_id="r", secret_id="s", retry_policy=ONCE)
        assert await client.get_secret(APP) == {"a": 1}
        assert scripted.count("POST", "auth/approle/login") == 2
        with pytest.raises(VaultPermissionError):
            await client.get_secret("secret/data/no")
        assert scripted.count("POST", "auth/approle/login") == 2

    run(main())


def test_renewal(scripted: Scripted) -> None:
    scripted.on(
        "POST",
        "auth/token/renew-self",
        Reply(200, {"auth": {"client_token": "t", "lease_duration": 120}}),
        Reply(400, {"errors": ["lease is not renewable"]}),
    )

    async def main() -> None:
        client = AsyncVaultClient(scripted.url, token="t")
        assert await client.authenticate() is True
        assert await client.renew_token() is True
        with pytest.raises(VaultAuthError, match="not renewable"):
            await client.renew_token()

    run(main())


def test_something_older_stands_in(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.on("GET", APP, Reply(200, kv2({"a": 1})), Reply(503, {"errors": []}))
    start = time.monotonic()
    monkeypatch.setattr("gds_vault.cache._now", lambda: start)

    async def main() -> None:
        client = AsyncVaultClient(scripted.url, token="t", cache=TTLCache(default_ttl=10))
        await client.get_secret(APP)
        monkeypatch.setattr("gds_vault.cache._now", lambda: start + 60)
        for _ in range(3):
            assert await client.get_secret(APP) == {"a": 1}
        assert scripted.count("GET", APP) == 2
        client.clear_cache()
        with pytest.raises(VaultConnectionError):
            await client.get_secret(APP, use_cache=False)

    client_policy = RetryPolicy.__init__.__defaults__
    monkeypatch.setattr(RetryPolicy.__init__, "__defaults__", (1, 0.001, *(client_policy or ())[2:]))
    run(main())


class Guest(AuthStrategy):
    def __init__(self) -> None:
        self.thread: Optional[int] = None

    def authenticate(self, vault_addr: str, timeout: float, *_rest: Any, **_kw: Any) -> tuple[str, float]:
        self.thread = threading.get_ident()
        return "guest-token", time.time() + 100


class AsyncGuest(AuthStrategy):
    async def authenticate(self, *_args: Any, **_kw: Any) -> tuple[str, float]:  # type: ignore[override]
        await asyncio.sleep(0)
        return "async-token", time.time() + 100


def test_strategies_of_the_users_own_do_not_block(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    guest = Guest()

    async def main() -> None:
        await AsyncVaultClient(scripted.url, guest).get_secret(APP)
        assert guest.thread not in {None, threading.get_ident()}
        assert scripted.requests[-1].headers["x-vault-token"] == "guest-token"
        await AsyncVaultClient(scripted.url, AsyncGuest()).get_secret(APP)
        assert scripted.requests[-1].headers["x-vault-token"] == "async-token"

    run(main())


def test_a_retry_policy_that_knows_threads_only(scripted: Scripted) -> None:
    class Twice(RetryPolicy):
        def execute(self, func: Any) -> Any:
            func()
            return func()

    scripted.secret(APP, a=1)

    async def main() -> None:
        client = AsyncVaultClient(scripted.url, token="t", retry_policy=Twice(), cache=NoOpCache())
        assert await client.get_secret(APP) == {"a": 1}
        assert scripted.count("GET", APP) == 2

    run(main())


def test_one_loop_after_another(scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(200, kv2({"a": 1}), gate=gate), Reply(200, kv2({"a": 2})))
    client = AsyncVaultClient(scripted.url, token="t")

    async def left_behind() -> None:
        task = asyncio.ensure_future(client.get_secret(APP))
        while scripted.count("GET", APP) == 0:
            await asyncio.sleep(0.001)
        task.cancel()

    async def main() -> None:
        assert await client.get_secret(APP) == {"a": 2}

    run(left_behind())
    run(main())
    gate.set()
