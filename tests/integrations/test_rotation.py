"""Credentials rotate under pools that are queried without pause: no query fails, no connection outlives its user.

ENDURANCE=long: three minutes for each pool, leases of 10 s that can be renewed to 30 s.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from secrets_service.integrations import asyncpg, psycopg, sqlalchemy

from .load import CHANGE, WHO, run, run_async

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.utils import ConnectionHandler

    from .conftest import Stage


def test_row12_sqlalchemy(stage: Stage) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_database_credentials("app")
        engine = sqlalchemy.rotate(sa.create_engine(stage.url("psycopg"), pool_size=8), credentials)

        def work(number: int) -> str:
            with engine.begin() as connection:
                connection.execute(sa.text(CHANGE.format(number)))
                return str(connection.execute(sa.text(WHO)).scalar_one())

        _fill([engine.connect for _ in range(8)])
        stage.prove("SQLAlchemy", run(stage.database, work, seconds=stage.seconds, rotations=stage.rotations))
        engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_row12_sqlalchemy_async(stage: Stage, driver: str) -> None:
    async def main() -> None:
        async with stage.async_client() as vault:
            credentials = await vault.rotating_database_credentials("app")
            engine = sqlalchemy.rotate(create_async_engine(stage.url(driver), pool_size=8), credentials)

            async def work(number: int) -> str:
                async with engine.begin() as connection:
                    await connection.execute(sa.text(CHANGE.format(number)))
                    return str((await connection.execute(sa.text(WHO))).scalar_one())

            await asyncio.gather(*(work(number) for number in range(8)))
            report = await run_async(stage.database, work, seconds=stage.seconds, rotations=stage.rotations)
            stage.prove(f"SQLAlchemy with {driver}", report)
            await engine.dispose()

    asyncio.run(main())


def test_row12_psycopg(stage: Stage) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_database_credentials("app")
        with psycopg.connection_pool(credentials, stage.database.url, min_size=8, open=True) as pool:

            def work(number: int) -> str:
                with pool.connection() as connection:
                    connection.execute(CHANGE.format(number))
                    row = connection.execute(WHO).fetchone()
                    return str(row[0]) if row else ""

            pool.wait()
            stage.prove("psycopg_pool", run(stage.database, work, seconds=stage.seconds, rotations=stage.rotations))


def test_row12_psycopg_async(stage: Stage) -> None:
    async def main() -> None:
        async with stage.async_client() as vault:
            credentials = await vault.rotating_database_credentials("app")
            async with psycopg.async_connection_pool(credentials, stage.database.url, min_size=8) as pool:

                async def work(number: int) -> str:
                    async with pool.connection() as connection:
                        await connection.execute(CHANGE.format(number))
                        row = await (await connection.execute(WHO)).fetchone()
                        return str(row[0]) if row else ""

                await pool.wait()
                report = await run_async(stage.database, work, seconds=stage.seconds, rotations=stage.rotations)
                stage.prove("psycopg_pool, asynchronous", report)

    asyncio.run(main())


def test_row12_asyncpg(stage: Stage) -> None:
    async def main() -> None:
        async with stage.async_client() as vault:
            credentials = await vault.rotating_database_credentials("app")
            async with asyncpg.create_pool(credentials, stage.database.url, min_size=8) as pool:

                async def work(number: int) -> str:
                    async with pool.acquire() as connection, connection.transaction():
                        await connection.execute(CHANGE.format(number))
                        return str(await connection.fetchval(WHO))

                report = await run_async(stage.database, work, seconds=stage.seconds, rotations=stage.rotations)
                stage.prove("asyncpg", report)

    asyncio.run(main())


def test_row12_django(stage: Stage, django_database: Callable[..., ConnectionHandler]) -> None:
    with stage.client() as vault:
        connections = django_database({"role": "app", "client": lambda: vault})

        def request(number: int) -> str:
            # As Django does around each request.
            connections["default"].close_if_unusable_or_obsolete()
            with atomic(connections["default"]), connections["default"].cursor() as cursor:
                cursor.execute(CHANGE.format(number))
                cursor.execute(WHO)
                return str(cursor.fetchone()[0])

        report = run(
            stage.database,
            request,
            seconds=stage.seconds,
            rotations=stage.rotations,
            at_end=connections.close_all,
        )
        stage.prove("Django", report)


@contextmanager
def atomic(connection: Any) -> Iterator[None]:  # noqa: ANN401
    connection.set_autocommit(False)
    try:
        yield
        connection.commit()
    finally:
        connection.set_autocommit(True)


def _fill(connect: list[Any]) -> None:
    """Opens as many connections as the pool keeps, so that some of them are idle later."""
    for connection in [begin() for begin in connect]:
        connection.close()
