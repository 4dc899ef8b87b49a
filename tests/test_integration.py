"""The application's own view: secrets, API keys and connection strings, on the embedded server and on a real Vault."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Callable

import pytest
from gds_vault.exceptions import VaultError, VaultSecretNotFoundError

from secrets_service import ResilientVaultClient, SecretsService, ServiceConfig, VaultConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secrets_service._native import DevPostgres, DevVault

    from .real_vault import AnyVault


@pytest.fixture
def vault_config(vault: AnyVault) -> VaultConfig:
    """Provide test Vault configuration."""
    return VaultConfig(addr=vault.addr, auth_method="token", token=vault.root_token, cache_ttl_seconds=60)


@pytest.fixture
def service_for(
    vault: AnyVault, vault_config: VaultConfig, fresh_path: str
) -> Iterator[tuple[SecretsService, AnyVault, str]]:
    with SecretsService(ResilientVaultClient(vault_config), ServiceConfig(api_keys_path=fresh_path)) as service:
        yield service, vault, fresh_path


def test_get_secret(vault_config: VaultConfig, vault: AnyVault, fresh_path: str) -> None:
    """Test retrieving a secret from Vault."""
    vault.put(fresh_path, {"db_host": "localhost", "db_name": "mydb"})
    client = ResilientVaultClient(vault_config)
    assert client.get_secret(fresh_path) == {"db_host": "localhost", "db_name": "mydb"}
    client.close()


def test_api_keys(service_for: tuple[SecretsService, AnyVault, str]) -> None:
    service, vault, path = service_for
    vault.put(path, {"stripe": "sk_test_xxx", "sendgrid": "SG.xxx"})
    assert service.get_api_key("stripe") == "sk_test_xxx"
    assert service.get_api_key(service_name="sendgrid") == "SG.xxx"
    service.set_api_key("stripe", "sk_test_new")
    assert service.get_api_key("stripe") == "sk_test_new"
    # The other keys survive.
    assert service.vault.get_secret(path) == {"stripe": "sk_test_new", "sendgrid": "SG.xxx"}


def test_a_missing_api_key_names_those_that_there_are(
    service_for: tuple[SecretsService, AnyVault, str],
) -> None:
    service, vault, path = service_for
    vault.put(path, {"stripe": "sk_test_xxx"})
    with pytest.raises(VaultSecretNotFoundError, match="there are: stripe"):
        service.get_api_key("strip")
    for name, value in [("", "x"), ("a\nb", "x"), ("stripe", "")]:
        with pytest.raises(VaultError, match="API key"):
            service.set_api_key(name, value)


def test_approle_login(vault: AnyVault, fresh_path: str) -> None:
    vault.put(fresh_path, {"x": "1"})
    auth = vault.request("GET", "sys/auth")
    if "approle/" not in auth["data"]:
        vault.request("POST", "sys/auth/approle", {"type": "approle"})
    policy = f'path "{fresh_path.replace("/", "/data/", 1)}" {{ capabilities = ["read"] }}'
    vault.request("PUT", "sys/policies/acl/reader", {"policy": policy})
    vault.request("POST", "auth/approle/role/reader", {"token_policies": "reader", "token_ttl": "1h"})
    role_id = vault.request("GET", "auth/approle/role/reader/role-id")["data"]["role_id"]
    secret_id = vault.request("POST", "auth/approle/role/reader/secret-id", {})["data"]["secret_id"]
    config = VaultConfig(addr=vault.addr, auth_method="approle", role_id=role_id, secret_id=secret_id)
    with ResilientVaultClient(config) as client:
        assert client.get_secret(fresh_path) == {"x": "1"}
        assert client.stats()["logins"] == 1


def test_a_service_from_the_environment(
    clean_environment: pytest.MonkeyPatch, dev: DevVault, postgres: DevPostgres
) -> None:
    ids = dev.set_up_example(postgres)
    clean_environment.setenv("VAULT_ADDR", dev.addr)
    clean_environment.setenv("VAULT_ROLE_ID", ids["role_id"])
    clean_environment.setenv("VAULT_SECRET_ID", ids["secret_id"])
    with SecretsService() as service:
        assert service.get_api_key("stripe") == "sk_test_xxx"
        url = service.get_database_connection_string()
        assert url.startswith("postgresql://")
        assert f"@127.0.0.1:{postgres.port}/" in url
        # The same lease for everyone, until a little before it ends.
        assert service.get_database_connection_string() == url
        assert service.get_database_connection_string(role="myapp") == url
        assert repr(service) == f"<SecretsService {dev.addr}, approle>"


def test_every_problem_of_the_environment_in_one_error(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("SECRETS_DB_ROLE", "a/b")
    with pytest.raises(VaultError) as caught:
        SecretsService()
    for name in ["VAULT_ADDR", "VAULT_TOKEN", "SECRETS_DB_ROLE"]:
        assert name in str(caught.value)


def test_an_application_rides_out_an_outage(dev: DevVault, config_for: Callable[..., VaultConfig]) -> None:
    dev.put("secret/myapp/api-keys", {"stripe": "sk_test_xxx"})
    service = SecretsService(ResilientVaultClient(config_for(dev, cache_ttl_seconds=0)), ServiceConfig())
    assert service.get_api_key("stripe") == "sk_test_xxx"
    dev.refuse()
    assert service.get_api_key("stripe") == "sk_test_xxx"
    dev.accept()
    dev.put("secret/myapp/api-keys", {"stripe": "sk_test_new"})
    service.vault.clear_cache()
    assert service.get_api_key("stripe") == "sk_test_new"
    service.close()


def test_importing_it_loads_nothing_heavy() -> None:
    script = "import sys, secrets_service; print(sorted({'asyncio', 'ssl', 'socket', 'requests'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "[]\n"
