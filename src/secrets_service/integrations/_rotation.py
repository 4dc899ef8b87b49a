"""What every pool does with credentials that change, once for all of them.

1. A new connection is made with the newest credentials; if the database refuses them (a static role's password has just
   changed, or someone revoked the lease), again with newer ones.
2. A connection knows its generation. One that may not stay is not handed out again; nothing in use is cut off.
3. At a rotation the idle ones are retired, and once more shortly before the old lease ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Callable, Final, Protocol, TypeVar

from gds_vault.exceptions import VaultError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from secrets_service.vault_client import AsyncRotatingCredentials, RotatingCredentials, Rotation

T = TypeVar("T")
Owner = TypeVar("Owner")

logger = logging.getLogger("secrets_service.integrations")

# What PostgreSQL calls a login with credentials that do not work (its documentation, "PostgreSQL Error Codes"):
# invalid_password, also of a user who is not there, and invalid_authorization_specification.
_REFUSED_LOGIN: Final = frozenset({"28P01", "28000"})

# libpq tells no code for a failed login, only what the server said.
_REFUSED_IN_WORDS: Final = ("password authentication failed", "is not permitted to log in")

# So many credentials are tried for one connection, each newer than the one that was refused. The second nearly always
# succeeds. Every further one stands for a password that was changed once more between Vault's answer and the end of
# the login: Vault does that every five seconds at the most (`rotation_period`), an operator at any moment, and on an
# overloaded machine a login takes its time. Five: far more than has been needed; yet more would only hide that
# something else changes the password all the time.
_MOST_TRIED: Final = 5

# A follower looks so often whether its pool is still there.
_LOOK_SECONDS: Final = 5.0


class Kept(Protocol):
    """Credentials that can be waited for: in a thread, or in a greenlet of an event loop."""

    def usable(self) -> Rotation:
        """Return the newest ones that work."""
        raise NotImplementedError

    def newer_than(self, generation: int) -> Rotation:
        """Return newer ones than those that the database refused."""
        raise NotImplementedError


def refused(error: BaseException) -> bool:
    """Tell whether the database did not accept the user name or password."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is not None:
        return state in _REFUSED_LOGIN
    text = str(error)
    if any(words in text for words in _REFUSED_IN_WORDS) or ('role "' in text and "does not exist" in text):
        return True
    # A server that speaks another language: it asked for the password, and then hung up.
    asked = getattr(getattr(error, "pgconn", None), "used_password", False)
    return bool(asked) and "FATAL:" not in text


def connect(credentials: Kept, attempt: Callable[[Rotation], T]) -> T:
    """Connect with the newest credentials; if the database refuses them, with newer ones.

    Waits for those at most the client's read deadline. If there are none, the database's error says why it has no
    connection, and Vault's error is its cause.
    """
    rotation = credentials.usable()
    for _ in range(_MOST_TRIED - 1):
        try:
            return attempt(rotation)
        except Exception as error:
            if not refused(error):
                raise
            _log_refusal(rotation)
            try:
                rotation = credentials.newer_than(rotation.generation)
            except VaultError as none_newer:
                raise error from none_newer
    return attempt(rotation)


async def connect_async(credentials: AsyncRotatingCredentials, attempt: Callable[[Rotation], Awaitable[T]]) -> T:
    """As `connect`, for event loops."""
    rotation = await credentials.usable()
    for _ in range(_MOST_TRIED - 1):
        try:
            return await attempt(rotation)
        except Exception as error:
            if not refused(error):
                raise
            _log_refusal(rotation)
            try:
                rotation = await credentials.newer_than(rotation.generation)
            except VaultError as none_newer:
                raise error from none_newer
    return await attempt(rotation)


def _log_refusal(rotation: Rotation) -> None:
    logger.info("the database refuses the credentials of %s (generation %d)", rotation.username, rotation.generation)


class Made:
    """Which connections were made with which generation, for as long as they live."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._generations: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()

    def add(self, connection: object, rotation: Rotation) -> None:
        """Remember a connection."""
        with self._lock:
            self._generations[connection] = rotation.generation

    def keeps(self, connection: object, credentials: RotatingCredentials | AsyncRotatingCredentials) -> bool:
        """Tell whether a connection may stay."""
        with self._lock:
            return credentials.keeps(self._generations.get(connection, 0))

    def any_to_retire(self, rotation: Rotation, is_open: Callable[[object], bool]) -> bool:
        """Tell whether there is a connection that may not stay."""
        with self._lock:
            made = list(self._generations.items())
        return any(not rotation.keeps(generation) and is_open(connection) for connection, generation in made)


class _Calls:
    """When to retire connections: at each rotation, and shortly before the old lease ends."""

    def __init__(self, rotation: Rotation) -> None:
        self.rotation = rotation
        self._last_call: float | None = None

    def wait_seconds(self) -> float:
        if self._last_call is None:
            return _LOOK_SECONDS
        return min(_LOOK_SECONDS, max(0.0, self._last_call - time.monotonic()))

    def due(self, newer: Rotation | None) -> bool:
        if newer is not None:
            self.rotation = newer
            retire_in = newer.retire_in_seconds
            self._last_call = None if retire_in is None else time.monotonic() + retire_in
            return True
        if self._last_call is not None and time.monotonic() >= self._last_call:
            self._last_call = None
            return True
        return False


class Follower:
    """Has connections retired in time, in a thread of its own that ends with their owner (or in a forked child)."""

    def __init__(
        self, credentials: RotatingCredentials, owner: Owner, retire: Callable[[Owner, Rotation], bool]
    ) -> None:
        """Retire the connections of `owner` with `retire`, which returns whether to go on."""
        self._credentials = credentials
        self._owner = weakref.ref(owner)
        self._retire = retire
        self._process: int | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, unless it has begun in this process. A fork leaves threads behind."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
        thread = threading.Thread(
            target=_follow,
            args=(self._credentials, self._owner, self._retire),
            name="vault-rotation",
            daemon=True,
        )
        thread.start()


def _follow(
    credentials: RotatingCredentials, owner: weakref.ref[Owner], retire: Callable[[Owner, Rotation], bool]
) -> None:
    try:
        calls = _Calls(credentials.current())
        while owner() is not None:
            newer = credentials.changed(calls.wait_seconds(), since=calls.rotation.generation)
            if calls.due(newer) and not _retired(owner, retire, calls.rotation):
                return
    except VaultError as error:
        logger.info("rotations of %s are no longer followed: %s", credentials.path, error)


def _retired(owner: weakref.ref[Owner], retire: Callable[[Owner, Rotation], bool], rotation: Rotation) -> bool:
    alive = owner()
    if alive is None:
        return False
    try:
        return retire(alive, rotation)
    except Exception:
        logger.warning("connections could not be retired", exc_info=True)
        return True


async def follow_async(
    credentials: AsyncRotatingCredentials,
    owner: weakref.ref[Owner],
    retire: Callable[[Owner, Rotation], Awaitable[bool]],
) -> None:
    """As `Follower`, in a task of the running event loop."""
    try:
        calls = _Calls(credentials.current())
        while owner() is not None:
            newer = await credentials.changed(calls.wait_seconds(), since=calls.rotation.generation)
            if calls.due(newer) and not await _retired_async(owner, retire, calls.rotation):
                return
    except VaultError as error:
        logger.info("rotations of %s are no longer followed: %s", credentials.path, error)


async def _retired_async(
    owner: weakref.ref[Owner], retire: Callable[[Owner, Rotation], Awaitable[bool]], rotation: Rotation
) -> bool:
    alive = owner()
    if alive is None:
        return False
    try:
        return await retire(alive, rotation)
    except Exception:
        logger.warning("connections could not be retired", exc_info=True)
        return True


class AsyncFollower:
    """Has connections retired in time, in a task of the event loop that they live in."""

    def __init__(
        self,
        credentials: AsyncRotatingCredentials,
        owner: Owner,
        retire: Callable[[Owner, Rotation], Awaitable[bool]],
    ) -> None:
        """Retire the connections of `owner` with `retire`, which returns whether to go on."""
        self._task: asyncio.Task[None] | None = None
        reference = weakref.ref(owner, self._end)
        self._begin: Callable[[], Coroutine[None, None, None]] = lambda: follow_async(credentials, reference, retire)

    def start(self) -> None:
        """Begin, unless it has begun in this event loop."""
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._begin(), name="vault-rotation")

    def _end(self, _owner: object) -> None:
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
