"""`secrets_service.testing`: what users test their own services with."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from gds_vault.exceptions import VaultConnectionError, VaultError, VaultPermissionError

from secrets_service import ResilientVaultClient, SecretsService
from secrets_service.testing import VaultDev
from tests.conftest import once_read

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = {"secret/myapp/config": {"db_host": "localhost"}, "secret/myapp/api-keys": {"stripe": "sk"}}

USERS_TESTS = """
import pytest
from secrets_service import SecretsService

@pytest.mark.vault_secrets({"secret/myapp/api-keys": {"stripe": "sk"}})
def test_survives(vault_dev_environment):
    with SecretsService() as secrets:
        assert secrets.get_api_key("stripe") == "sk"
        vault_dev_environment.seal()
        assert secrets.get_api_key("stripe") == "sk"

def test_isolated(vault_dev):
    vault_dev.assert_not_requested("GET", "secret")

def test_session(vault_dev_session, vault_dev):
    assert vault_dev_session.addr != vault_dev.addr
"""


@pytest.mark.vault_secrets(SECRETS)
def test_the_fixture_loads_secrets(vault_dev: VaultDev) -> None:
    with ResilientVaultClient(vault_dev.config()) as client:
        assert {path: client.get_secret(path) for path in SECRETS} == SECRETS
        vault_dev.delete("secret/myapp/config")
        with pytest.raises(VaultError) as raised:
            client.get_secret("secret/myapp/config", bypass_cache=True)
        assert raised.value.kind == "not_found"


@pytest.mark.usefixtures("clean_environment")
def test_the_environment_leads_to_it(vault_dev_environment: VaultDev) -> None:
    vault_dev_environment.load(SECRETS)
    with SecretsService() as service:
        assert service.get_api_key("stripe") == "sk"


def test_it_starts_in_milliseconds() -> None:
    # A hang guard: what it takes is printed by `--durations`.
    begin = time.monotonic()
    with VaultDev(SECRETS) as vault:
        assert vault.addr.startswith("http://127.0.0.1:")
        assert repr(vault) == f"<VaultDev {vault.addr}>"
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("vault.freeze()", "vault.thaw()"),
        ("vault.seal()", "vault.unseal()"),
        ("vault.refuse()", "vault.accept()"),
        ("vault.fail(503)", "vault.clear()"),
        ("vault.fail(429, path='secret', retry_after=0.1)", "vault.clear()"),
        ("vault.slow(20.0)", "vault.clear()"),
        ("vault.break_answers('garbage')", "vault.clear()"),
    ],
)
def test_outages(vault_dev: VaultDev, begin: str, end: str) -> None:
    vault_dev.load(SECRETS)
    config = vault_dev.config(cache_ttl_seconds=0, read_deadline_seconds=0.5, client_timeout_seconds=0.3)
    client = ResilientVaultClient(config)
    once_read(client, "secret/myapp/config")
    eval(begin, {"vault": vault_dev})  # noqa: S307
    assert client.read_secret("secret/myapp/config").is_stale
    with pytest.raises(VaultConnectionError):
        client.get_secret("secret/myapp/api-keys")
    eval(end, {"vault": vault_dev})  # noqa: S307
    for _ in range(100):
        if not client.read_secret("secret/myapp/config").is_stale:
            break
        time.sleep(0.1)
    else:
        pytest.fail("it did not recover")
    client.close(revoke=False)


def test_revoking_tokens(vault_dev: VaultDev) -> None:
    vault_dev.load(SECRETS)
    config = vault_dev.config()
    with ResilientVaultClient(config) as client:
        client.get_secret("secret/myapp/config")
        assert config.token
        vault_dev.revoke_token(config.token)
        with pytest.raises(VaultError):
            client.get_secret("secret/myapp/config", bypass_cache=True)


def test_revoking_all_tokens_makes_an_approle_log_in_again(vault_dev: VaultDev) -> None:
    vault_dev.load(SECRETS)
    config = vault_dev.config(auth_method="approle", **vault_dev.app_role("web", token_ttl="1h"))
    with ResilientVaultClient(config) as client:
        client.get_secret("secret/myapp/config")
        vault_dev.revoke_tokens()
        assert client.get_secret("secret/myapp/config", bypass_cache=True) == {"db_host": "localhost"}
        vault_dev.assert_requested("POST", "auth/approle/login", times=2)


def test_policies(vault_dev: VaultDev) -> None:
    vault_dev.load(SECRETS)
    token = vault_dev.create_token(policy='path "secret/data/other" { capabilities = ["read"] }')
    client = ResilientVaultClient(vault_dev.config(token=token))
    with pytest.raises(VaultPermissionError):
        client.get_secret("secret/myapp/config")
    client.close(revoke=False)


def test_asserts_tell_what_there_was(vault_dev: VaultDev) -> None:
    vault_dev.load(SECRETS)
    vault_dev.reset_counts()
    with pytest.raises(AssertionError, match="Latest requests: none"):
        vault_dev.assert_requested("GET", "secret/data/myapp/config")
    with ResilientVaultClient(vault_dev.config()) as client:
        client.get_secret("secret/myapp/config")
        client.get_secret("secret/myapp/config")
    vault_dev.assert_requested("GET", "secret/data/myapp/config", times=1)
    assert vault_dev.count("GET", "secret/data") == 1
    with pytest.raises(AssertionError, match="expected 2 requests GET secret/data, there were 1") as raised:
        vault_dev.assert_requested("GET", "secret/data", times=2)
    assert "GET secret/data/myapp/config -> 200" in str(raised.value)


def test_the_clock(vault_dev: VaultDev) -> None:
    token = vault_dev.create_token(ttl="1h")
    vault_dev.advance_clock(2 * 3600)
    client = ResilientVaultClient(vault_dev.config(token=token))
    with pytest.raises(VaultError):
        client.log_in()
    client.close(revoke=False)


def test_a_postgres_of_its_own(vault_dev: VaultDev) -> None:
    database = vault_dev.postgres()
    assert vault_dev.postgres() is database
    assert repr(database) == f"<Database {database.url}>"
    role = database.role("reader", ttl="1m", max_ttl="5m")
    with ResilientVaultClient(vault_dev.config()) as client:
        first = client.rotating_database_credentials(role).current()
        with psycopg.connect(database.url, user=first.username, password=first.password) as connection:
            assert connection.execute("SELECT current_user::text").fetchone() == (first.username,)
        vault_dev.revoke_leases()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(database.url, user=first.username, password=first.password)


def test_the_plugin_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_users.py").write_text(USERS_TESTS)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", "-W", "error", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr
