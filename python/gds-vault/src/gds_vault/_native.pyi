"""The native half: connections, logins, reads, and what must not be printed."""

import os
from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar, final

__all__ = [
    "Answer",
    "Call",
    "Hidden",
    "Login",
    "LoginMethod",
    "Session",
    "VaultTransport",
    "cron_next",
    "cron_previous",
    "hidden_token",
    "is_exiting",
]

_T = TypeVar("_T")
_List = list

@final
class Hidden:
    """A text that must not be seen: ``repr``, ``str`` and ``format`` say ``[redacted]``."""

    def __new__(cls, text: str | Hidden) -> Hidden: ...
    def expose(self) -> str:
        """The text itself. The only way out."""
    def __bool__(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> Any: ...

@final
class Call(Generic[_T]):
    """An operation that has not begun: ``call.wait()`` in threads, ``await call`` in event loops. Once only."""

    def wait(self) -> _T: ...
    def __await__(self) -> Generator[Any, None, _T]: ...
    def __class_getitem__(cls, key: Any) -> Any: ...

@final
class Login:
    """What a login, or the renewal of a token, returned."""

    @property
    def token(self) -> Hidden: ...
    @property
    def lease_duration(self) -> float: ...
    @property
    def renewable(self) -> bool: ...

@final
class LoginMethod:
    """A way to log in: what to say to which auth mount."""

    @staticmethod
    def approle(
        role_id: str | Hidden, secret_id: str | Hidden | None = None, mount: str = "approle"
    ) -> LoginMethod: ...
    @staticmethod
    def userpass(username: str, password: str | Hidden, mount: str = "userpass") -> LoginMethod: ...
    @staticmethod
    def jwt(role: str, jwt: str | Hidden, mount: str = "jwt") -> LoginMethod: ...
    @staticmethod
    def kubernetes(
        role: str, jwt_path: str | os.PathLike[str] | None = None, mount: str = "kubernetes"
    ) -> LoginMethod: ...
    @staticmethod
    def cert(role: str | None = None, mount: str = "cert") -> LoginMethod: ...

@final
class Answer:
    """What a read returned."""

    def data(self) -> dict[str, Any]: ...
    def metadata(self) -> dict[str, Any] | None: ...
    @property
    def lease_duration(self) -> float | None: ...
    @property
    def ttl_of_static_role(self) -> int | None: ...

@final
class Session:
    """Reading with one token."""

    def read(self, path: str, version: int | None = None, timeout: float | None = None) -> Call[Answer]: ...
    def list(self, path: str, timeout: float | None = None) -> Call[_List[str]]: ...
    def renew(self, timeout: float | None = None) -> Call[Login]: ...

@final
class VaultTransport:
    """Connections to one Vault, kept open between requests, shared by threads and event loops."""

    def __new__(
        cls,
        vault_addr: str,
        timeout: float = 10.0,
        verify_ssl: bool = True,
        ssl_cert_path: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        *,
        client_cert: str | os.PathLike[str] | None = None,
        client_key: str | os.PathLike[str] | None = None,
        server_name: str | None = None,
    ) -> VaultTransport: ...
    def get(
        self,
        path: str,
        token: str | Hidden | None = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        namespace: str | None = None,
    ) -> Any: ...
    def post(
        self,
        path: str,
        json: Any = None,
        token: str | Hidden | None = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        namespace: str | None = None,
    ) -> Any: ...
    def request(
        self,
        method: str,
        path: str,
        token: str | Hidden | None = None,
        json: Any = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        namespace: str | None = None,
    ) -> Any: ...
    def start(
        self,
        method: str,
        path: str,
        token: str | Hidden | None = None,
        json: Any = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        namespace: str | None = None,
    ) -> Call[Any]: ...
    def login(self, method: LoginMethod, namespace: str | None = None, timeout: float | None = None) -> Call[Login]: ...
    def session(self, token: str | Hidden) -> Session: ...
    def close(self) -> None: ...
    @property
    def vault_addr(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def timeout(self) -> float: ...

def cron_next(schedule: str, after: float) -> float:
    """The first time after ``after`` that a schedule names; both in seconds since 1970."""

def cron_previous(schedule: str, until: float) -> float:
    """The last time at or before ``until`` that a schedule names; both in seconds since 1970."""

def hidden_token(pair: object) -> tuple[Hidden, float]:
    """Hide the token in what an auth strategy returned. Native, so that no frame ever holds it."""

def is_exiting() -> bool:
    """Tell whether the interpreter is about to end: threads that wait for an answer get none any more."""
