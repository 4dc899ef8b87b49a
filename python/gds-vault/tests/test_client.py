"""The client for threads: setting up, and being an object."""

from __future__ import annotations

import pathlib
import shutil
from types import SimpleNamespace

import pytest

import gds_vault
from gds_vault import (
    RetryPolicy,
    SecretCache,
    VaultAuthError,
    VaultClient,
    VaultConfigurationError,
    VaultConnectionError,
    VaultTransport,
    get_secret_from_vault,
)
from tests.conftest import Certificate
from tests.scripted import Reply, Scripted

ONCE = RetryPolicy(max_retries=0)
QUICK = RetryPolicy(max_retries=3, initial_delay=0.001)
APP = "secret/data/app"


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, certificate: Certificate
) -> None:
    shutil.copy(certificate.authority, tmp_path / "ca.pem")
    for name, value in {
        "VAULT_ADDR": "http://127.0.0.1:1/",
        "VAULT_MOUNT_POINT": "team/",
        "VAULT_NAMESPACE": "ns1",
        "VAULT_SSL_CERT": str(tmp_path),
        "VAULT_ROLE_ID": "r",
        "VAULT_SECRET_ID": "s",
    }.items():
        monkeypatch.setenv(name, value)
    for client in (VaultClient(), VaultClient.from_environment(), VaultClient.from_environment(timeout=3)):
        assert client.vault_addr == "http://127.0.0.1:1"
        assert (client.mount_point, client.namespace) == ("team", "ns1")
        assert client.ssl_cert_path == str(tmp_path)
    assert client.timeout == 3


@pytest.mark.parametrize("address", [None, "", "vault:8200", "ftp://vault"])
def test_an_address_is_needed(address: str | None) -> None:
    with pytest.raises(VaultConfigurationError, match="address"):
        VaultClient(address, token="t")


@pytest.mark.parametrize("address", ["http://", "http://user:canary@host", "http://host:99999"])
def test_addresses_are_checked_and_not_repeated(address: str) -> None:
    with pytest.raises(VaultConfigurationError) as caught:
        VaultClient(address, token="t")
    assert "canary" not in str(caught.value)


def test_credentials_are_needed() -> None:
    with pytest.raises(VaultAuthError, match="VAULT_ROLE_ID"):
        VaultClient("http://127.0.0.1:1")


def test_a_config_object_may_come_first(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    config = SimpleNamespace(addr=scripted.url, token="t-config", namespace="ns1")
    client = VaultClient(config, retry_policy=ONCE)
    assert client.get_secret(APP) == {"a": 1}
    headers = scripted.requests[-1].headers
    assert (headers["x-vault-token"], headers["x-vault-namespace"]) == ("t-config", "ns1")


def test_a_config_object_with_approle(scripted: Scripted) -> None:
    scripted.login(path="auth/team/login")
    config = SimpleNamespace(addr=scripted.url, token=None, role_id="r", secret_id="s", auth_mount_path="team")
    assert VaultClient(config).authenticate()


def test_keywords_for_credentials(scripted: Scripted) -> None:
    scripted.login(path="auth/team/login")
    client = VaultClient(scripted.url, role_id="r", secret_id="s", auth_mount_path="team")
    assert client.authenticate() is True
    assert scripted.requests[-1].body == {"role_id": "r", "secret_id": "s"}


def test_from_config(scripted: Scripted) -> None:
    scripted.secret("kv/data/app", a=1)
    client = VaultClient.from_config(
        {
            "vault_addr": scripted.url,
            "timeout": 7,
            "verify_ssl": False,
            "token": "t-canary",
            "mount_point": "kv",
            "namespace": "ns1",
            "max_retries": 1,
            "initial_delay": 0.001,
            "max_delay": 0.01,
            "cache_ttl": 11,
            "cache_max_size": 3,
            "mine": [1],
        }
    )
    assert client.get_secret("data/app") == {"a": 1}
    assert (client.timeout, client.verify_ssl, client.namespace) == (7, False, "ns1")
    assert (client.cache_stats["default_ttl"], client.cache_stats["max_size"]) == (11, 3)
    assert client.get_config("mine") == [1]
    assert client.get_config("token") is None
    assert "canary" not in repr(client.get_all_config())
    scripted.on("GET", "kv/data/b", Reply(500, {"errors": []}))
    with pytest.raises(VaultConnectionError):
        client.get_secret("kv/data/b")
    assert scripted.count("GET", "kv/data/b") == 2


def test_settings_can_be_asked_and_set() -> None:
    client = VaultClient("http://127.0.0.1:1", token="t", config={"region": "eu"})
    assert client.get_config("region") == "eu"
    assert client.get_config("missing", 5) == 5
    client.set_config("region", "us")
    client.set_config("timeout", 3)
    everything = client.get_all_config()
    assert (everything["region"], everything["timeout"], client.timeout) == ("us", 3.0, 3.0)
    everything["region"] = "spoilt"
    assert client.get_config("region") == "us"
    with pytest.raises(VaultConfigurationError, match="namespace"):
        client.set_config("namespace", "other")


@pytest.mark.parametrize("timeout", [0, -1])
def test_timeouts_are_checked(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        VaultClient("http://127.0.0.1:1", token="t", timeout=timeout)
    client = VaultClient("http://127.0.0.1:1", token="t")
    with pytest.raises(ValueError, match="timeout"):
        client.timeout = timeout
    with pytest.raises(ValueError, match="timeout"):
        client.set_config("timeout", timeout)


def test_a_transport_of_ones_own(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    transport = VaultTransport(scripted.url, timeout=4)
    client = VaultClient(transport=transport, token="t")
    assert (client.get_secret(APP), client.vault_addr, client.timeout) == ({"a": 1}, scripted.url, 4)
    with pytest.raises(VaultConfigurationError, match="transport"):
        VaultClient(scripted.url, token="t", transport=object())  # type: ignore[arg-type]


def test_equality_and_text(scripted: Scripted) -> None:
    one, two = VaultClient(scripted.url, token="canary"), VaultClient(scripted.url, token="other")
    other = VaultClient(scripted.url, role_id="canary", secret_id="canary")
    assert one == two
    assert hash(one) == hash(two)
    assert one != other
    assert one != "something else"
    assert repr(one) == f"VaultClient(vault_addr='{scripted.url}', authenticated=False)"
    one.authenticate()
    assert str(one) == f"VaultClient for {scripted.url} (authenticated)"
    assert isinstance(one, gds_vault.SecretProvider)
    assert isinstance(one, gds_vault.ResourceManager)
    assert isinstance(one, gds_vault.Configurable)


def test_one_secret_at_once(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ROLE_ID", "r")
    monkeypatch.setenv("VAULT_SECRET_ID", "s")
    scripted.login()
    scripted.secret(APP, a=1)
    assert get_secret_from_vault(APP, scripted.url) == {"a": 1}
    monkeypatch.setenv("VAULT_ADDR", scripted.url)
    assert get_secret_from_vault("data/app", mount_point="secret") == {"a": 1}


def test_the_cache_may_have_no_clock(scripted: Scripted) -> None:
    scripted.secret(APP, a=1)
    client = VaultClient(scripted.url, token="t", cache=SecretCache(max_size=1))
    for path in (APP, APP):
        client.get_secret(path)
    assert client.cache_stats["hits"] == 1
    assert gds_vault.__version__
    with pytest.raises(AttributeError):
        gds_vault.nothing  # noqa: B018
