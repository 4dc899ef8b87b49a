"""Settings: from environment variables (12-factor; Vault's own names first) or built in code."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Optional

from . import _native

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ServiceConfig", "VaultConfig"]

_SECRETS: Final = frozenset({"token", "role_id", "secret_id", "wrapped_secret_id", "password", "jwt", "cache_key"})
_USERINFO: Final = re.compile("//[^/@]*@")


@dataclass(repr=False)
class VaultConfig:
    """Vault connection configuration.

    Nothing is checked here: `validate` does, and so do the clients that are made of it. Then one
    `VaultConfigurationError` tells every problem by the name of the field (or variable), never its value.

    Attributes:
        addr: Where Vault is, such as "https://vault.example.com:8200"; several, separated by commas, are tried in turn.
        auth_method: "token", "approle", "userpass", "kubernetes", "jwt" or "cert".
        token: For "token".
        role_id: For "approle".
        secret_id: For "approle".
        namespace: The namespace of every request (Vault Enterprise, OpenBao).
        cache_ttl_seconds: How long a static secret is fresh.
        retry_max_attempts: Requests for one operation at most, the first included.
        cache_max_stale_seconds: How long after its fetch a static secret may stand in while Vault is unavailable;
            0: never.
        cache_capacity: How many secrets are kept.
        mount_point: Where a path that names no mount is looked for.
        database_mount: Where the database engine is.
        client_timeout_seconds: How long one request may take.
        read_deadline_seconds: The longest that a read takes when there is nothing to fall back on.
        stale_deadline_seconds: The longest that a read takes when there is an older value to fall back on.
        ca_cert: A file with the certificates of the authority to trust.
        ca_path: A folder with such files.
        client_cert: A file with the certificate to present to Vault.
        client_key: A file with its key.
        tls_server_name: The name that Vault's certificate must have, if not the address's.
        skip_verify: Trust any certificate. For development only.
        auth_mount: Where the auth method is mounted, if not under its own name.
        auth_role: For "kubernetes", "jwt" and "cert".
        username: For "userpass".
        password: For "userpass".
        jwt: For "jwt".
        wrapped_secret_id: For "approle", in place of secret_id: a wrapping token around it.
        token_file: A file that holds the token; read anew at each login, as are the files below.
        role_id_file: A file that holds the role_id.
        secret_id_file: A file that holds the secret_id.
        wrapped_secret_id_file: A file that holds the wrapping token.
        password_file: A file that holds the password.
        jwt_file: A file that holds the JWT.
        secret_id_rotate: Replace the secret_id in its file by a new one when two thirds of its life have passed.
        cache_file: An encrypted copy of the cache on disk, for a start while Vault is away. One file for one process:
            a forked child, or whoever else wants it too, runs without.
        cache_key: Where its key comes from: "systemd", "keyring" or "secret_id" (`.env.example` says more).
        cache_key_file: A file that holds its key, 32 random bytes, and that nobody else may read.
    """

    addr: str
    auth_method: str  # "token" or "approle"
    token: Optional[str] = None
    role_id: Optional[str] = None
    secret_id: Optional[str] = None
    namespace: Optional[str] = None
    cache_ttl_seconds: int = 300
    retry_max_attempts: int = 3
    cache_max_stale_seconds: int = 86_400
    cache_capacity: int = 10_000
    mount_point: Optional[str] = "secret"
    database_mount: str = "database"
    client_timeout_seconds: float = 10.0
    read_deadline_seconds: float = 10.0
    stale_deadline_seconds: float = 2.0
    ca_cert: Optional[str] = None
    ca_path: Optional[str] = None
    client_cert: Optional[str] = None
    client_key: Optional[str] = None
    tls_server_name: Optional[str] = None
    skip_verify: bool = False
    auth_mount: Optional[str] = None
    auth_role: Optional[str] = None
    username: Optional[str] = None
    password: Optional[str] = None
    jwt: Optional[str] = None
    wrapped_secret_id: Optional[str] = None
    token_file: Optional[str] = None
    role_id_file: Optional[str] = None
    secret_id_file: Optional[str] = None
    wrapped_secret_id_file: Optional[str] = None
    password_file: Optional[str] = None
    jwt_file: Optional[str] = None
    secret_id_rotate: bool = False
    cache_file: Optional[str] = None
    cache_key: Optional[str] = None
    cache_key_file: Optional[str] = None

    @classmethod
    def from_environment(cls) -> Self:
        """Load configuration from environment variables (`.env.example` lists them).

        Returns:
            The configuration, with the defaults for what is not set.

        Raises:
            VaultConfigurationError: Something is missing or wrong; the message tells everything that is.
        """
        return cls(**_native.vault_fields_from_environment())

    def validate(self) -> None:
        """Check every field, and that the auth method has what it needs.

        Raises:
            VaultConfigurationError: Something is missing or wrong; the message tells everything that is.
        """
        _native.check_vault_config(self)

    def __repr__(self) -> str:
        """Tell the settings; of secrets only whether they are set."""
        shown = (
            f"{field.name}={_shown(field.name, getattr(self, field.name))}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        )
        return f"{type(self).__name__}({', '.join(shown)})"


def _shown(name: str, value: object) -> str:
    if name in _SECRETS:
        return "[redacted]"
    # An address has no business holding a password. Should it, `validate` says so, and this does not repeat it.
    return _USERINFO.sub("//[redacted]@", repr(value))


@dataclass
class ServiceConfig:
    """Which secrets a service uses.

    Attributes:
        db_role: The database role whose credentials go into the connection string.
        db_config_path: The secret that says where the database is: `db_host`, `db_name`...
        api_keys_path: The secret whose fields are API keys.
    """

    db_role: str = "myapp"
    db_config_path: str = "secret/myapp/config"
    api_keys_path: str = "secret/myapp/api-keys"

    @classmethod
    def from_environment(cls) -> Self:
        """Load configuration from environment variables (`SECRETS_...`).

        Returns:
            The configuration, with the defaults for what is not set.

        Raises:
            VaultConfigurationError: Something is wrong; the message tells everything that is.
        """
        return cls(**_native.service_fields_from_environment())
