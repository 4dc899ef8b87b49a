from __future__ import annotations

import dataclasses
import pickle
import re
from pathlib import Path

import pytest
from gds_vault.exceptions import VaultConfigurationError

from secrets_service import ResilientVaultClient, ServiceConfig, VaultConfig

from .conftest import CANARY

ADDR = "http://127.0.0.1:8200"
SEED_FIELDS = [
    "addr",
    "auth_method",
    "token",
    "role_id",
    "secret_id",
    "namespace",
    "cache_ttl_seconds",
    "retry_max_attempts",
]


def test_the_documented_fields_come_first_with_their_defaults() -> None:
    assert [field.name for field in dataclasses.fields(VaultConfig)][:8] == SEED_FIELDS
    config = VaultConfig(ADDR, "token", "root")
    assert (config.addr, config.auth_method, config.token) == (ADDR, "token", "root")
    assert (config.role_id, config.secret_id, config.namespace) == (None, None, None)
    assert (config.cache_ttl_seconds, config.retry_max_attempts) == (300, 3)


def test_it_is_a_real_dataclass() -> None:
    config = VaultConfig(addr=ADDR, auth_method="token", token="root")
    other = dataclasses.replace(config, cache_ttl_seconds=5)
    assert other.cache_ttl_seconds == 5
    assert other != config
    assert dataclasses.replace(other, cache_ttl_seconds=300) == config
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301
    config.validate()


def test_token_auth_from_the_environment(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("VAULT_ADDR", ADDR)
    clean_environment.setenv("VAULT_TOKEN", " root \n")
    config = VaultConfig.from_environment()
    assert config == VaultConfig(addr=ADDR, auth_method="token", token="root")


def test_approle_auth_from_the_environment(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("VAULT_ADDR", ADDR)
    clean_environment.setenv("VAULT_ROLE_ID", "r")
    clean_environment.setenv("VAULT_SECRET_ID", "s")
    config = VaultConfig.from_environment()
    assert (config.auth_method, config.role_id, config.secret_id) == ("approle", "r", "s")


def test_every_setting_from_the_environment(clean_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    values = {
        "VAULT_ADDR": f"{ADDR},http://127.0.0.1:8201",
        "VAULT_AUTH_METHOD": "AppRole",
        "VAULT_AUTH_MOUNT": "team",
        "VAULT_ROLE_ID_FILE": str(file),
        "VAULT_WRAPPED_SECRET_ID_FILE": str(file),
        "VAULT_NAMESPACE": "/ns/",
        "VAULT_CACHE_TTL_SECONDS": "60",
        "VAULT_CACHE_MAX_STALE_SECONDS": "0",
        "VAULT_CACHE_CAPACITY": "7",
        "VAULT_RETRY_MAX_ATTEMPTS": "5",
        "VAULT_MOUNT_POINT": "kv",
        "VAULT_DATABASE_MOUNT": "db",
        "VAULT_CLIENT_TIMEOUT": "1500ms",
        "VAULT_CACERT": str(file),
        "VAULT_CAPATH": str(tmp_path),
        "VAULT_TLS_SERVER_NAME": "vault",
        "VAULT_SKIP_VERIFY": "true",
    }
    for name, value in values.items():
        clean_environment.setenv(name, value)
    assert VaultConfig.from_environment() == VaultConfig(
        addr=f"{ADDR},http://127.0.0.1:8201",
        auth_method="approle",
        auth_mount="team",
        role_id_file=str(file),
        wrapped_secret_id_file=str(file),
        namespace="ns",
        cache_ttl_seconds=60,
        cache_max_stale_seconds=0,
        cache_capacity=7,
        retry_max_attempts=5,
        mount_point="kv",
        database_mount="db",
        client_timeout_seconds=1.5,
        ca_cert=str(file),
        ca_path=str(tmp_path),
        tls_server_name="vault",
        skip_verify=True,
    )


def test_the_token_that_vault_login_leaves_behind(clean_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clean_environment.setenv("VAULT_ADDR", ADDR)
    home_token = tmp_path / ".vault-token"
    home_token.write_text("root")
    config = VaultConfig.from_environment()
    assert (config.token, config.token_file) == (None, str(home_token))
    config.validate()


@pytest.mark.parametrize(
    ("method", "missing"),
    [
        ("token", ["VAULT_TOKEN"]),
        ("approle", ["VAULT_ROLE_ID", "VAULT_SECRET_ID"]),
        ("userpass", ["VAULT_USERNAME", "VAULT_PASSWORD"]),
        ("kubernetes", ["VAULT_AUTH_ROLE"]),
        ("jwt", ["VAULT_AUTH_ROLE", "VAULT_JWT"]),
    ],
)
def test_each_auth_method_names_what_it_lacks(
    clean_environment: pytest.MonkeyPatch, method: str, missing: list[str]
) -> None:
    clean_environment.setenv("VAULT_AUTH_METHOD", method)
    with pytest.raises(VaultConfigurationError) as caught:
        VaultConfig.from_environment()
    # Besides that, the address is missing: all problems, in one error.
    for name in ["VAULT_ADDR", *missing]:
        assert f"{name} is not set" in str(caught.value)


def test_problems_are_told_by_name_never_by_value(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("VAULT_ADDR", f"ftp://{CANARY}@host")
    clean_environment.setenv("VAULT_TOKEN", CANARY)
    clean_environment.setenv("VAULT_TOKEN_FILE", "/nowhere")
    clean_environment.setenv("VAULT_CACHE_TTL_SECONDS", CANARY)
    with pytest.raises(VaultConfigurationError) as caught:
        VaultConfig.from_environment()
    message = str(caught.value)
    for name in ["VAULT_ADDR", "VAULT_TOKEN", "VAULT_TOKEN_FILE", "VAULT_CACHE_TTL_SECONDS"]:
        assert name in message
    assert CANARY not in message


def test_validation_names_fields_for_a_configuration_made_in_code() -> None:
    config = VaultConfig(
        addr="",
        auth_method="approle",
        role_id="r",
        cache_ttl_seconds=-1,
        read_deadline_seconds=0,
        stale_deadline_seconds=float("nan"),
        namespace=object(),  # type: ignore[arg-type]
    )
    with pytest.raises(VaultConfigurationError) as caught:
        config.validate()
    message = str(caught.value)
    for field in [
        "addr",
        "secret_id",
        "cache_ttl_seconds",
        "read_deadline_seconds",
        "stale_deadline_seconds",
        "namespace",
    ]:
        assert f"\n  {field} " in message
    assert "VAULT_" not in message
    with pytest.raises(VaultConfigurationError, match="6 problems"):
        ResilientVaultClient(config)


def test_a_configuration_made_in_code_does_not_look_into_the_home_folder(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".vault-token").write_text("root")
    clean_environment.setenv("VAULT_TOKEN", "root")
    with pytest.raises(VaultConfigurationError, match="token is not set"):
        VaultConfig(addr=ADDR, auth_method="token").validate()


def test_every_documented_variable_has_a_field() -> None:
    """A variable that the core learns and this package does not would be ignored without a word."""
    root = Path(__file__).parent.parent
    documented = re.findall(r"^#? ?((?:VAULT|SECRETS)_\w+)=", (root / ".env.example").read_text(), re.MULTILINE)
    assert len(documented) > 20
    known = (root / "crates" / "secrets-service-py" / "src" / "config.rs").read_text()
    assert [name for name in documented if f'"{name}"' not in known] == []


def test_repr_redacts() -> None:
    config = VaultConfig(ADDR, "approle", CANARY, CANARY, CANARY, password=CANARY, jwt=CANARY, wrapped_secret_id=CANARY)
    assert CANARY not in repr(config)
    assert CANARY not in str(config)
    assert f"addr='{ADDR}'" in repr(config)
    assert repr(config).count("[redacted]") == 6
    assert repr(VaultConfig(ADDR, "token")) == f"VaultConfig(addr='{ADDR}', auth_method='token')"


def test_service_config(clean_environment: pytest.MonkeyPatch) -> None:
    assert ServiceConfig.from_environment() == ServiceConfig()
    clean_environment.setenv("SECRETS_DB_ROLE", "reader")
    assert ServiceConfig.from_environment() == ServiceConfig(db_role="reader")
    clean_environment.setenv("SECRETS_DB_ROLE", "a/b")
    clean_environment.setenv("SECRETS_API_KEYS_PATH", "../x")
    with pytest.raises(VaultConfigurationError) as caught:
        ServiceConfig.from_environment()
    assert "SECRETS_DB_ROLE" in str(caught.value)
    assert "SECRETS_API_KEYS_PATH" in str(caught.value)
