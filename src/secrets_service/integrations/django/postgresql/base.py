"""The database backend: Django's own for PostgreSQL, with credentials that rotate."""

# Django has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportInvalidTypeArguments=false

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base

from secrets_service.integrations import _rotation
from secrets_service.integrations.django import credentials_for

if TYPE_CHECKING:
    from secrets_service.vault_client import RotatingCredentials, Rotation

__all__ = ["DatabaseWrapper"]


class DatabaseWrapper(base.DatabaseWrapper):  # type: ignore[misc] # Django has no types
    """A connection of one thread. It stays as long as its credentials do, and no longer than `CONN_MAX_AGE`."""

    connection: Any
    in_atomic_block: bool
    _generation: Optional[int] = None
    _process: Optional[int] = None

    @property
    def _credentials(self) -> RotatingCredentials:
        return credentials_for(self.settings_dict["OPTIONS"].get("vault") or {})

    def get_connection_params(self) -> dict[str, Any]:
        """Return what to connect with, but for user and password: those are taken when a connection is made."""
        params: dict[str, Any] = super().get_connection_params()
        params.pop("vault", None)
        if self.settings_dict["OPTIONS"].get("pool"):
            msg = "OPTIONS: pool and vault do not go together; CONN_MAX_AGE keeps a connection for each thread"
            raise ImproperlyConfigured(msg)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:  # noqa: ANN401
        """Connect with the newest credentials; if the database refuses them, with newer ones."""
        begin = super().get_new_connection

        def attempt(rotation: Rotation) -> Any:  # noqa: ANN401
            connection = begin({**conn_params, "user": rotation.username, "password": rotation.password})
            self._generation, self._process = rotation.generation, os.getpid()
            return connection

        return _rotation.connect(self._credentials, attempt)

    def close_if_unusable_or_obsolete(self) -> None:
        """Close a connection whose credentials end, besides what Django closes. Called around each request."""
        if self.connection is not None and not self.in_atomic_block:
            if self._process != os.getpid():
                self.connection = None  # the parent's: it is let go of, not closed
            elif not self._credentials.keeps(self._generation or 0):
                self.close()
        super().close_if_unusable_or_obsolete()

    def ensure_connection(self) -> None:
        """Connect if there is no connection, or only one that a fork has left."""
        if self.connection is not None and self._process != os.getpid():
            self.connection = None
            self.in_atomic_block = False
        super().ensure_connection()
