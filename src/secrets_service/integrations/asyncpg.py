"""asyncpg: pools whose credentials rotate, with no query failing for it."""

from __future__ import annotations

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
    """Make a pool that connects with credentials that rotate: `async with create_pool(...) as pool`.

    Connections of an older user are retired: idle ones at once, those in use when they are released.

    Args:
        credentials: From `rotating_database_credentials` or `rotating_static_database_credentials` of an
            `AsyncResilientVaultClient`.
        dsn: Where the database is; needs no user and no password.
        connect: As for `asyncpg.create_pool`.
        options: What else `asyncpg.create_pool` takes.

    Returns:
        The pool, to be awaited or entered as asyncpg's own.
    """
    made = _rotation.Made()
    followers: list[_rotation.AsyncFollower] = []

    async def connect_newest(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        async def attempt(rotation: Rotation) -> Any:  # noqa: ANN401
            login = {"user": rotation.username}
            connection = await connect(*arguments, **{**options, **login}, password=rotation.password)
            made.add(connection, rotation)
            return connection

        options.pop("password", None)
        for follower in followers:
            follower.start()
        return await _rotation.connect_async(credentials, attempt)

    async def retire(pool: asyncpg.Pool, rotation: Rotation) -> bool:
        if made.any_to_retire(rotation, _is_open):
            await pool.expire_connections()
            await _replace_idle(pool)
        return not pool.is_closing()

    pool = asyncpg.create_pool(dsn, connect=connect_newest, **options)
    followers.append(_rotation.AsyncFollower(credentials, pool, retire))
    return pool


async def _replace_idle(pool: asyncpg.Pool) -> None:
    """Expired connections are replaced when they are taken, so each idle one is taken once."""
    held = []
    try:
        for _ in range(pool.get_idle_size()):
            held.append(await pool.acquire(timeout=_TAKE_SECONDS))
    except TimeoutError:
        pass  # all are in use now, and looked at when they come back
    finally:
        for connection in held:
            await pool.release(connection)


def _is_open(connection: object) -> bool:
    return not cast("asyncpg.Connection[Any]", connection).is_closed()
