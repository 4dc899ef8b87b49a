"""A session: a token with its end, and what can go wrong in getting one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gds_vault.exceptions import VaultAuthError, VaultAuthUnavailableError, VaultConnectionError, VaultError

if TYPE_CHECKING:
    from gds_vault._native import Answer, Session


class Token:
    """A token with the time from which on it is not used; does not show itself."""

    __slots__ = ("session", "usable_until")

    def __init__(self, session: Session, usable_until: float) -> None:
        self.session = session
        self.usable_until = usable_until

    @property
    def is_usable(self) -> bool:
        """Whether it can still be used."""
        return time.time() < self.usable_until


def is_invalid_token(error: VaultError) -> bool:
    """Tell whether another login can help: Vault says that the token itself is bad."""
    return error.kind == "invalid_token"


def renewal_error(error: VaultError) -> VaultAuthError:
    """Say a failed renewal as a ``VaultAuthError``."""
    return as_auth_error(error, "the token could not be renewed")


def as_auth_error(error: Exception, what: str = "login failed") -> VaultAuthError:
    if isinstance(error, VaultError):
        unavailable = isinstance(error, VaultConnectionError)
        return (VaultAuthUnavailableError if unavailable else VaultAuthError)(
            f"{what}: {error}", path=error.path, status=error.status, retry_after=error.retry_after, kind=error.kind
        )
    if isinstance(error, OSError):
        return VaultAuthUnavailableError(f"{what}: {type(error).__name__}")
    # Its text is not ours, and may hold anything.
    return VaultAuthError(f"{what}: the auth strategy raised {type(error).__name__}")


def lifetime_of(answer: Answer) -> float | None:
    """Return for how many seconds a secret is good, if it ends: that of a lease, or of a static role's password."""
    if answer.lease_duration is not None:
        return answer.lease_duration
    return answer.ttl_of_static_role
