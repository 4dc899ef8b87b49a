"""What the tests share: servers, clients, and the rule about the real Vault.

Tests that use `vault` run on the embedded development server and on a real Vault (`VAULT_BIN`). Without one, the
second half is left out and the summary says so; with REQUIRE_REAL_VAULT=1 that is a failure.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, Any, Callable

import pytest
from gds_vault.exceptions import VaultConnectionError

from secrets_service import ResilientVaultClient, VaultConfig
from secrets_service._native import DevPostgres, DevVault

from .real_vault import RealVault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .real_vault import AnyVault

# Loaded here and not by itself, so that coverage sees it: see pyproject.toml.
pytest_plugins = ["secrets_service.testing.plugin"]

CANARY = "canary-4711"
_numbers = itertools.count(1)


# For what has to happen some time: a guard against waiting for ever, no matter how slow the machine is.
PATIENCE_SECONDS = 60.0


def once_read(client: ResilientVaultClient, path: str) -> dict[str, Any]:
    """Reads a secret with a client whose deadlines are so short that a busy machine may need several attempts."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return client.get_secret(path)
        except VaultConnectionError:
            assert time.monotonic() < give_up
            time.sleep(0.05)


def real_vault_wanted() -> bool:
    return bool(os.environ.get("VAULT_BIN")) or os.environ.get("REQUIRE_REAL_VAULT") == "1"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vault" in metafunc.fixturenames:
        servers = ["embedded", "real"] if real_vault_wanted() else ["embedded"]
        metafunc.parametrize("vault", servers, indirect=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    binary = os.environ.get("VAULT_BIN")
    told = f"real Vault: {binary}" if binary else "real Vault: NOT RUN (set VAULT_BIN; `make vault` prints one)"
    terminalreporter.write_line(told)


@pytest.fixture(scope="session")
def real_vault() -> Iterator[RealVault]:
    binary = os.environ.get("VAULT_BIN")
    if not binary:
        pytest.fail("REQUIRE_REAL_VAULT=1, and VAULT_BIN does not say where one is")
    with RealVault(binary) as vault:
        yield vault


@pytest.fixture(scope="session")
def shared_dev() -> Iterator[DevVault]:
    with DevVault() as vault:
        yield vault


@pytest.fixture
def vault(request: pytest.FixtureRequest) -> AnyVault:
    """A Vault that works: embedded or real. Shared; use `fresh_path`."""
    server: AnyVault = request.getfixturevalue("real_vault" if request.param == "real" else "shared_dev")
    return server


@pytest.fixture
def dev() -> Iterator[DevVault]:
    """A Vault of the test's own, that can be made to fail."""
    with DevVault() as vault:
        yield vault


@pytest.fixture(scope="session")
def postgres() -> Iterator[DevPostgres]:
    with DevPostgres() as cluster:
        yield cluster


@pytest.fixture
def fresh_path() -> str:
    return f"secret/test-{os.getpid()}-{next(_numbers)}/config"


@pytest.fixture
def config_for() -> Callable[..., VaultConfig]:
    def make(server: AnyVault, **settings: object) -> VaultConfig:
        base = {"addr": server.addr, "auth_method": "token", "token": server.root_token}
        return VaultConfig(**{**base, **settings})  # type: ignore[arg-type]

    return make


@pytest.fixture
def client_for(config_for: Callable[..., VaultConfig]) -> Iterator[Callable[..., ResilientVaultClient]]:
    """Makes clients that are closed at the end of the test."""
    made: list[ResilientVaultClient] = []

    def make(server: AnyVault, **settings: object) -> ResilientVaultClient:
        client = ResilientVaultClient(config_for(server, **settings))
        made.append(client)
        return client

    yield make
    for client in made:
        client.close(revoke=False)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> pytest.MonkeyPatch:
    """No variable of ours is set, and the home folder is empty."""
    for name in list(os.environ):
        if name.startswith(("VAULT_", "SECRETS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch
