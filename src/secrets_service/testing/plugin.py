"""The pytest plugin: fixtures `vault_dev`, `vault_dev_session` and `vault_dev_environment`, marker `vault_secrets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import VaultDev

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pytest_configure", "vault_dev", "vault_dev_environment", "vault_dev_session"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "vault_secrets(secrets): load secrets, by path, into `vault_dev`")


@pytest.fixture
def vault_dev(request: pytest.FixtureRequest) -> Iterator[VaultDev]:
    """Give the test a Vault of its own, with the secrets of its markers `vault_secrets`."""
    with VaultDev() as vault:
        for marker in request.node.iter_markers("vault_secrets"):
            vault.load(*marker.args)
        yield vault


@pytest.fixture(scope="session")
def vault_dev_session() -> Iterator[VaultDev]:
    """Give the session one Vault, for what does not end up in each other's way: it is not reset between tests."""
    with VaultDev() as vault:
        yield vault


@pytest.fixture
def vault_dev_environment(vault_dev: VaultDev, monkeypatch: pytest.MonkeyPatch) -> VaultDev:
    """Lead an application that is set up by environment variables to the test's Vault."""
    for name, value in vault_dev.environment().items():
        monkeypatch.setenv(name, value)
    return vault_dev
