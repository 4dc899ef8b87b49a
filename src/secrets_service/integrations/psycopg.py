"""psycopg 3: pools (of `psycopg_pool`) whose credentials rotate, with no query failing for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional, cast

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from . import _rotation

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from secrets_service.vault_client import AsyncRotatingCredentials, RotatingCredentials, Rotation

__all__ = ["async_connection_pool", "connection_pool"]


def connection_pool(
    credentials: RotatingCredentials,
    conninfo: str = "",
    *,
    check: Optional[Callable[[psycopg.Connection[Any]], None]] = None,
    connection_class: type[psycopg.Connection[Any]] = psycopg.Connection,
    **options: Any,  # noqa: ANN401
) -> ConnectionPool[psycopg.Connection[Any]]:
    """Make a pool that connects with credentials that rotate.

    Connections of an older user are retired: idle ones at once, those in use when they are returned. A pool must not
    cross a fork: open it in each worker.

    Args:
        credentials: From `rotating_database_credentials` or `rotating_static_database_credentials` of a client.
        conninfo: Where the database is; needs no user and no password.
        check: As for `psycopg_pool.ConnectionPool`.
        connection_class: As for `psycopg_pool.ConnectionPool`.
        options: What else `psycopg_pool.ConnectionPool` takes.

    Returns:
        The pool.
    """
    made = _rotation.Made()
    followers: list[_rotation.Follower] = []

    class Connection(connection_class):  # type: ignore[valid-type,misc]
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Any:  # noqa: ANN401
            begin = super().connect

            def attempt(rotation: Rotation) -> Any:  # noqa: ANN401
                login: dict[str, Any] = {"user": rotation.username}
                connection = begin(conninfo, **{**options, **login}, password=rotation.password)
                made.add(connection, rotation)
                return connection

            options.pop("password", None)
            for follower in followers:
                follower.start()
            return _rotation.connect(credentials, attempt)

    def check_generation(connection: psycopg.Connection[Any]) -> None:
        if not made.keeps(connection, credentials):
            connection.close()
            msg = "made with credentials that end"
            raise psycopg.OperationalError(msg)
        if check is not None:
            check(connection)

    def retire(pool: ConnectionPool[Any], rotation: Rotation) -> bool:
        if made.any_to_retire(rotation, _is_open):
            pool.drain()
        return not pool.closed

    options.setdefault("open", False)
    wanted_open = options.pop("open")
    pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
        conninfo, connection_class=Connection, check=check_generation, open=False, **options
    )
    followers.append(_rotation.Follower(credentials, pool, retire))
    if wanted_open:
        pool.open()
    return pool


def async_connection_pool(
    credentials: AsyncRotatingCredentials,
    conninfo: str = "",
    *,
    check: Optional[Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]] = None,
    connection_class: type[psycopg.AsyncConnection[Any]] = psycopg.AsyncConnection,
    **options: Any,  # noqa: ANN401
) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Make a pool for event loops that connects with credentials that rotate: as `connection_pool`.

    Args:
        credentials: From the same methods of an `AsyncResilientVaultClient`.
        conninfo: Where the database is; needs no user and no password.
        check: As for `psycopg_pool.AsyncConnectionPool`.
        connection_class: As for `psycopg_pool.AsyncConnectionPool`.
        options: What else `psycopg_pool.AsyncConnectionPool` takes.

    Returns:
        The pool, not open yet.
    """
    made = _rotation.Made()
    followers: list[_rotation.AsyncFollower] = []

    class Connection(connection_class):  # type: ignore[valid-type,misc]
        @classmethod
        async def connect(cls, conninfo: str = "", **options: Any) -> Any:  # noqa: ANN401
            begin = super().connect

            async def attempt(rotation: Rotation) -> Any:  # noqa: ANN401
                login: dict[str, Any] = {"user": rotation.username}
                connection = await begin(conninfo, **{**options, **login}, password=rotation.password)
                made.add(connection, rotation)
                return connection

            options.pop("password", None)
            for follower in followers:
                follower.start()
            return await _rotation.connect_async(credentials, attempt)

    async def check_generation(connection: psycopg.AsyncConnection[Any]) -> None:
        if not made.keeps(connection, credentials):
            await connection.close()
            msg = "made with credentials that end"
            raise psycopg.OperationalError(msg)
        if check is not None:
            await check(connection)

    async def retire(pool: AsyncConnectionPool[Any], rotation: Rotation) -> bool:
        if made.any_to_retire(rotation, _is_open):
            await pool.drain()
        return not pool.closed

    options["open"] = False
    pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
        conninfo, connection_class=Connection, check=check_generation, **options
    )
    followers.append(_rotation.AsyncFollower(credentials, pool, retire))
    return pool


def _is_open(connection: object) -> bool:
    return not cast("psycopg.Connection[Any]", connection).closed
