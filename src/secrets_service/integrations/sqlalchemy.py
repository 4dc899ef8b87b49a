"""SQLAlchemy 2: engines whose credentials rotate, with no query failing for it."""

from __future__ import annotations

import os
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Union, overload

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only, greenlet_spawn

from secrets_service.vault_client import AsyncRotatingCredentials, RotatingCredentials

from . import _rotation

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

    from secrets_service.vault_client import Rotation

__all__ = ["rotate"]

_GENERATION: Final = "secrets_service.generation"
_sweeping: ContextVar[bool] = ContextVar("sweeping", default=False)
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


@overload
def rotate(engine: Engine, credentials: RotatingCredentials) -> Engine: ...
@overload
def rotate(engine: AsyncEngine, credentials: AsyncRotatingCredentials) -> AsyncEngine: ...
def rotate(
    engine: Union[Engine, AsyncEngine], credentials: Union[RotatingCredentials, AsyncRotatingCredentials]
) -> Union[Engine, AsyncEngine]:
    """Let an engine connect with credentials that rotate. The URL needs no user and no password.

    New connections are made with the newest credentials. Connections of an older user are retired: idle ones at once,
    those in use when they are returned. After a fork, a child begins with a pool of its own.

    Args:
        engine: An engine, before its first use; an asynchronous one needs asynchronous credentials.
        credentials: From `rotating_database_credentials` or `rotating_static_database_credentials` of a client.

    Returns:
        The same engine.

    Raises:
        TypeError: The one is for threads and the other for event loops.
    """
    if isinstance(engine, AsyncEngine) and isinstance(credentials, AsyncRotatingCredentials):
        _AsyncRotating(engine.sync_engine, credentials)
        _engines.add(engine.sync_engine)
    elif isinstance(engine, Engine) and isinstance(credentials, RotatingCredentials):
        _ThreadedRotating(engine, credentials)
        _engines.add(engine)
    else:
        msg = "an Engine needs RotatingCredentials, an AsyncEngine needs AsyncRotatingCredentials"
        raise TypeError(msg)
    return engine


class _Rotating:
    """What listens to an engine."""

    def __init__(
        self,
        engine: Engine,
        credentials: Union[RotatingCredentials, AsyncRotatingCredentials],
        follower: Union[_rotation.Follower, _rotation.AsyncFollower],
        kept: _rotation.Kept,
    ) -> None:
        self._credentials = credentials
        self._follower = follower
        self._kept = kept
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "checkout", self._check_out)
        event.listen(engine, "checkin", self._check_in)

    def _connect(
        self, dialect: Dialect, record: ConnectionPoolEntry, arguments: list[Any], options: dict[str, Any]
    ) -> DBAPIConnection:
        def attempt(rotation: Rotation) -> DBAPIConnection:
            login = {"user": rotation.username}
            connection = dialect.connect(*arguments, **{**options, **login}, password=rotation.password)
            record.info[_GENERATION] = rotation.generation
            return connection

        options.pop("password", None)
        self._follower.start()
        return _rotation.connect(self._kept, attempt)

    def _keeps(self, record: ConnectionPoolEntry) -> bool:
        return self._credentials.keeps(record.info.get(_GENERATION, 0))

    def _check_out(self, _connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if not self._keeps(record) and not _sweeping.get():
            # The pool opens another one in its place.
            msg = "made with credentials that end"
            raise DisconnectionError(msg)

    def _check_in(self, connection: object, record: ConnectionPoolEntry) -> None:
        if connection is not None and not self._keeps(record):
            record.invalidate()


class _ThreadedRotating(_Rotating):
    def __init__(self, engine: Engine, credentials: RotatingCredentials) -> None:
        super().__init__(engine, credentials, _rotation.Follower(credentials, engine, _sweep), credentials)


class _AsyncRotating(_Rotating):
    def __init__(self, engine: Engine, credentials: AsyncRotatingCredentials) -> None:
        follower = _rotation.AsyncFollower(credentials, engine, _sweep_async)
        super().__init__(engine, credentials, follower, _InGreenlet(credentials))


class _InGreenlet:
    """Waits as SQLAlchemy's drivers for event loops do."""

    def __init__(self, credentials: AsyncRotatingCredentials) -> None:
        self._credentials = credentials

    def usable(self) -> Rotation:
        return await_only(self._credentials.usable())

    def newer_than(self, generation: int) -> Rotation:
        return await_only(self._credentials.newer_than(generation))


async def _sweep_async(engine: Engine, rotation: Rotation) -> bool:
    return await greenlet_spawn(_sweep, engine, rotation)


def _sweep(engine: Engine, rotation: Rotation) -> bool:
    """Close the idle connections that may not stay."""
    pool: Pool = engine.pool
    if not isinstance(pool, QueuePool):
        return True  # it keeps no idle ones
    token = _sweeping.set(True)
    held: list[PoolProxiedConnection] = []
    try:
        held.extend(pool.connect() for _ in range(pool.checkedin()))
    except PoolTimeoutError:
        pass  # all are in use now, and looked at when they come back
    finally:
        try:
            for connection in held:
                if rotation.keeps(connection.info.get(_GENERATION, 0)):
                    connection.close()
                else:
                    connection.invalidate()
        finally:
            _sweeping.reset(token)
            if engine.pool is not pool:
                # Disposed of meanwhile: what has come back to the old pool would stay open.
                pool.dispose()
    return True


def _begin_anew_in_child() -> None:
    for engine in list(_engines):
        # The connections are the parent's: they are let go of, not closed.
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_begin_anew_in_child)
