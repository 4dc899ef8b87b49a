from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

import pytest
from gds_vault import exceptions as errors

from secrets_service import ResilientVaultClient, VaultConfig

from .conftest import PATIENCE_SECONDS, once_read

if TYPE_CHECKING:
    from secrets_service._native import DevPostgres, DevVault

    from .real_vault import AnyVault

    ClientFor = Callable[..., ResilientVaultClient]

NESTED = {
    "text": "ü\n",
    "number": 5,
    "float": 1.5,
    "none": None,
    "yes": True,
    "list": [1, {"a": ["b"]}],
    "map": {"x": {}},
}


def test_a_secret_in_every_spelling_of_its_path(vault: AnyVault, client_for: ClientFor, fresh_path: str) -> None:
    vault.put(fresh_path, NESTED)
    client = client_for(vault)
    mount, rest = fresh_path.split("/", 1)
    for path in (fresh_path, f"{mount}/data/{rest}", rest):
        assert client.get_secret(path) == NESTED
    assert client.get_secret(path=fresh_path, bypass_cache=False) == NESTED


def test_a_cached_secret_makes_no_request(dev: DevVault, client_for: ClientFor) -> None:
    dev.put("secret/a", {"x": "1"})
    client = client_for(dev)
    client.get_secret("secret/a")
    dev.reset_counts()
    assert [client.get_secret("secret/a") for _ in range(10)] == [{"x": "1"}] * 10
    assert dev.count() == 0
    assert client.stats()["hits"] == 10


def test_the_dictionary_is_the_callers_own(dev: DevVault, client_for: ClientFor) -> None:
    dev.put("secret/nested", copy.deepcopy(NESTED))
    dev.put("secret/flat", {"a": "b"})
    client = client_for(dev)

    def spoil(value: Any) -> None:  # noqa: ANN401
        if isinstance(value, dict):
            for item in value.values():
                spoil(item)
            value.clear()
        elif isinstance(value, list):
            for item in value:
                spoil(item)
            value.append("spoiled")

    for _ in range(3):  # fetched, prepared, and from the cache
        nested, flat = client.get_secret("secret/nested"), client.get_secret("secret/flat")
        assert (nested, flat) == (NESTED, {"a": "b"})
        spoil(nested)
        spoil(flat)


def test_bypass_cache_asks_vault(vault: AnyVault, client_for: ClientFor, fresh_path: str) -> None:
    client = client_for(vault)
    vault.put(fresh_path, {"x": "old"})
    assert client.get_secret(fresh_path) == {"x": "old"}
    vault.put(fresh_path, {"x": "new"})
    assert client.get_secret(fresh_path) == {"x": "old"}
    assert client.get_secret(fresh_path, bypass_cache=True) == {"x": "new"}
    # What Vault answered is cached for everyone.
    assert client.get_secret(fresh_path) == {"x": "new"}


def test_a_version_of_a_secret(vault: AnyVault, client_for: ClientFor, fresh_path: str) -> None:
    client = client_for(vault)
    assert client.put_secret(fresh_path, {"x": 1}) == 1
    assert client.put_secret(fresh_path, {"x": 2}, cas=1) == 2
    assert client.get_secret(fresh_path, version=1) == {"x": 1}
    assert client.get_secret(fresh_path) == {"x": 2}
    with pytest.raises(errors.VaultError) as caught:
        client.put_secret(fresh_path, {"x": 3}, cas=1)
    assert caught.value.kind == "conflict"
    assert caught.value.retryable


def test_whoever_writes_reads_it_back(vault: AnyVault, client_for: ClientFor, fresh_path: str) -> None:
    client = client_for(vault)
    folder, name = fresh_path.rsplit("/", 1)
    client.put_secret(fresh_path, NESTED)
    assert client.get_secret(fresh_path) == NESTED
    client.patch_secret(fresh_path, {"text": "new", "list": None, "more": [1]})
    expected = {key: value for key, value in NESTED.items() if key != "list"} | {"text": "new", "more": [1]}
    assert client.get_secret(fresh_path) == expected
    assert client.list_secrets(folder) == [name]
    client.delete_secret(fresh_path)
    with pytest.raises(errors.VaultSecretNotFoundError):
        client.get_secret(fresh_path)


def test_invalidate_and_clear(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev)
    dev.put("secret/a", {"x": 1})
    client.get_secret("secret/a")
    dev.put("secret/a", {"x": 2})
    assert client.invalidate("secret/a")
    assert client.get_secret("secret/a") == {"x": 2}
    dev.put("secret/a", {"x": 3})
    client.clear_cache()
    assert client.get_secret("secret/a") == {"x": 3}


def test_what_vault_denies_is_purged(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev)
    dev.put("secret/a", {"x": 1})
    client.get_secret("secret/a")
    dev.request("DELETE", "secret/data/a")
    with pytest.raises(errors.VaultSecretNotFoundError) as caught:
        client.get_secret("secret/a", bypass_cache=True)
    assert (caught.value.path, caught.value.status, caught.value.retryable) == ("secret/a", 404, False)
    # Nor does an outage bring it back.
    dev.refuse()
    with pytest.raises(errors.VaultError):
        client.get_secret("secret/a")


@pytest.mark.parametrize("outage", ["refuse", "seal", "fail"])
def test_a_stale_value_while_vault_is_unavailable(dev: DevVault, client_for: ClientFor, outage: str) -> None:
    client = client_for(dev, cache_ttl_seconds=0, retry_max_attempts=1)
    dev.put("secret/a", {"x": 1})
    assert client.get_secret("secret/a") == {"x": 1}
    getattr(dev, outage)()
    assert client.get_secret("secret/a") == {"x": 1}
    read = client.read_secret("secret/a")
    assert (read.is_stale, read.origin, read.data) == (True, "stale", {"x": 1})
    assert read.stale_reason
    assert read.usable_for_seconds > read.fresh_for_seconds == 0.0
    with pytest.raises(errors.VaultConnectionError):
        client.get_secret("secret/a", bypass_cache=True)


def test_a_frozen_vault_does_not_freeze_the_caller(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev, cache_ttl_seconds=0, stale_deadline_seconds=0.2, read_deadline_seconds=0.4)
    dev.put("secret/a", {"x": 1})
    once_read(client, "secret/a")
    dev.freeze()
    assert client.get_secret("secret/a") == {"x": 1}
    with pytest.raises(errors.VaultConnectionError, match="no answer") as caught:
        client.get_secret("secret/other")
    assert caught.value.retryable


def test_without_a_value_to_fall_back_on_the_error_says_what_to_do(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev, retry_max_attempts=1)
    dev.refuse()
    with pytest.raises(errors.VaultConnectionError, match="check that Vault runs") as caught:
        client.get_secret("secret/a")
    assert (caught.value.path, caught.value.kind) == ("secret/a", "unavailable")


def test_a_refused_token_and_a_denied_path(vault: AnyVault, client_for: ClientFor, fresh_path: str) -> None:
    client = client_for(vault, token="wrong")
    with pytest.raises(errors.VaultAuthError):
        client.log_in()
    with pytest.raises(errors.VaultAuthError):
        client.get_secret(fresh_path)
    policy = 'path "secret/data/mine" { capabilities = ["read"] }'
    vault.request("PUT", "sys/policies/acl/only-mine", {"policy": policy})
    login = vault.request("POST", "auth/token/create", {"policies": ["only-mine"], "ttl": "1h"})
    limited = client_for(vault, token=login["auth"]["client_token"])
    with pytest.raises(errors.VaultPermissionError) as caught:
        limited.get_secret(fresh_path)
    assert (caught.value.status, caught.value.retryable) == (403, False)


def test_wrong_arguments(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev)
    with pytest.raises(TypeError):
        client.get_secret(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="JSON"):
        client.put_secret("secret/a", {"x": object()})
    with pytest.raises(TypeError, match="JSON"):
        client.put_secret("secret/a", {"x": float("nan")})
    with pytest.raises(errors.VaultError, match="not a path"):
        client.get_secret("secret/../x")
    with pytest.raises(errors.VaultError, match="without slashes"):
        client.get_database_credentials("a/b")
    with pytest.raises(TypeError):
        ResilientVaultClient()  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        ResilientVaultClient("http://127.0.0.1")  # type: ignore[arg-type]


def test_the_label_of_a_read(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev)
    dev.put("secret/a", {"x": 1})
    first, second = client.read_secret("secret/a"), client.read_secret("secret/a")
    assert (first.origin, second.origin) == ("vault", "cache")
    assert (second.version, second.lease_id, second.stale_reason) == (1, None, None)
    assert 0 <= second.age_seconds < second.fresh_for_seconds <= 300
    assert repr(second).startswith("<SecretRead: cache, ")


def test_closing(dev: DevVault, config_for: Callable[..., VaultConfig]) -> None:
    dev.put("secret/a", {"x": 1})
    with ResilientVaultClient(config_for(dev)) as client:
        assert client.get_secret("secret/a") == {"x": 1}
        assert "closed" not in repr(client)
    assert repr(client).endswith(", token, closed>")
    client.close()
    with pytest.raises(errors.VaultError, match="closed") as caught:
        client.get_secret("secret/a")
    assert caught.value.kind == "closed"
    with pytest.raises(errors.VaultError, match="closed"):
        client.put_secret("secret/a", {})


def test_dynamic_database_credentials(
    dev: DevVault, postgres: DevPostgres, config_for: Callable[..., VaultConfig]
) -> None:
    ids = dev.set_up_example(postgres)
    config = config_for(dev, auth_method="approle", token=None, **ids)
    with ResilientVaultClient(config) as client:
        credentials = client.get_database_credentials("myapp")
        assert set(credentials) == {"username", "password"}
        assert all(credentials.values())
        assert {type(value) for value in credentials.values()} == {str}
        # One lease for all who ask.
        assert client.get_database_credentials("myapp") == credentials
        credentials.clear()
        assert client.get_database_credentials("myapp")
        assert dev.count("GET", "database/creds/") == 1
    # Closing gave the lease back.
    assert dev.count("*", "sys/leases/revoke") >= 1


def test_it_cannot_be_pickled_with_its_secrets(dev: DevVault, client_for: ClientFor) -> None:
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(client_for(dev))


def test_a_ttl_that_ends_is_seen(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev, cache_ttl_seconds=1)
    dev.put("secret/a", {"x": 1})
    client.get_secret("secret/a")
    dev.put("secret/a", {"x": 2})
    # Within about a second; the test framework's patience bounds it.
    while client.get_secret("secret/a") != {"x": 2}:
        threading.Event().wait(0.02)


def test_a_secret_that_is_being_read_is_refreshed_in_the_background(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev, cache_ttl_seconds=1)
    dev.put("secret/a", {"x": 0})
    client.get_secret("secret/a")
    # The new value comes without anybody having to wait for it. A machine may be too busy to read in the last fifth of
    # a second's time to live, but not again and again.
    for x in range(1, 21):
        misses = client.stats()["misses"]
        dev.put("secret/a", {"x": x})
        while client.get_secret("secret/a") != {"x": x}:
            threading.Event().wait(0.01)
        if client.stats()["misses"] == misses:
            break
    else:
        pytest.fail("somebody had to wait each time")


def test_many_threads_one_request(dev: DevVault, client_for: ClientFor) -> None:
    dev.put("secret/a", {"x": 1})
    client = client_for(dev)
    dev.slow(0.2, path="secret/data/a")
    dev.reset_counts()
    results: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: results.append(client.get_secret("secret/a"))) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"x": 1}] * 32
    assert dev.count("GET", "secret/data/a") == 1


def test_threads_that_read_write_and_clear_at_once(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev)
    for i in range(4):
        dev.put(f"secret/{i}", {"i": i, "nested": {"i": i}})
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(60):
                path = f"secret/{(name + n) % 4}"
                data = client.get_secret(path)
                if data["i"] != data["nested"]["i"] or f"secret/{data['i']}" != path:
                    failures.append(AssertionError(f"{path}: {data}"))
                if n % 20 == name % 20:
                    client.clear_cache()
                if n % 20 == (name + 7) % 20:
                    client.put_secret(path, data)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_ctrl_c_ends_a_wait_and_other_threads_go_on(dev: DevVault, client_for: ClientFor) -> None:
    client = client_for(dev, read_deadline_seconds=600, client_timeout_seconds=600)
    dev.freeze()
    ticks = 0

    def interrupt() -> None:
        nonlocal ticks
        # The main thread is in the middle of it when its request has come.
        give_up = time.monotonic() + PATIENCE_SECONDS
        while dev.connections() == 0 and time.monotonic() < give_up:
            threading.Event().wait(0.001)
        for _ in range(100):
            ticks += 1
            threading.Event().wait(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        client.get_secret("secret/a")
    thread.join()
    assert ticks == 100
    dev.thaw()
    with pytest.raises(errors.VaultSecretNotFoundError):
        client.get_secret("secret/b")
