"""What the two clients share: everything but the waiting."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from gds_vault._configured import ConfiguredClient
from gds_vault._native import Hidden, hidden_token
from gds_vault._session import Token, as_auth_error, lifetime_of
from gds_vault._values import Kept
from gds_vault.auth import EnvironmentAuth, LoginStrategy, TokenAuth, usable_until
from gds_vault.cache import StaleCache
from gds_vault.exceptions import (
    VaultAuthError,
    VaultConnectionError,
    VaultError,
    VaultPermissionError,
    VaultSecretNotFoundError,
)
from gds_vault.rotation import parse_vault_rotation_metadata

if TYPE_CHECKING:
    from gds_vault._native import Answer, Call, Login

log = logging.getLogger("gds_vault")

#: How long a read may take when there is an older value to fall back on: a frozen Vault must not freeze the caller.
_PATIENCE_WITH_STALE = 2.0

#: After Vault was found unavailable, older values are served for so long without asking again.
_HOLD_OFF = 5.0


class ClientCore(ConfiguredClient):
    """Session, cache and bookkeeping of a client."""

    def _key(self, path: str, version: int | None) -> str:
        return self._full_path(path) if version is None else f"{self._full_path(path)}:v{version}"

    def _lookup(self, key: str) -> Kept | None:
        """Look into the cache, and count it."""
        kept = Kept.of(self._cache.get(key), is_copy=self._cache_copies)
        if kept is not None:
            self._metrics.increment("vault.secret.hit")
        return kept

    def _lookup_again(self, key: str) -> Kept | None:
        """Look whether another caller has filled the cache meanwhile, without counting a second miss."""
        return self._lookup(key) if key in self._cache else None

    def _keep(self, key: str, answer: Answer) -> None:
        """Put an answer into the cache, no longer than its lease."""
        self._unavailable_until = 0.0
        self._told_stale.discard(key)
        extra: dict[str, Any] = {}
        lifetime = lifetime_of(answer)
        if lifetime is not None:
            if "ttl" not in self._cache_takes:
                return
            extra["ttl"] = self._lease_ttl(lifetime)
            if "expires" in self._cache_takes:
                # The password of a static role may well be good for longer; that of a lease is not.
                extra["expires"] = answer.lease_duration is not None
        if "rotation_metadata" in self._cache_takes:
            extra["rotation_metadata"] = parse_vault_rotation_metadata({"metadata": answer.metadata()})
        self._cache.set(key, answer.data(), **extra)

    def _lease_ttl(self, lifetime: float) -> float:
        """Return how long a leased secret is kept: a tenth less than it is good for, and never over the usual time."""
        usual = getattr(self._cache, "default_ttl", None) or getattr(self._cache, "fallback_ttl", None)
        usable = lifetime * 0.9
        return min(usable, usual) if isinstance(usual, (int, float)) else usable

    def _stale(self, key: str) -> tuple[Kept, float] | None:
        """Look for something older, in case Vault is unavailable."""
        if not isinstance(self._cache, StaleCache):
            return None
        return Kept.with_age(self._cache.get_stale(key))

    def _holds_off(self) -> bool:
        """Tell whether Vault was found unavailable a moment ago."""
        return time.monotonic() < self._unavailable_until

    def _patience(self, stale: object) -> float:
        return self._timeout if stale is None else min(self._timeout, _PATIENCE_WITH_STALE)

    def _sends_login_itself(self) -> bool:
        """Tell whether the strategy's login is one of ours, to be sent over the client's connections."""
        return type(self._auth).authenticate is LoginStrategy.authenticate

    def _serve_stale(self, key: str, stale: tuple[Kept, float]) -> Kept:
        """Say once per outage that this is not what Vault has now."""
        kept, age = stale
        self._metrics.increment("vault.secret.stale")
        if key not in self._told_stale:
            self._told_stale.add(key)
            log.warning("Vault is unavailable: %s is served from the cache, %.0f s old", key, age)
        return kept

    def _failed(self, key: str, error: VaultError) -> None:
        """Count an error, and draw the conclusions."""
        self._metrics.increment("vault.secret.error", {"error": error.kind or type(error).__name__})
        log.debug("reading %s failed: %s", key, error)
        if isinstance(error, VaultConnectionError):
            self._unavailable_until = time.monotonic() + _HOLD_OFF
        elif isinstance(error, (VaultSecretNotFoundError, VaultPermissionError)):
            # What is gone or forbidden must not come back in the next outage.
            self._cache.remove(key)

    def _fetched(self, key: str, started: float) -> None:
        self._metrics.increment("vault.secret.fetch")
        self._metrics.timing("vault.secret.fetch", time.monotonic() - started)
        log.debug("read %s", key)

    def _logged_in(self, token: Token) -> Token:
        self._token = token
        self._metrics.increment("vault.auth.success")
        log.debug("logged in to %s with %s", self._vault_addr, type(self._auth).__name__)
        return token

    def _login_failed(self, error: Exception) -> VaultAuthError:
        """Say it as a ``VaultAuthError``, whatever a strategy raised."""
        self._token = None
        self._metrics.increment("vault.auth.failure")
        if not isinstance(error, VaultAuthError):
            error = as_auth_error(error)
        log.debug("login failed: %s", error)
        return error

    def _asks_nobody(self) -> bool:
        """Tell whether the strategy only returns a token that is there."""
        return type(self._auth).authenticate in {TokenAuth.authenticate, EnvironmentAuth.authenticate}

    def _login_call(self) -> Call[Login]:
        strategy = self._auth
        if not isinstance(strategy, LoginStrategy):
            raise VaultAuthError("this strategy logs in by itself")
        return self._transport.login(strategy.login_method(), strategy.namespace, self._timeout)

    def _token_from(self, login: Login) -> Token:
        return Token(self._transport.session(login.token), usable_until(login.lease_duration))

    def _log_in_by_user_strategy(self) -> Token:
        """Log in with a strategy that is not ours; blocks. The token is hidden at once."""
        return self._token_of(hidden_token(self._ask_user_strategy()))

    def _ask_user_strategy(self) -> Any:  # noqa: ANN401 - whatever it returns; a coroutine, perhaps
        return self._auth.authenticate(self._vault_addr, self._timeout, self._verify_ssl, self._ssl_cert_path)

    def _token_of(self, hidden: tuple[Hidden, float]) -> Token:
        return Token(self._transport.session(hidden[0]), hidden[1])

    def _forget_session(self) -> None:
        self._token = None
        self._initialized = False
        self._cache.clear()
        self._transport.close()
