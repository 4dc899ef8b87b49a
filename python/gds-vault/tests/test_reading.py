"""Reading and listing, against a server that says what the test wants."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from gds_vault import (
    RetryPolicy,
    VaultClient,
    VaultConnectionError,
    VaultError,
    VaultPermissionError,
    VaultSecretNotFoundError,
)
from tests.scripted import Reply, Scripted, kv2

ONCE = RetryPolicy(max_retries=0)
QUICK = RetryPolicy(max_retries=3, initial_delay=0.001)
APP = "secret/data/app"


def test_reading_is_cached_and_the_dict_is_ones_own(client: VaultClient, scripted: Scripted) -> None:
    scripted.secret(APP, a=1, n={"x": [1]})
    first = client.get_secret(APP)
    assert first == {"a": 1, "n": {"x": [1]}}
    first["n"]["x"].append("spoilt")
    assert client.get_secret(APP) == {"a": 1, "n": {"x": [1]}}
    assert scripted.count("GET", APP) == 1
    assert (len(client), APP in client, "other" in client, 5 in client) == (1, True, False, False)
    assert client.cached_secret_count == 1


def test_integers_keep_their_digits(client: VaultClient, scripted: Scripted) -> None:
    scripted.secret(APP, big=12345678901234567890123456789)
    assert client.get_secret(APP)["big"] == 12345678901234567890123456789


def test_without_cache(client: VaultClient, scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    for _ in range(2):
        client.get_secret(APP, use_cache=False)
    assert (scripted.count("GET", APP), len(client)) == (2, 0)


def test_versions_are_apart(client: VaultClient, scripted: Scripted) -> None:
    scripted.on("GET", APP, Reply(200, kv2({"a": "newest"})), Reply(200, kv2({"a": "first"})))
    assert client.get_secret(APP) == {"a": "newest"}
    assert client.get_secret(APP, version=1) == {"a": "first"}
    assert scripted.requests[-1].query == {"version": ["1"]}
    assert client.get_secret(APP) == {"a": "newest"}
    assert client.cache_stats["keys"] == [APP, f"{APP}:v1"]


def test_other_engines(client: VaultClient, scripted: Scripted) -> None:
    scripted.on("GET", "kv1/app", Reply(200, {"lease_duration": 2764800, "data": {"a": 1}}))
    assert client.get_secret("kv1/app") == {"a": 1}


@pytest.mark.parametrize("path", ["secret/data/app", "/secret/data/app/", "data/app"])
def test_the_mount_point_is_put_before(path: str, scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, token="t", mount_point="secret")
    assert client.get_secret(path) == {"a": 1}
    assert path in client
    assert client.remove_from_cache(path) is True
    assert client.remove_from_cache(path) is False


def test_a_plain_name_in_a_versioned_mount(client: VaultClient, scripted: Scripted) -> None:
    mount = {"data": {"path": "secret/", "type": "kv", "options": {"version": "2"}}}
    scripted.on("GET", "sys/internal/ui/mounts/secret/app", Reply(200, mount))
    scripted.secret(APP, a=1)
    scripted.on("GET", "secret/metadata/team", Reply(200, {"data": {"keys": ["x", "y/"]}}))
    assert client.get_secret("secret/app") == {"a": 1}
    assert client.list_secrets("secret/team") == ["x", "y/"]
    assert scripted.count("GET", "sys/internal/ui/mounts/secret/app") == 1


def test_a_path_is_read_as_it_stands_if_vault_does_not_tell(client: VaultClient, scripted: Scripted) -> None:
    scripted.on("GET", "sys/internal/ui/mounts/kv/app", Reply(403, {"errors": ["preflight capability check"]}))
    scripted.on("GET", "kv/app", Reply(200, {"data": {"a": 1}}))
    assert client.get_secret("kv/app") == {"a": 1}


def test_lists(client: VaultClient, scripted: Scripted) -> None:
    scripted.on("GET", "secret/metadata/team", Reply(200, {"data": {"keys": ["a", "b/"]}}))
    assert client.list_secrets("secret/metadata/team") == ["a", "b/"]
    assert scripted.requests[-1].query == {"list": ["true"]}
    scripted.on("GET", "secret/metadata/odd", Reply(200, {"data": {"nokeys": 1}}))
    with pytest.raises(VaultError, match="keys"):
        client.list_secrets("secret/metadata/odd")


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, VaultSecretNotFoundError, "not_found"),
        (403, VaultPermissionError, "permission_denied"),
        (400, VaultError, "bad_request"),
        (405, VaultError, "method_not_allowed"),
        (429, VaultConnectionError, "rate_limited"),
        (500, VaultConnectionError, "server_error"),
        (503, VaultConnectionError, "sealed"),
    ],
)
def test_errors(client: VaultClient, scripted: Scripted, status: int, error: type[VaultError], kind: str) -> None:
    scripted.on("GET", APP, Reply(status, {"errors": ["because"]}, {"Retry-After": "7"}))
    with pytest.raises(VaultError) as caught:
        client.get_secret(APP)
    assert type(caught.value) is error
    facts = caught.value
    assert (facts.path, facts.status, facts.kind) == (APP, status, kind)
    assert facts.retryable is issubclass(error, VaultConnectionError)
    if status == 429:
        assert facts.retry_after == 7.0


def test_nobody_listens() -> None:
    client = VaultClient("http://127.0.0.1:1", token="t", retry_policy=ONCE)
    with pytest.raises(VaultConnectionError) as caught:
        client.get_secret(APP)
    assert (caught.value.kind, caught.value.status) == ("connect", None)


@pytest.mark.parametrize("body", [b"<html>", b'{"data": {', b"[]", b'{"data": 5}'])
def test_what_is_not_vaults_json(client: VaultClient, scripted: Scripted, body: bytes) -> None:
    scripted.on("GET", APP, Reply(200, body))
    with pytest.raises(VaultConnectionError) as caught:
        client.get_secret(APP)
    assert caught.value.kind == "malformed_answer"


def test_json_that_python_refuses_is_not_shown(client: VaultClient, scripted: Scripted) -> None:
    scripted.on("GET", APP, Reply(200, b'{"data": {"canary": ' + b"9" * 5000 + b"}}"))
    with pytest.raises(ValueError, match="cannot hold") as caught:
        client.get_secret(APP)
    assert "999" not in str(caught.value)


def test_a_slow_vault_is_given_up(client: VaultClient, scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(200, kv2({}), gate=gate))
    scripted.on("GET", "secret/metadata/x", Reply(200, {"data": {"keys": []}}, gate=gate))
    client.timeout = 0.2
    try:
        for read in (client.get_secret, client.list_secrets):
            with pytest.raises(VaultConnectionError) as caught:
                read("secret/metadata/x" if read == client.list_secrets else APP)
            assert caught.value.kind == "timeout"
    finally:
        gate.set()


def test_retries(scripted: Scripted) -> None:
    scripted.on("GET", APP, *[Reply(503, {"errors": []})] * 2, Reply(200, kv2({"a": 1})))
    client = VaultClient(scripted.url, token="t", retry_policy=QUICK)
    assert client.get_secret(APP) == {"a": 1}
    assert scripted.count("GET", APP) == 3


def test_connections_stay_open(client: VaultClient, scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    for _ in range(20):
        client.get_secret(APP, use_cache=False)
        time.sleep(0.02)
    # One, and now and then another: a connection is back a moment after its answer is.
    assert scripted.connections <= 4


def test_a_miss_of_many_threads_is_one_request(client: VaultClient, scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(200, kv2({"a": [1]}), gate=gate))
    got: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: got.append(client.get_secret(APP))) for _ in range(16)]
    for thread in threads:
        thread.start()
    while scripted.count("GET", APP) == 0:
        time.sleep(0.001)
    gate.set()
    for thread in threads:
        thread.join()
    assert got == [{"a": [1]}] * 16
    assert len({id(each["a"]) for each in got}) == 16
    assert scripted.count("GET", APP) == 1


def test_an_error_is_shared_too(client: VaultClient, scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", APP, Reply(404, {"errors": []}, gate=gate))
    errors: list[VaultError] = []
    start = threading.Barrier(8)

    def read() -> None:
        start.wait(60)
        try:
            client.get_secret(APP)
        except VaultError as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    while scripted.count("GET", APP) == 0:
        time.sleep(0.001)
    time.sleep(0.1)
    gate.set()
    for thread in threads:
        thread.join()
    assert len({id(error) for error in errors}) == 8
    assert {type(error) for error in errors} == {VaultSecretNotFoundError}
    assert scripted.count("GET", APP) < 8
