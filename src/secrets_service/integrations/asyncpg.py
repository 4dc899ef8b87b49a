"""asyncpg: pools whose credentials rotate, with no query failing for it."""

# asyncpg has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportInvalidTypeArguments=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable, Optional, cast

import asyncpg

from . import _rotation

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from secrets_service.vault_client import AsyncRotatingCredentials, Rotation

__all__ = ["create_pool"]

# To take an idle connection out of the pool: there is one, or somebody else was quicker.
_TAKE_SECONDS = 10.0


def create_pool(
    credentials: AsyncRotatingCredentials,
    dsn: Optional[str] = None,
    *,
    connect: Callable[..., Awaitable[Any]] = asyncpg.connect,
    **options: Any,  # noqa: ANN401
) -> asyncpg.Pool:
    """Make a pool that connects with credentials that rotate.

    Connections of an older user are retired: idle ones at once, those in use when they are released.

    Args:
        credentials: From `rotating_database_credentials` or `rotating_static_database_credentials` of an
            `AsyncResilientVaultClient`.
        dsn: Where the database is; needs no user and no password.
        connect: As for `asyncpg.create_pool`.
        options: What else `asyncpg.create_pool` takes.

    Returns:
        The pool, to be awaited or entered (`async with`) as asyncpg's own.
    """
    newest = _Newest(credentials, connect)
    newest.pool = asyncpg.create_pool(dsn, connect=newest, **options)
    return newest.pool


class _Newest:
    """Makes the connections of a pool, and lives as long: pools themselves cannot be referred to weakly."""

    pool: asyncpg.Pool

    def __init__(self, credentials: AsyncRotatingCredentials, connect: Callable[..., Awaitable[Any]]) -> None:
        self._credentials = credentials
        self._connect = connect
        self._made = _rotation.Made()
        self._follower = _rotation.AsyncFollower(credentials, self, _Newest._retire)

    async def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        async def attempt(rotation: Rotation) -> Any:  # noqa: ANN401
            login = {"user": rotation.username}
            connection = await self._connect(*arguments, **{**options, **login}, password=rotation.password)
            self._made.add(connection, rotation)
            return connection

        options.pop("password", None)
        self._follower.start()
        return await _rotation.connect_async(self._credentials, attempt)

    async def _retire(self, rotation: Rotation) -> bool:
        if self._made.any_to_retire(rotation, _is_open):
            await self.pool.expire_connections()
            await _replace_idle(self.pool)
        return not self.pool.is_closing()


async def _replace_idle(pool: asyncpg.Pool) -> None:
    """Expired connections are replaced when they are taken, so each idle one is taken once."""
    held = []
    try:
        for _ in range(pool.get_idle_size()):
            held.append(await pool.acquire(timeout=_TAKE_SECONDS))  # noqa: PERF401 - what there is is given back
    except asyncio.TimeoutError:
        pass  # all are in use now, and looked at when they come back
    finally:
        for connection in held:
            await pool.release(connection)


def _is_open(connection: object) -> bool:
    return not cast("asyncpg.Connection[Any]", connection).is_closed()
