"""What can go wrong, one class per thing that a caller would do differently.

Messages name paths, statuses and what to do; they never hold a token or a value.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "VaultAuthError",
    "VaultAuthUnavailableError",
    "VaultCacheError",
    "VaultConfigurationError",
    "VaultConnectionError",
    "VaultError",
    "VaultPermissionError",
    "VaultSecretNotFoundError",
]


class VaultError(Exception):
    """The parent of every error of this library.

    ``path`` is the path in Vault that was asked for, ``status`` the HTTP status that Vault answered with, if there
    was an answer, and ``retryable`` tells whether the same request may succeed a little later. ``retry_after`` is
    how many seconds Vault asks to wait before that. ``kind`` is one stable word for the failure, good for metrics:
    ``sealed``, ``timeout``, ``invalid_token``, …
    """

    _retryable_unless_told: ClassVar[bool] = False

    path: str | None
    status: int | None
    retryable: bool
    retry_after: float | None
    kind: str | None

    def __init__(
        self,
        message: str = "",
        *,
        path: str | None = None,
        status: int | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        kind: str | None = None,
    ) -> None:
        """Keep the facts beside the message. ``retryable`` follows from the class unless it is given."""
        super().__init__(message)
        self.path = path
        self.status = status
        self.retryable = self._retryable_unless_told if retryable is None else retryable
        self.retry_after = retry_after
        self.kind = kind


class VaultAuthError(VaultError):
    """Logging in failed, or there is nothing to log in with."""


class VaultConnectionError(VaultError):
    """Vault is unavailable: not reachable, too slow, sealed, overloaded or broken. Trying later may help."""

    _retryable_unless_told = True


class VaultAuthUnavailableError(VaultAuthError, VaultConnectionError):
    """Logging in failed because Vault is unavailable, not because it refused. Caught as either of its parents."""


class VaultSecretNotFoundError(VaultError):
    """There is nothing at this path (404)."""


class VaultPermissionError(VaultError):
    """The token may not do this (403)."""


class VaultConfigurationError(VaultError):
    """The client was set up with something that cannot work. Nothing was sent."""


class VaultCacheError(VaultError):
    """The cache could not do what it was asked to."""
