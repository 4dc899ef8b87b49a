"""A Vault and a PostgreSQL with short leases: the development server; in long runs a real Vault, if there is one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

import django
import psycopg
import pytest
from django.conf import settings
from django.db.utils import ConnectionHandler

from secrets_service import AsyncResilientVaultClient, ResilientVaultClient, VaultConfig
from secrets_service._native import DevPostgres
from secrets_service.testing import Database, VaultDev

from . import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real_vault import AnyVault

LONG = os.environ.get("ENDURANCE") == "long"
STATIC_ROLE = "legacy"
GRANTS = 'GRANT SELECT, UPDATE ON items TO "{{name}}"'


@dataclass
class Stage:
    """Servers with short leases, and how long to work on them."""

    vault: AnyVault
    database: Database
    seconds: float
    rotations: int

    @property
    def config(self) -> VaultConfig:
        return VaultConfig(self.vault.addr, "token", token=self.vault.root_token)

    def client(self) -> ResilientVaultClient:
        return ResilientVaultClient(self.config)

    def async_client(self) -> AsyncResilientVaultClient:
        return AsyncResilientVaultClient(self.config)

    def url(self, driver: str) -> str:
        return self.database.url.replace("postgresql:", f"postgresql+{driver}:")

    def prove(self, name: str, report: load.Report) -> None:
        print(f"\n{name}: {report}")
        assert report.failures == []
        assert report.rotations >= self.rotations
        assert report.orphans == 0


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with DevPostgres() as cluster:
        if LONG and os.environ.get("VAULT_BIN"):
            database = Database(request.getfixturevalue("real_vault"), cluster)
            yield _filled(database)
        else:
            with VaultDev() as vault:
                yield _filled(Database(vault, cluster))


def _filled(database: Database) -> Database:
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL)")
        connection.execute(f"INSERT INTO items SELECT id, 0 FROM generate_series(0, {load.ITEMS - 1}) id")
        connection.execute(f"CREATE ROLE {STATIC_ROLE} WITH LOGIN PASSWORD 'first'")
        connection.execute(f"GRANT SELECT, UPDATE ON items TO {STATIC_ROLE}")
    return database


@pytest.fixture
def stage(database: Database) -> Stage:
    vault: AnyVault = database.vault  # type: ignore[assignment]
    if LONG:
        database.role("app", ttl="10s", max_ttl="30s", grants=GRANTS)
        return Stage(vault, database, seconds=180.0, rotations=6)
    # Long enough for a busy machine: a second for each renewal would not be.
    database.role("app", ttl="6s", max_ttl="12s", grants=GRANTS)
    return Stage(vault, database, seconds=7.0, rotations=2)


@pytest.fixture
def static_role(database: Database) -> str:
    return database.static_role(STATIC_ROLE, username=STATIC_ROLE)


@pytest.fixture
def django_database(database: Database) -> Callable[..., ConnectionHandler]:
    """Makes Django's databases, with `OPTIONS["vault"]` as given."""
    if not settings.configured:
        settings.configure()
        django.setup()

    def make(vault: dict[str, Any], *, max_age: int | None = None, **options: object) -> ConnectionHandler:
        described = {
            "ENGINE": "secrets_service.integrations.django.postgresql",
            "NAME": database.database,
            "HOST": database.host,
            "PORT": database.port,
            "CONN_MAX_AGE": max_age,
            "OPTIONS": {"vault": vault, **options},
        }
        return ConnectionHandler({"default": described})

    return make
