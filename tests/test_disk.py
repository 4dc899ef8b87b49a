"""The encrypted copy of the cache: a start while Vault is away."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest
from gds_vault.exceptions import VaultConfigurationError, VaultConnectionError

from secrets_service import ResilientVaultClient, SecretsService, VaultConfig

from .conftest import CANARY
from .test_fork import in_children

if TYPE_CHECKING:
    from secrets_service._native import DevVault

    ConfigFor = Callable[..., VaultConfig]

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


@pytest.fixture
def on_disk(tmp_path: Path) -> dict[str, Any]:
    """The settings of a copy on disk, by their fields."""
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    return {"cache_file": str(tmp_path / "copies" / "cache"), "cache_key_file": str(key)}


def written(on_disk: dict[str, Any]) -> bytes:
    return b"".join(file.read_bytes() for file in Path(on_disk["cache_file"]).parent.iterdir())


def test_a_start_while_vault_is_away(dev: DevVault, config_for: ConfigFor, on_disk: dict[str, Any]) -> None:
    dev.put("secret/a", {"password": CANARY})
    config = config_for(dev, retry_max_attempts=1, **on_disk)
    with ResilientVaultClient(config) as client:
        assert client.get_secret("secret/a") == {"password": CANARY}
    content = written(on_disk)
    assert content
    assert CANARY.encode() not in content
    assert b"secret/a" not in content
    dev.refuse()
    with ResilientVaultClient(config) as client:
        assert client.get_secret("secret/a") == {"password": CANARY}
        with pytest.raises(VaultConnectionError):
            client.get_secret("secret/b")


def test_nothing_is_written_unless_told(dev: DevVault, config_for: ConfigFor, tmp_path: Path) -> None:
    dev.put("secret/a", {"x": 1})
    config = config_for(dev, retry_max_attempts=1)
    with ResilientVaultClient(config) as client:
        client.get_secret("secret/a")
    assert list(tmp_path.iterdir()) == []
    dev.refuse()
    with ResilientVaultClient(config) as client, pytest.raises(VaultConnectionError):
        client.get_secret("secret/a")


def test_from_the_environment(dev: DevVault, clean_environment: pytest.MonkeyPatch, on_disk: dict[str, Any]) -> None:
    dev.put("secret/myapp/api-keys", {"stripe": CANARY})
    clean_environment.setenv("VAULT_ADDR", dev.addr)
    clean_environment.setenv("VAULT_TOKEN", dev.root_token)
    clean_environment.setenv("SECRETS_CACHE_FILE", on_disk["cache_file"])
    clean_environment.setenv("SECRETS_CACHE_KEY_FILE", on_disk["cache_key_file"])
    with SecretsService() as service:
        assert service.get_api_key("stripe") == CANARY
    assert written(on_disk)
    dev.refuse()
    with SecretsService() as service:
        assert service.get_api_key("stripe") == CANARY


def test_a_forked_child_leaves_the_file_to_its_parent(
    dev: DevVault, config_for: ConfigFor, on_disk: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    dev.put("secret/a", {"x": 1})
    dev.put("secret/b", {"x": 2})
    config = config_for(dev, retry_max_attempts=1, **on_disk)
    with ResilientVaultClient(config) as client:
        client.get_secret("secret/a")

        def read() -> tuple[dict[str, Any], list[str]]:
            caplog.set_level(logging.ERROR, "secrets_service")
            return client.get_secret("secret/a"), [record.getMessage() for record in caplog.records]

        for answer, told in in_children(2, read):
            assert answer == {"x": 1}
            assert any("no cache on disk" in line and "in use by another process" in line for line in told), told
        # The parent goes on writing.
        client.get_secret("secret/b")
    dev.refuse()
    with ResilientVaultClient(config) as client:
        assert [client.get_secret(f"secret/{name}")["x"] for name in "ab"] == [1, 2]


def test_a_file_needs_a_key_and_a_key_a_file(config_for: ConfigFor, dev: DevVault, on_disk: dict[str, Any]) -> None:
    with pytest.raises(VaultConfigurationError, match="cache_key"):
        config_for(dev, cache_file=on_disk["cache_file"]).validate()
    with pytest.raises(VaultConfigurationError, match="cache_file"):
        config_for(dev, cache_key_file=on_disk["cache_key_file"]).validate()
    with pytest.raises(VaultConfigurationError, match="cache_key"):
        config_for(dev, cache_file=on_disk["cache_file"], cache_key="nonsense").validate()
    config_for(dev, **on_disk).validate()
