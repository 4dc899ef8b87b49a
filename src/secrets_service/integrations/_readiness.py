"""Whether an application's secrets are there: what its readiness endpoint tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gds_vault.exceptions import VaultError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secrets_service.vault_client import AsyncResilientVaultClient, LeaseStatus, ResilientVaultClient, SecretRead


@dataclass
class Readiness:
    """The state of each secret, and what follows from all of them; never a value.

    Attributes:
        secrets: By path: "state" (fresh, stale, or what is wrong), and "reason" unless all is well.
        leases: By path: "ends_in_seconds", and "reason" when renewing fails.
    """

    secrets: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    leases: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    @property
    def status(self) -> str:
        """Say "ready", "degraded" (working on what there is, while Vault is unavailable) or "not ready"."""
        if any("error" in secret for secret in self.secrets.values()):
            return "not ready"
        if any(lease["ends_in_seconds"] == 0 and "reason" in lease for lease in self.leases.values()):
            return "not ready"
        if any("reason" in told for told in [*self.secrets.values(), *self.leases.values()]):
            return "degraded"
        return "ready"

    @property
    def http_status(self) -> int:
        """200, or 503 when not ready. Degraded is 200: restarting or avoiding the application would not help."""
        return 503 if self.status == "not ready" else 200

    def as_dict(self) -> dict[str, Any]:
        """Return it as the body of an answer."""
        return {"status": self.status, "secrets": self.secrets, "leases": self.leases}

    def has_read(self, path: str, read: SecretRead) -> None:
        """Take in a secret that is there."""
        told: dict[str, Any] = {"state": "stale" if read.is_stale else "fresh", "age_seconds": round(read.age_seconds)}
        if read.is_stale:
            told["reason"] = read.stale_reason
        self.secrets[path] = told

    def has_failed(self, path: str, error: VaultError) -> None:
        """Take in a secret that is not there."""
        self.secrets[path] = {"state": error.kind, "error": True, "reason": str(error)}

    def has_leases(self, leases: Iterable[LeaseStatus]) -> None:
        """Take in the leases that are kept alive."""
        for lease in leases:
            told: dict[str, Any] = {"ends_in_seconds": round(lease.ends_in_seconds)}
            if lease.last_error is not None:
                told["reason"] = lease.last_error
            self.leases[lease.path] = told


def check(vault: ResilientVaultClient, paths: Iterable[str]) -> Readiness:
    """Read these secrets (from the cache while fresh) and look at the leases."""
    readiness = Readiness()
    for path in paths:
        try:
            readiness.has_read(path, vault.read_secret(path))
        except VaultError as error:
            readiness.has_failed(path, error)
    readiness.has_leases(vault.leases())
    return readiness


async def check_async(vault: AsyncResilientVaultClient, paths: Iterable[str]) -> Readiness:
    """As `check`, for event loops."""
    readiness = Readiness()
    for path in paths:
        try:
            readiness.has_read(path, await vault.read_secret(path))
        except VaultError as error:
            readiness.has_failed(path, error)
    readiness.has_leases(vault.leases())
    return readiness
