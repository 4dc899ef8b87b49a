"""Logging in: one class per auth method, and your own by subclassing ``AuthStrategy``.

Credentials are kept where ``repr`` and tracebacks do not show them.
"""

from __future__ import annotations

import math
import os
import time
from abc import abstractmethod
from typing import TYPE_CHECKING

from gds_vault._native import Hidden, LoginMethod, VaultTransport
from gds_vault.base import AuthStrategy
from gds_vault.exceptions import VaultAuthError

if TYPE_CHECKING:
    from gds_vault._native import Login

__all__ = [
    "AppRoleAuth",
    "AuthStrategy",
    "CertAuth",
    "EnvironmentAuth",
    "JwtAuth",
    "KubernetesAuth",
    "LoginStrategy",
    "TokenAuth",
    "UserpassAuth",
]

#: How long before its end a token is not used any more: time for a slow request, and for clocks that differ. Of a
#: token of less than 50 minutes a tenth, so that a short one can be used at all.
_MARGIN = 300.0
_SHARE = 0.1


def usable_until(lifetime: float) -> float:
    """Return until when (seconds since 1970) a token that lives so many seconds is used. 0 = it never ends."""
    if lifetime <= 0:
        return math.inf
    return time.time() + lifetime - min(_MARGIN, lifetime * _SHARE)


class LoginStrategy(AuthStrategy):
    """A strategy whose login is one request to Vault. The client sends it over its own connections."""

    #: Where to log in, if not in the client's namespace.
    namespace: str | None = None

    @abstractmethod
    def login_method(self) -> LoginMethod:
        """Say how. Called for each login, so that credentials can be read anew."""

    def authenticate(
        self,
        vault_addr: str,
        timeout: float,
        verify_ssl: bool = True,
        ssl_cert_path: str | None = None,
    ) -> tuple[str, float]:
        """Log in over a connection of its own."""
        transport = VaultTransport(vault_addr, timeout, verify_ssl, ssl_cert_path, self.namespace)
        try:
            login: Login = transport.login(self.login_method()).wait()
        finally:
            transport.close()
        return login.token.expose(), usable_until(login.lease_duration)

    def __repr__(self) -> str:
        """Show the name only."""
        return f"{type(self).__name__}()"


class AppRoleAuth(LoginStrategy):
    """AppRole: for services. Unset values come from ``VAULT_ROLE_ID`` and ``VAULT_SECRET_ID``."""

    def __init__(
        self,
        role_id: str | Hidden | None = None,
        secret_id: str | Hidden | None = None,
        namespace: str | None = None,
        *,
        mount_path: str = "approle",
    ) -> None:
        # Also the parameters are hidden: a traceback shows them.
        self._role_id = role_id = _credential(role_id, "VAULT_ROLE_ID")
        self._secret_id = secret_id = _credential(secret_id, "VAULT_SECRET_ID")
        self.namespace = namespace
        self.mount_path = mount_path
        missing = [name for name, given in (("VAULT_ROLE_ID", role_id), ("VAULT_SECRET_ID", secret_id)) if not given]
        if missing:
            raise VaultAuthError(
                f"nothing to log in with: {' and '.join(missing)} is not set (role_id= and secret_id= would do as "
                "well; for a token use TokenAuth or EnvironmentAuth)"
            )

    def login_method(self) -> LoginMethod:
        """Say how."""
        return LoginMethod.approle(self._role_id, self._secret_id, self.mount_path)


class UserpassAuth(LoginStrategy):
    """A user name and a password. LDAP, RADIUS and Okta logins have the same form: give their ``mount_path``."""

    def __init__(
        self,
        username: str,
        password: str | Hidden,
        namespace: str | None = None,
        *,
        mount_path: str = "userpass",
    ) -> None:
        self.username = username
        self._password = Hidden(password)
        self.namespace = namespace
        self.mount_path = mount_path

    def login_method(self) -> LoginMethod:
        """Say how."""
        return LoginMethod.userpass(self.username, self._password, self.mount_path)


class JwtAuth(LoginStrategy):
    """A JSON web token that Vault can verify."""

    def __init__(self, role: str, jwt: str | Hidden, namespace: str | None = None, *, mount_path: str = "jwt") -> None:
        self.role = role
        self._jwt = Hidden(jwt)
        self.namespace = namespace
        self.mount_path = mount_path

    def login_method(self) -> LoginMethod:
        """Say how."""
        return LoginMethod.jwt(self.role, self._jwt, self.mount_path)


class KubernetesAuth(LoginStrategy):
    """The service account of a pod. Its token file is read at each login: Kubernetes replaces it."""

    def __init__(
        self,
        role: str,
        jwt_path: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        *,
        mount_path: str = "kubernetes",
    ) -> None:
        self.role = role
        self.jwt_path = jwt_path
        self.namespace = namespace
        self.mount_path = mount_path

    def login_method(self) -> LoginMethod:
        """Say how."""
        return LoginMethod.kubernetes(self.role, self.jwt_path, self.mount_path)


class CertAuth(LoginStrategy):
    """The client certificate of the connection, which is given to ``VaultTransport``."""

    def __init__(self, role: str | None = None, namespace: str | None = None, *, mount_path: str = "cert") -> None:
        self.role = role
        self.namespace = namespace
        self.mount_path = mount_path

    def login_method(self) -> LoginMethod:
        """Say how."""
        return LoginMethod.cert(self.role, self.mount_path)


class TokenAuth(AuthStrategy):
    """A token that was made elsewhere, taken to be good for ``ttl`` seconds from each login."""

    def __init__(self, token: str | Hidden, ttl: float = 3600) -> None:
        self._token = Hidden(token)
        self.ttl = ttl
        if not self._token:
            raise VaultAuthError("nothing to log in with: the token is empty")

    def authenticate(
        self,
        vault_addr: str,  # noqa: ARG002 - nobody is asked
        timeout: float,  # noqa: ARG002
        verify_ssl: bool = True,  # noqa: ARG002
        ssl_cert_path: str | None = None,  # noqa: ARG002
    ) -> tuple[str, float]:
        """Return the token. Vault is not asked."""
        return self._token.expose(), usable_until(self.ttl)

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return f"{type(self).__name__}(ttl={self.ttl})"


class EnvironmentAuth(AuthStrategy):
    """The token in ``VAULT_TOKEN``, read anew at each login."""

    def __init__(self, ttl: float = 3600) -> None:
        self.ttl = ttl
        self._token()

    def authenticate(
        self,
        vault_addr: str,  # noqa: ARG002 - nobody is asked
        timeout: float,  # noqa: ARG002
        verify_ssl: bool = True,  # noqa: ARG002
        ssl_cert_path: str | None = None,  # noqa: ARG002
    ) -> tuple[str, float]:
        """Return the token. Vault is not asked."""
        return self._token().expose(), usable_until(self.ttl)

    @staticmethod
    def _token() -> Hidden:
        token = _credential(None, "VAULT_TOKEN")
        if not token:
            raise VaultAuthError("nothing to log in with: VAULT_TOKEN is not set")
        return token

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return f"{type(self).__name__}(ttl={self.ttl})"


def _credential(given: str | Hidden | None, variable: str) -> Hidden:
    """Hide a value, or that of a variable; empty if there is neither."""
    return Hidden(os.environ.get(variable, "").strip() if given is None else given)
