"""The client: reads that keep working when Vault does not.

All methods are native, so that no secret is ever a local variable of a Python frame of this package, where a
traceback that shows locals would print it.
"""

from __future__ import annotations

from . import _native
from ._await import ClosedAtTheEnd
from ._native import AsyncRotatingCredentials, LeaseStatus, RotatingCredentials, Rotation, SecretRead

__all__ = [
    "AsyncResilientVaultClient",
    "AsyncRotatingCredentials",
    "LeaseStatus",
    "ResilientVaultClient",
    "RotatingCredentials",
    "Rotation",
    "SecretRead",
]


class ResilientVaultClient(_native.ResilientVaultClient):
    """Production-ready Vault client with caching and retry.

    Reads are answered from the cache while fresh; else by one request for all who want the same secret, retried within
    a budget; else, Vault being unavailable, by the last known value, up to `cache_max_stale_seconds`. Safe to share
    between threads, and to use after a fork (a forked child logs in by itself). While it waits, other threads run and
    Ctrl-C works.

    Made of a `VaultConfig`, which is checked (`VaultConfigurationError`); Vault is not spoken to before the first read,
    so that a service can start while Vault is away.
    """


class AsyncResilientVaultClient(_native.AsyncResilientVaultClient, ClosedAtTheEnd):
    """Vault client with caching and retry, for `asyncio`.

    As `ResilientVaultClient`, and every method that may ask Vault returns a coroutine. A cached secret is returned
    without giving up the turn; the event loop is never blocked. Cancelling the coroutine gives up waiting.
    """

    async def rotating_database_credentials(self, role: str) -> AsyncRotatingCredentials:
        """Get credentials of a dynamic role that are renewed, and replaced before they end.

        Args:
            role: The role, `database/creds/ROLE`.

        Returns:
            A handle: the credentials are kept valid as long as it lives.
        """
        credentials = AsyncRotatingCredentials(self, role)
        await credentials.usable()
        return credentials

    async def rotating_static_database_credentials(self, role: str) -> AsyncRotatingCredentials:
        """Get credentials of a static role, read again as soon as Vault has changed the password.

        Args:
            role: The role, `database/static-creds/ROLE`.

        Returns:
            A handle: the credentials are kept current as long as it lives.
        """
        credentials = AsyncRotatingCredentials(self, role, fixed=True)
        await credentials.usable()
        return credentials
