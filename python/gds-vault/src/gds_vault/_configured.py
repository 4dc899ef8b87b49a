"""A client as its user has set it up, and as the object that the user sees: settings, properties, comparison."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from gds_vault._native import Hidden, VaultTransport
from gds_vault._settings import (
    SECRET_SETTINGS,
    Given,
    address_of,
    hide,
    hide_settings,
    parameters_of_set,
    strategy_of,
)
from gds_vault.base import AuthStrategy, Configurable
from gds_vault.cache import Cache, CopyingCache, TTLCache
from gds_vault.exceptions import VaultConfigurationError
from gds_vault.metrics import Metrics, SafeMetrics
from gds_vault.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from gds_vault._session import Token

log = logging.getLogger("gds_vault")


class ConfiguredClient(Configurable):
    """What can be said of a client before it speaks to Vault."""

    # So that a client whose constructor failed has a `repr`, for tracebacks.
    _vault_addr = ""
    _token: Token | None = None

    def __init__(
        self,
        vault_addr: str | object | None = None,
        auth: AuthStrategy | None = None,
        cache: Cache | None = None,
        retry_policy: RetryPolicy | None = None,
        timeout: float = 10,
        config: Mapping[str, Any] | object | None = None,
        verify_ssl: bool = True,
        ssl_cert_path: str | None = None,
        mount_point: str | None = None,
        namespace: str | None = None,
        transport: VaultTransport | None = None,
        metrics: Metrics | None = None,
        *,
        token: str | Hidden | None = None,
        role_id: str | Hidden | None = None,
        secret_id: str | Hidden | None = None,
        auth_mount_path: str | None = None,
    ) -> None:
        # Hidden before anything can fail: a traceback shows parameters.
        token, role_id, secret_id = hide(token), hide(role_id), hide(secret_id)
        given = Given(vault_addr if not isinstance(vault_addr, (str, type(None))) else config)
        config = None
        vault_addr = vault_addr if isinstance(vault_addr, str) else None
        if timeout <= 0:
            raise ValueError("timeout must be above 0")
        if transport is not None and not isinstance(transport, VaultTransport):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise VaultConfigurationError("transport must be a gds_vault.transport.VaultTransport")

        self._settings: dict[str, Any] = given.settings
        self._timeout = float(timeout if transport is None else transport.timeout)
        self._verify_ssl = verify_ssl
        self._ssl_cert_path = ssl_cert_path or os.environ.get("VAULT_SSL_CERT") or os.environ.get("VAULT_CACERT")
        self._namespace = namespace or given.text("namespace") or os.environ.get("VAULT_NAMESPACE") or None
        mount_point = mount_point or given.text("mount_point") or os.environ.get("VAULT_MOUNT_POINT")
        self._mount_point = (mount_point or "").strip("/") or None
        self._vault_addr = address_of(
            vault_addr
            or (transport.vault_addr if transport is not None else None)
            or given.text("addr")
            or given.text("vault_addr")
            or os.environ.get("VAULT_ADDR")
        )
        self._transport = transport or self._make_transport()
        self._auth = auth or strategy_of(
            token or given.secret("token"),
            role_id or given.secret("role_id"),
            secret_id or given.secret("secret_id"),
            auth_mount_path or given.text("auth_mount_path"),
        )
        self._cache: Cache = TTLCache() if cache is None else cache
        self._cache_copies = isinstance(self._cache, CopyingCache)
        self._cache_takes = parameters_of_set(self._cache)
        self._retry = RetryPolicy() if retry_policy is None else retry_policy
        self._metrics = SafeMetrics(metrics)
        self._initialized = False
        self._unavailable_until = 0.0
        self._told_stale: set[str] = set()
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Set up what differs between threads and event loops."""

    # -- constructors -------------------------------------------------------------------------------------------------

    @classmethod
    def from_environment(cls, **kw: Any) -> Self:  # noqa: ANN401 - what the constructor takes
        """Make a client from ``VAULT_…`` variables, with AppRole; keywords as for the constructor."""
        kw = hide_settings(kw)
        return cls(**kw)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a client from a dict.

        Keys: ``vault_addr``, ``timeout``, ``verify_ssl``, ``ssl_cert_path``, ``role_id``, ``secret_id``, ``token``,
        ``mount_point``, ``namespace``, ``max_retries``, ``initial_delay``, ``max_delay``, ``cache_ttl`` and
        ``cache_max_size``. Any other key can be asked for with ``get_config``.
        """
        config = hide_settings(config)
        retry = {key: config[key] for key in ("max_retries", "initial_delay", "max_delay") if key in config}
        caching = {
            name: config[key]
            for key, name in (("cache_ttl", "default_ttl"), ("cache_max_size", "max_size"))
            if key in config
        }
        plain = ("vault_addr", "timeout", "verify_ssl", "ssl_cert_path", "mount_point", "namespace", *SECRET_SETTINGS)
        return cls(
            **{key: config[key] for key in plain if config.get(key) is not None},
            config={key: value for key, value in config.items() if key not in plain},
            retry_policy=RetryPolicy(**retry) if retry else None,
            cache=TTLCache(**caching) if caching else None,
        )

    @classmethod
    def from_token(cls, token: str | Hidden, vault_addr: str | None = None, **kw: Any) -> Self:  # noqa: ANN401
        """Make a client that uses a token."""
        token, kw = Hidden(token), hide_settings(kw)
        return cls(vault_addr, token=token, **kw)

    # -- properties ---------------------------------------------------------------------------------------------------

    @property
    def is_authenticated(self) -> bool:
        """Whether there is a token that can be used."""
        return self._token is not None and self._token.is_usable

    @property
    def is_initialized(self) -> bool:
        """Whether ``initialize()`` was done, and ``close()`` was not."""
        return self._initialized

    @property
    def vault_addr(self) -> str:
        """The address of Vault, or several, separated by commas."""
        return self._vault_addr

    @property
    def timeout(self) -> float:
        """Seconds that one request may take."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError("timeout must be above 0")
        self._timeout = float(seconds)

    @property
    def verify_ssl(self) -> bool:
        """Whether Vault's certificate is verified."""
        return self._verify_ssl

    @property
    def ssl_cert_path(self) -> str | None:
        """A file or folder of certificate authorities to trust instead of the system's."""
        return self._ssl_cert_path

    @property
    def mount_point(self) -> str | None:
        """What is put before a path that does not begin with it."""
        return self._mount_point

    @property
    def namespace(self) -> str | None:
        """The namespace of all requests."""
        return self._namespace

    @property
    def cached_secret_count(self) -> int:
        """How many secrets are cached."""
        return len(self._cache)

    @property
    def cache_stats(self) -> dict[str, Any]:
        """The figures of the cache."""
        return self._cache.get_stats()

    # -- cache control ------------------------------------------------------------------------------------------------

    def clear_cache(self) -> None:
        """Drop all cached secrets."""
        self._cache.clear()

    def remove_from_cache(self, path: str) -> bool:
        """Drop one cached secret; tell whether it was there."""
        return self._cache.remove(self._full_path(path))

    # -- settings -----------------------------------------------------------------------------------------------------

    def get_config(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return one setting. Tokens and other credentials are not among them."""
        return self.get_all_config().get(key, default)

    def set_config(self, key: str, value: Any) -> None:  # noqa: ANN401
        """Set one setting. Of the client's own only ``timeout`` can be changed."""
        if key == "timeout":
            self.timeout = value
        elif key in self._own_settings():
            raise VaultConfigurationError(f"{key} cannot be changed: make another client")
        else:
            self._settings[key] = value

    def get_all_config(self) -> dict[str, Any]:
        """Return all settings, as a dict of the caller's own."""
        return {**self._settings, **self._own_settings()}

    def _own_settings(self) -> dict[str, Any]:
        return {
            "vault_addr": self._vault_addr,
            "timeout": self._timeout,
            "verify_ssl": self._verify_ssl,
            "ssl_cert_path": self._ssl_cert_path,
            "mount_point": self._mount_point,
            "namespace": self._namespace,
        }

    # -- protocol -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count the cached secrets."""
        return len(self._cache)

    def __contains__(self, path: object) -> bool:
        """Tell whether a secret is cached."""
        return isinstance(path, str) and self._full_path(path) in self._cache

    def __bool__(self) -> bool:
        """Tell whether there is a token that can be used."""
        return self.is_authenticated

    def __eq__(self, other: object) -> bool:
        """Compare the address and the type of the auth strategy."""
        if not isinstance(other, ConfiguredClient):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._identity())

    def _identity(self) -> tuple[str, type]:
        return self._vault_addr, type(self._auth)

    def __repr__(self) -> str:
        """Name the address, and say whether there is a token."""
        return f"{type(self).__name__}(vault_addr={self._vault_addr!r}, authenticated={self.is_authenticated})"

    def __str__(self) -> str:
        """Name the address, and say whether there is a token."""
        state = "authenticated" if self.is_authenticated else "not authenticated"
        return f"{type(self).__name__} for {self._vault_addr} ({state})"

    # -- for what builds on it ----------------------------------------------------------------------------------------

    def _make_transport(self) -> VaultTransport:
        if not self._verify_ssl and "https://" in self._vault_addr:
            log.warning("TLS certificates of Vault are NOT verified: anyone in between can read every secret")
        return VaultTransport(self._vault_addr, self._timeout, self._verify_ssl, self._ssl_cert_path, self._namespace)

    def _full_path(self, path: str) -> str:
        path, mount = path.strip("/"), self._mount_point
        if mount is None or path == mount or path.startswith(mount + "/"):
            return path
        return f"{mount}/{path}"
