"""Settings as they are given: arguments, dicts, config objects, the environment."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from gds_vault._native import Hidden
from gds_vault.auth import AppRoleAuth, TokenAuth
from gds_vault.exceptions import VaultConfigurationError

if TYPE_CHECKING:
    from gds_vault.base import AuthStrategy
    from gds_vault.cache import Cache

#: Settings that are credentials: hidden at once, and never among those that can be asked for.
SECRET_SETTINGS = ("token", "role_id", "secret_id")


class Given:
    """What was given as one object: a dict of settings, or a config object with attributes. Secrets are taken out."""

    def __init__(self, source: object) -> None:
        self._values: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}
        if isinstance(source, Mapping):
            self._values = hide_settings(cast("Mapping[str, Any]", source))
            self.settings = {key: value for key, value in self._values.items() if key not in SECRET_SETTINGS}
        elif source is not None:
            names = ("addr", "vault_addr", "namespace", "mount_point", "auth_mount_path", *SECRET_SETTINGS)
            self._values = hide_settings({name: getattr(source, name, None) for name in names})

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        return value if isinstance(value, str) and value else None

    def secret(self, name: str) -> Hidden | None:
        value = self._values.get(name)
        return value if isinstance(value, Hidden) and value else None


def hide(secret: str | Hidden | None) -> Hidden | None:
    """Hide a text."""
    return None if secret is None else Hidden(secret)


def hide_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Copy settings, with the secrets hidden."""
    return {key: hide(value) if key in SECRET_SETTINGS else value for key, value in settings.items()}


def address_of(address: str | None) -> str:
    address = (address or "").strip().rstrip("/")
    if not address:
        raise VaultConfigurationError("no address of Vault: give vault_addr= or set VAULT_ADDR")
    if not address.startswith(("http://", "https://")):
        raise VaultConfigurationError("the address of Vault must start with http:// or https://")
    return address


def strategy_of(
    token: Hidden | None, role_id: Hidden | None, secret_id: Hidden | None, mount_path: str | None
) -> AuthStrategy:
    if token is not None:
        return TokenAuth(token)
    return AppRoleAuth(role_id, secret_id, mount_path=mount_path or "approle")


def parameters_of_set(cache: Cache) -> frozenset[str]:
    """Find out which of the optional parameters a cache's ``set`` takes."""
    optional = ("ttl", "rotation_metadata", "expires")
    try:
        parameters = inspect.signature(cache.set).parameters
    except (TypeError, ValueError):
        return frozenset()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return frozenset(optional)
    return frozenset(name for name in optional if name in parameters)
