"""What an application asks for, in its own words: database access and API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from . import _native
from ._await import ClosedAtTheEnd
from .config import ServiceConfig, VaultConfig
from .vault_client import AsyncResilientVaultClient, ResilientVaultClient

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncSecretsService", "SecretsService"]


class SecretsService(_native.SecretsService):
    """Database access and API keys from Vault.

    Without arguments it is set up by environment variables (`.env.example` lists them); if some are wrong, one
    `VaultConfigurationError` tells all. Vault is not spoken to before something is asked for.
    """

    def __new__(cls, vault: Optional[ResilientVaultClient] = None, config: Optional[ServiceConfig] = None) -> Self:
        """Make a service on a client of your own, or on one that the environment describes."""
        if vault is None and config is None:
            _native.check_environment()
        return super().__new__(
            cls,
            vault or ResilientVaultClient(VaultConfig.from_environment()),
            config or ServiceConfig.from_environment(),
        )


class AsyncSecretsService(_native.AsyncSecretsService, ClosedAtTheEnd):
    """Database access and API keys from Vault, for `asyncio`. As `SecretsService`, with coroutines."""

    def __new__(cls, vault: Optional[AsyncResilientVaultClient] = None, config: Optional[ServiceConfig] = None) -> Self:
        """Make a service on a client of your own, or on one that the environment describes."""
        if vault is None and config is None:
            _native.check_environment()
        return super().__new__(
            cls,
            vault or AsyncResilientVaultClient(VaultConfig.from_environment()),
            config or ServiceConfig.from_environment(),
        )
