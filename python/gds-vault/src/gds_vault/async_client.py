"""The client for event loops (asyncio)."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from gds_vault._core import ClientCore
from gds_vault._loop_flight import LoopFlights
from gds_vault._native import hidden_token
from gds_vault._session import Token, is_invalid_token, renewal_error
from gds_vault.auth import usable_until
from gds_vault.exceptions import VaultConnectionError, VaultError, VaultPermissionError
from gds_vault.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from typing_extensions import Self

    from gds_vault._native import Answer
    from gds_vault._values import Kept

T = TypeVar("T")

__all__ = ["AsyncVaultClient"]


class AsyncVaultClient(ClientCore):
    """``VaultClient`` with ``async`` and ``await``: the same arguments, the same meanings.

    The event loop is never blocked: requests run on native threads, and auth strategies of your own in the loop's
    executor (or are awaited, if their ``authenticate`` is a coroutine function). To be used by one loop at a time.
    """

    def _prepare(self) -> None:
        self._flights = LoopFlights()
        self._logins = LoopFlights()

    async def get_secret(self, path: str, use_cache: bool = True, version: int | None = None) -> dict[str, Any]:
        """Read a secret; see ``VaultClient.get_secret``."""
        key = self._key(path, version)
        if not use_cache:
            return (await self._fetch(key, path, version, self._timeout)).data()
        kept = self._lookup(key)
        if kept is not None:
            return kept.take()
        return (await self._flights.run(key, lambda: self._read_and_keep(key, path, version))).data()

    async def list_secrets(self, path: str) -> list[str]:
        """List the names directly under a path; those of folders end in a slash."""
        full_path = self._full_path(path)

        async def attempt() -> list[str]:
            return await self._with_session(lambda token: token.session.list(full_path, self._timeout))

        return await self._retried(attempt)

    async def authenticate(self) -> bool:
        """Log in now. Returns ``True``, or raises ``VaultAuthError``."""
        await self._retried(self._log_in)
        return True

    async def renew_token(self) -> bool:
        """Renew the token. Returns ``True``, or raises ``VaultAuthError``."""
        token = await self._ensure_token()
        try:
            renewed = await token.session.renew(self._timeout)
        except VaultError as error:
            raise renewal_error(error) from error
        token.usable_until = usable_until(renewed.lease_duration)
        return True

    async def initialize(self) -> None:
        """Log in, unless that was done."""
        await self._ensure_token()
        self._initialized = True

    async def cleanup(self) -> None:
        """Drop the token and the cache, close the connections. A later read starts anew."""
        self._forget_session()

    async def close(self) -> None:
        """Do the same as ``cleanup()``."""
        await self.cleanup()

    async def __aenter__(self) -> Self:
        """Log in."""
        await self.initialize()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of everything."""
        await self.cleanup()

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _read_and_keep(self, key: str, path: str, version: int | None) -> Answer | Kept:
        stale = self._stale(key)
        if stale is not None and self._holds_off():
            return self._serve_stale(key, stale)
        try:
            answer = await self._fetch(key, path, version, self._patience(stale), once=stale is not None)
        except VaultConnectionError:
            if stale is None:
                raise
            return self._serve_stale(key, stale)
        self._keep(key, answer)
        return answer

    async def _fetch(self, key: str, path: str, version: int | None, timeout: float, *, once: bool = False) -> Answer:
        started = time.monotonic()
        full_path = self._full_path(path)

        async def attempt() -> Answer:
            return await self._with_session(lambda token: token.session.read(full_path, version, timeout))

        try:
            answer = await (attempt() if once else self._retried(attempt))
        except VaultError as error:
            self._failed(key, error)
            raise
        self._fetched(key, started)
        return answer

    async def _with_session(self, work: Callable[[Token], Awaitable[T]]) -> T:
        """Do something with a token; once more with another if Vault says that this one is bad."""
        token = await self._ensure_token()
        try:
            return await work(token)
        except VaultPermissionError as error:
            if not is_invalid_token(error):
                raise
        return await work(await self._replace_token(token))

    async def _retried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Retry by the policy. One of the user's own that knows threads only runs in one."""
        policy = self._retry
        if getattr(type(policy), "execute", None) is RetryPolicy.execute:
            return await policy.execute_async(work)
        loop = asyncio.get_running_loop()

        def in_thread() -> T:
            return asyncio.run_coroutine_threadsafe(_as_coroutine(work), loop).result()

        return await loop.run_in_executor(None, functools.partial(policy.execute, in_thread))

    # -- logging in ---------------------------------------------------------------------------------------------------

    async def _ensure_token(self) -> Token:
        token = self._token
        return token if token is not None and token.is_usable else await self._log_in()

    async def _replace_token(self, bad: Token) -> Token:
        # Another task may have done so already.
        token = self._token
        return await self._log_in() if token is None or token is bad else token

    async def _log_in(self) -> Token:
        """Log in, once for all who want it at the same time."""
        return await self._logins.run("", self._log_in_now)

    async def _log_in_now(self) -> Token:
        try:
            if self._sends_login_itself():
                return self._logged_in(self._token_from(await self._login_call()))
            if self._asks_nobody():
                return self._logged_in(self._log_in_by_user_strategy())
            if inspect.iscoroutinefunction(self._auth.authenticate):
                return self._logged_in(self._token_of(hidden_token(await self._ask_user_strategy())))
            loop = asyncio.get_running_loop()
            return self._logged_in(await loop.run_in_executor(None, self._log_in_by_user_strategy))
        except Exception as error:
            raise self._login_failed(error) from error


async def _as_coroutine(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
