"""A client for HashiCorp Vault and OpenBao: cached, retried, typed, for threads and event loops, on a Rust core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gds_vault.auth import (
    AppRoleAuth,
    CertAuth,
    EnvironmentAuth,
    JwtAuth,
    KubernetesAuth,
    TokenAuth,
    UserpassAuth,
)
from gds_vault.base import AuthStrategy, Configurable, ResourceManager, SecretProvider
from gds_vault.cache import NoOpCache, RotationAwareCache, SecretCache, TTLCache
from gds_vault.client import VaultClient, get_secret_from_vault
from gds_vault.exceptions import (
    VaultAuthError,
    VaultAuthUnavailableError,
    VaultCacheError,
    VaultConfigurationError,
    VaultConnectionError,
    VaultError,
    VaultPermissionError,
    VaultSecretNotFoundError,
)
from gds_vault.retry import RetryPolicy, retry_with_backoff
from gds_vault.transport import VaultTransport

if TYPE_CHECKING:
    from gds_vault.async_client import AsyncVaultClient

__version__ = "0.3.0+secrets.service"

__all__ = [
    "AppRoleAuth",
    "AsyncVaultClient",
    "AuthStrategy",
    "CertAuth",
    "Configurable",
    "EnvironmentAuth",
    "JwtAuth",
    "KubernetesAuth",
    "NoOpCache",
    "ResourceManager",
    "RetryPolicy",
    "RotationAwareCache",
    "SecretCache",
    "SecretProvider",
    "TTLCache",
    "TokenAuth",
    "UserpassAuth",
    "VaultAuthError",
    "VaultAuthUnavailableError",
    "VaultCacheError",
    "VaultClient",
    "VaultConfigurationError",
    "VaultConnectionError",
    "VaultError",
    "VaultPermissionError",
    "VaultSecretNotFoundError",
    "VaultTransport",
    "get_secret_from_vault",
    "retry_with_backoff",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load the client for event loops when it is asked for: ``asyncio`` takes longer than all the rest."""
    if name == "AsyncVaultClient":
        from gds_vault.async_client import AsyncVaultClient  # noqa: PLC0415

        return AsyncVaultClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
