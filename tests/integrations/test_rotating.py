"""The handle on credentials that rotate, by itself."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Callable, cast

import pytest
import sqlalchemy as sa
from gds_vault.exceptions import VaultError, VaultSecretNotFoundError
from sqlalchemy.ext.asyncio import create_async_engine

from secrets_service import AsyncResilientVaultClient, AsyncRotatingCredentials, ResilientVaultClient
from secrets_service.integrations import asyncpg, psycopg, sqlalchemy
from secrets_service.integrations.django import credentials_for
from tests.test_canaries import OURS
from tests.test_fork import in_children

if TYPE_CHECKING:
    from django.db.utils import ConnectionHandler

    from secrets_service import RotatingCredentials, Rotation

    from .conftest import Stage

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
# Where nobody listens.
NOWHERE = "127.0.0.1:1"
PATIENCE_SECONDS = 30.0


def test_the_newest_credentials(stage: Stage) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_database_credentials("app")
        assert credentials.path == "database/creds/app"
        rotation = credentials.current()
        assert rotation.generation == 1
        assert rotation.username
        assert rotation.password
        assert 0 < rotation.usable_for_seconds < 100
        assert rotation.lease_id
        assert rotation.lease_id.startswith("database/creds/app/")
        assert rotation.retire_in_seconds is None
        assert rotation.keeps(1)
        assert credentials.keeps(1)
        assert not credentials.keeps(0)
        assert credentials.usable().username == rotation.username
        (lease,) = vault.leases()
        assert lease.path == credentials.path
        assert lease.lease_id == rotation.lease_id
        assert lease.renewable
        assert lease.failures == 0
        assert lease.last_error is None
        assert 0 < lease.ends_in_seconds < 100
        assert repr(lease).startswith("<LeaseStatus database/creds/app, ends in ")


def test_no_password_is_shown(stage: Stage) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_database_credentials("app")
        rotation = credentials.current()
        for shown in (repr(rotation), str(rotation), f"{rotation}", repr(credentials), repr(vault.leases())):
            assert rotation.password not in shown
        assert rotation.username in repr(rotation)


def test_waiting_for_a_rotation(stage: Stage) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_database_credentials("app")
        first = credentials.current()
        assert credentials.changed(0) is None
        second = credentials.changed(PATIENCE_SECONDS, since=first.generation)
        assert second is not None
        assert second.generation > first.generation
        assert second.username != first.username
        assert second.retire_in_seconds is not None
        assert not second.keeps(first.generation)
        # Who asks for what has been has it at once.
        again = credentials.changed(0, since=first.generation)
        assert again is not None
        assert again.generation >= second.generation
        with pytest.raises(ValueError, match="timeout"):
            credentials.changed(-1)


def test_a_static_role_has_a_new_password(stage: Stage, static_role: str) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_static_database_credentials(static_role)
        first = credentials.current()
        assert credentials.path == f"database/static-creds/{static_role}"
        assert first.lease_id is None
        stage.database.rotate(static_role)
        second = credentials.newer_than(first.generation)
        assert second.username == first.username
        assert second.password != first.password
        # Connections stay.
        assert second.keeps(first.generation)


def test_errors(stage: Stage) -> None:
    vault = stage.client()
    with pytest.raises(VaultError):
        vault.rotating_database_credentials("nobody")
    credentials = vault.rotating_database_credentials("app")
    waiting: list[BaseException] = []

    def wait() -> None:
        try:
            credentials.changed()
        except BaseException as error:  # noqa: BLE001
            waiting.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    vault.close()
    thread.join(PATIENCE_SECONDS)
    assert [type(error) for error in waiting] == [VaultError]
    with pytest.raises(VaultError, match="closed"):
        vault.rotating_database_credentials("app")


def test_for_event_loops(stage: Stage, static_role: str) -> None:
    async def main() -> None:
        async with stage.async_client() as vault:
            credentials = await vault.rotating_database_credentials("app")
            assert repr(credentials) == "<AsyncRotatingCredentials database/creds/app>"
            first = credentials.current()
            assert credentials.keeps(first.generation)
            second = await credentials.changed(PATIENCE_SECONDS, since=first.generation)
            assert second is not None
            assert second.username != first.username
            assert (await credentials.usable()).generation >= second.generation
            assert await credentials.changed(0) is None
            assert {lease.path for lease in vault.leases()} == {credentials.path}
            fixed = await vault.rotating_static_database_credentials(static_role)
            before = fixed.current()
            stage.database.rotate(static_role)
            assert (await fixed.newer_than(before.generation)).password != before.password
            with pytest.raises(VaultSecretNotFoundError):
                await AsyncRotatingCredentials(vault, "nobody").usable()

    try:
        asyncio.run(main())
    except VaultError as error:
        # The real Vault calls an unknown role an invalid request.
        assert "nobody" in str(error)


def test_row30_a_forked_child_has_a_lease_of_its_own(stage: Stage) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_database_credentials("app")
        ours = credentials.current().username

        def look() -> tuple[bool, str, int]:
            # Nothing of the parent's is kept.
            kept = credentials.keeps(1)
            rotation = credentials.current()
            return kept, rotation.username, rotation.generation

        told = in_children(3, look)
        assert [(kept, generation) for kept, _, generation in told] == [(False, 1)] * 3
        assert len({ours, *(user for _, user, _ in told)}) == 4


def test_an_engine_needs_credentials_of_its_kind(stage: Stage) -> None:
    with stage.client() as vault:
        credentials: Any = vault.rotating_database_credentials("app")
        with pytest.raises(TypeError, match="AsyncEngine needs AsyncRotatingCredentials"):
            sqlalchemy.rotate(create_async_engine(stage.url("asyncpg")), credentials)


def test_an_engine_that_is_disposed_of_during_a_sweep_leaves_no_connection_open() -> None:
    class Rotated:
        def keeps(self, _generation: int) -> bool:
            return True

    engine = sa.create_engine("sqlite://", poolclass=sa.QueuePool)
    pool: Any = engine.pool
    for connection in [engine.connect() for _ in range(3)]:
        connection.close()
    assert pool.checkedin() == 3
    sa.event.listen(engine, "checkout", lambda *_: engine.dispose(), once=True)
    sqlalchemy._sweep(engine, cast("Rotation", Rotated()))  # noqa: SLF001
    assert pool.checkedin() == 0
    engine.dispose()


def test_a_later_client_of_django_has_credentials_of_its_own(stage: Stage) -> None:
    def credentials() -> RotatingCredentials:
        with stage.client() as vault:
            return credentials_for({"role": "app", "client": lambda: vault})

    # Each client is gone before the next one is made, perhaps at the same address.
    assert len({id(each) for each in [credentials() for _ in range(5)]}) == 5


def our_locals(error: BaseException) -> str:
    """What a tracer shows of our frames. (The drivers' frames and exceptions are theirs.)"""
    shown = []
    current: BaseException | None = error
    while current is not None:
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if frame.f_code.co_filename.startswith(OURS):
                shown += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
        current = current.__cause__ or current.__context__
    return "\n".join(shown)


def test_no_password_in_the_locals_of_our_frames(
    stage: Stage, django_database: Callable[..., ConnectionHandler]
) -> None:
    """When connecting fails, and a tracer shows every frame's locals."""
    seen: list[tuple[str, Rotation]] = []

    def threads() -> None:
        with stage.client() as vault:
            credentials = vault.rotating_database_credentials("app")
            engine = sqlalchemy.rotate(sa.create_engine(f"postgresql+psycopg://{NOWHERE}/x"), credentials)
            pool = psycopg.connection_pool(credentials, f"postgresql://{NOWHERE}/x", open=False)
            connections = django_database({"role": "app", "client": lambda: vault})
            connections["default"].settings_dict["PORT"] = 1
            for work in (
                engine.connect,
                lambda: pool.connection_class.connect(str(pool.conninfo)),
                connections["default"].ensure_connection,
            ):
                with pytest.raises(Exception, match=r"(?i)connect") as raised:
                    work()
                seen.append((our_locals(raised.value), credentials.current()))

    async def loop() -> None:
        async with AsyncResilientVaultClient(stage.config) as vault:
            credentials = await vault.rotating_database_credentials("app")
            with pytest.raises(OSError, match=r"(?i)connect") as raised:
                await asyncpg.create_pool(credentials, f"postgresql://{NOWHERE}/x")
            seen.append((our_locals(raised.value), credentials.current()))

    threads()
    asyncio.run(loop())
    assert len(seen) == 4
    for shown, rotation in seen:
        assert "rotation" in shown  # our frames are there
        assert rotation.password not in shown


def test_a_follower_ends_with_its_pool(stage: Stage) -> None:
    with ResilientVaultClient(stage.config) as vault:
        credentials = vault.rotating_database_credentials("app")
        engine = sqlalchemy.rotate(sa.create_engine(stage.url("psycopg")), credentials)
        with engine.connect():
            pass
        threads = [thread for thread in threading.enumerate() if thread.name == "vault-rotation"]
        assert threads
        engine.dispose()
    # The client is closed: there is nothing to follow.
    give_up = time.monotonic() + PATIENCE_SECONDS
    while any(thread.is_alive() for thread in threads):
        assert time.monotonic() < give_up
        time.sleep(0.05)
