"""Secrets from HashiCorp Vault that keep working when Vault does not.

Start with `SecretsService` (database access and API keys, set up by environment variables) or
`ResilientVaultClient` (any secret). For event loops there are `AsyncSecretsService` and
`AsyncResilientVaultClient`. What can go wrong is in `gds_vault.exceptions`.

Operations are logged under the logger ``secrets_service``, without a secret in them.
"""

from __future__ import annotations

from .cache import SecretCache
from .config import ServiceConfig, VaultConfig
from .retry import retry_with_backoff
from .service import AsyncSecretsService, SecretsService
from .vault_client import (
    AsyncResilientVaultClient,
    AsyncRotatingCredentials,
    LeaseStatus,
    ResilientVaultClient,
    RotatingCredentials,
    Rotation,
    SecretRead,
)

__all__ = [
    "AsyncResilientVaultClient",
    "AsyncRotatingCredentials",
    "AsyncSecretsService",
    "LeaseStatus",
    "ResilientVaultClient",
    "RotatingCredentials",
    "Rotation",
    "SecretCache",
    "SecretRead",
    "SecretsService",
    "ServiceConfig",
    "VaultConfig",
    "retry_with_backoff",
]

__version__ = "0.1.0"
