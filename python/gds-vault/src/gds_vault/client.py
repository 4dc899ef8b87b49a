"""The client for threads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from gds_vault._core import ClientCore
from gds_vault._flight import ThreadFlights
from gds_vault._session import Token, is_invalid_token, renewal_error
from gds_vault.auth import usable_until
from gds_vault.base import ResourceManager, SecretProvider
from gds_vault.exceptions import VaultConnectionError, VaultError, VaultPermissionError

if TYPE_CHECKING:
    from gds_vault._native import Answer
    from gds_vault._values import Kept

T = TypeVar("T")

__all__ = ["VaultClient", "get_secret_from_vault"]


class VaultClient(ClientCore, SecretProvider, ResourceManager):
    """Reads secrets from Vault: cached, retried, logged in when needed. Safe to share among threads, and to fork.

    Unset values come from ``VAULT_ADDR``, ``VAULT_SSL_CERT``, ``VAULT_MOUNT_POINT`` and ``VAULT_NAMESPACE``. Without
    ``auth`` it logs in by AppRole with ``VAULT_ROLE_ID`` and ``VAULT_SECRET_ID``.
    """

    def _prepare(self) -> None:
        self._flights = ThreadFlights()
        self._logins = ThreadFlights()

    def get_secret(self, path: str, use_cache: bool = True, version: int | None = None) -> dict[str, Any]:
        """Read a secret: for KV v2 the fields of a version (the newest unless told), for anything else its data.

        The dict is the caller's own. If Vault is unavailable, a value that has expired is returned if there is one
        and the cache still allows it. With ``use_cache=False`` the cache is neither asked nor filled.
        """
        key = self._key(path, version)
        if not use_cache:
            return self._fetch(key, path, version, self._timeout).data()
        kept = self._lookup(key)
        if kept is not None:
            return kept.take()
        return self._flights.run(key, lambda: self._read_and_keep(key, path, version)).data()

    def list_secrets(self, path: str) -> list[str]:
        """List the names directly under a path; those of folders end in a slash."""
        full_path = self._full_path(path)

        def attempt() -> list[str]:
            return self._with_session(lambda token: token.session.list(full_path, self._timeout).wait())

        return self._retry.execute(attempt)

    def authenticate(self) -> bool:
        """Log in now. Returns ``True``, or raises ``VaultAuthError``."""
        self._retry.execute(self._log_in)
        return True

    def renew_token(self) -> bool:
        """Renew the token. Returns ``True``, or raises ``VaultAuthError``."""
        token = self._ensure_token()
        try:
            renewed = token.session.renew(self._timeout).wait()
        except VaultError as error:
            raise renewal_error(error) from error
        token.usable_until = usable_until(renewed.lease_duration)
        return True

    def initialize(self) -> None:
        """Log in, unless that was done."""
        self._ensure_token()
        self._initialized = True

    def cleanup(self) -> None:
        """Drop the token and the cache, close the connections. A later read starts anew."""
        self._forget_session()

    def close(self) -> None:
        """Do the same as ``cleanup()``."""
        self.cleanup()

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read_and_keep(self, key: str, path: str, version: int | None) -> Answer | Kept:
        kept = self._lookup_again(key)
        if kept is not None:
            return kept
        stale = self._stale(key)
        if stale is not None and self._holds_off():
            return self._serve_stale(key, stale)
        try:
            answer = self._fetch(key, path, version, self._patience(stale), once=stale is not None)
        except VaultConnectionError:
            if stale is None:
                raise
            return self._serve_stale(key, stale)
        self._keep(key, answer)
        return answer

    def _fetch(self, key: str, path: str, version: int | None, timeout: float, *, once: bool = False) -> Answer:
        started = time.monotonic()
        full_path = self._full_path(path)

        def attempt() -> Answer:
            return self._with_session(lambda token: token.session.read(full_path, version, timeout).wait())

        try:
            answer = attempt() if once else self._retry.execute(attempt)
        except VaultError as error:
            self._failed(key, error)
            raise
        self._fetched(key, started)
        return answer

    def _with_session(self, work: Callable[[Token], T]) -> T:
        """Do something with a token; once more with another if Vault says that this one is bad."""
        token = self._ensure_token()
        try:
            return work(token)
        except VaultPermissionError as error:
            if not is_invalid_token(error):
                raise
        return work(self._replace_token(token))

    # -- logging in ---------------------------------------------------------------------------------------------------

    def _ensure_token(self) -> Token:
        token = self._token
        return token if token is not None and token.is_usable else self._log_in()

    def _replace_token(self, bad: Token) -> Token:
        # Another thread may have done so already.
        token = self._token
        return self._log_in() if token is None or token is bad else token

    def _log_in(self) -> Token:
        """Log in, once for all who want it at the same time."""
        return self._logins.run("", self._log_in_now)

    def _log_in_now(self) -> Token:
        try:
            if self._sends_login_itself():
                return self._logged_in(self._token_from(self._login_call().wait()))
            return self._logged_in(self._log_in_by_user_strategy())
        except Exception as error:
            raise self._login_failed(error) from error


def get_secret_from_vault(
    secret_path: str, vault_addr: str | None = None, mount_point: str | None = None
) -> dict[str, Any]:
    """Read one secret, logging in by AppRole from the environment. For more than one, make a ``VaultClient``."""
    with VaultClient(vault_addr, mount_point=mount_point) as client:
        return client.get_secret(secret_path)
