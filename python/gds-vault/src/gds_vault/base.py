"""What users of the library extend, or may rely on instead of a concrete class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["AuthStrategy", "Configurable", "ResourceManager", "SecretProvider"]


class AuthStrategy(ABC):
    """A way to obtain a token. Subclass it for methods that the library lacks."""

    @abstractmethod
    def authenticate(
        self,
        vault_addr: str,
        timeout: float,
        verify_ssl: bool = True,
        ssl_cert_path: str | None = None,
    ) -> tuple[str, float]:
        """Log in.

        Returns the token and the time (seconds since 1970) from which on it is no longer to be used. Called from
        any thread; raise ``VaultAuthError`` if the login is refused.
        """


class SecretProvider(ABC):
    """Something that secrets can be read from."""

    @abstractmethod
    def get_secret(self, path: str, use_cache: bool = True, version: int | None = None) -> dict[str, Any]:
        """Read a secret."""

    @abstractmethod
    def list_secrets(self, path: str) -> list[str]:
        """List the names directly under a path."""

    @abstractmethod
    def authenticate(self) -> bool:
        """Log in now."""

    @property
    @abstractmethod
    def is_authenticated(self) -> bool:
        """Whether there is a token that can be used."""


class ResourceManager(ABC):
    """Something that is opened and closed; a context manager."""

    @abstractmethod
    def initialize(self) -> None:
        """Get ready."""

    @abstractmethod
    def cleanup(self) -> None:
        """Let go of everything."""

    @property
    @abstractmethod
    def is_initialized(self) -> bool:
        """Whether ``initialize()`` was done, and ``cleanup()`` was not."""

    def __enter__(self) -> Self:
        """Get ready."""
        self.initialize()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of everything."""
        self.cleanup()


class Configurable(ABC):
    """Something with named settings."""

    @abstractmethod
    def get_config(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - settings are of any type
        """Return one setting."""

    @abstractmethod
    def set_config(self, key: str, value: Any) -> None:  # noqa: ANN401
        """Set one setting."""

    @abstractmethod
    def get_all_config(self) -> dict[str, Any]:
        """Return all settings, as a dict of the caller's own."""
