"""A Vault of your tests' own, with outages on demand: in this process, started in milliseconds, no Docker.

With pytest, ask for the fixture `vault_dev` (or `vault_dev_session`); the plugin comes with the package. Without it,
`with VaultDev() as vault:` does the same.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Optional, Protocol

from secrets_service import VaultConfig
from secrets_service._native import DevPostgres, DevVault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

__all__ = ["Database", "VaultDev"]

_EVERYTHING = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'
_MOUNT = "database"


class Administered(Protocol):
    """A Vault that can be set up: `VaultDev`, or whatever sends requests as root."""

    def request(self, method: str, path: str, body: Optional[dict[str, Any]] = None) -> Any:  # noqa: ANN401
        """Send a request of Vault's API as root."""


class VaultDev:
    """A Vault-compatible development server, and the outages that it can be made to have.

    Faults stay until they are ended by their opposite, or all of them by `clear`.
    """

    def __init__(self, secrets: Optional[Mapping[str, dict[str, Any]]] = None) -> None:
        """Start a server on a free port of 127.0.0.1.

        Args:
            secrets: Secrets to load, by path, such as `{"secret/myapp/config": {"db_host": "localhost"}}`.
        """
        self._server = DevVault()
        self._database: Optional[Database] = None
        self._numbers = itertools.count(1)
        self.load(secrets or {})

    @property
    def addr(self) -> str:
        """Where it listens: "http://127.0.0.1:PORT"."""
        return self._server.addr

    @property
    def root_token(self) -> str:
        """The token that may do everything."""
        return self._server.root_token

    def load(self, secrets: Mapping[str, dict[str, Any]]) -> None:
        """Write secrets (KV v2), by path."""
        for path, data in secrets.items():
            self._server.put(path, data)

    def put(self, path: str, data: dict[str, Any]) -> None:
        """Write one secret (KV v2)."""
        self._server.put(path, data)

    def delete(self, path: str) -> None:
        """Delete a secret with all its versions."""
        mount, _, name = path.strip("/").partition("/")
        self._server.request("DELETE", f"{mount}/metadata/{name}")

    def request(self, method: str, path: str, body: Optional[dict[str, Any]] = None) -> Any:  # noqa: ANN401
        """Send any request of Vault's API as root.

        Args:
            method: "GET", "POST", "LIST"...
            path: Without "v1/": "sys/mounts/team".
            body: What to send.

        Returns:
            The answer's body; None if it has none.
        """
        return self._server.request(method, path, body)

    def config(self, **settings: Any) -> VaultConfig:  # noqa: ANN401
        """Return the configuration of a client of this server.

        It logs in with a token of its own, so that `revoke_tokens` concerns it; any field of `VaultConfig` can be
        given.
        """
        settings.setdefault("addr", self.addr)
        settings.setdefault("auth_method", "token")
        if settings["auth_method"] == "token" and "token" not in settings:
            settings["token"] = self.create_token()
        return VaultConfig(**settings)

    def environment(self) -> dict[str, str]:
        """Return environment variables that lead an application to this server."""
        return {"VAULT_ADDR": self.addr, "VAULT_AUTH_METHOD": "token", "VAULT_TOKEN": self.create_token()}

    def create_token(self, *, ttl: str = "1h", policy: str = _EVERYTHING) -> str:
        """Return a new token.

        Args:
            ttl: How long it lives, as Vault writes it.
            policy: What it may do; by default everything.
        """
        name = f"token-{next(self._numbers)}"
        self.request("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        made = self.request("POST", "auth/token/create", {"policies": [name], "ttl": ttl})
        token: str = made["auth"]["client_token"]
        return token

    def app_role(self, name: str = "myapp", *, policy: str = _EVERYTHING, **settings: Any) -> dict[str, str]:  # noqa: ANN401
        """Make an AppRole.

        Args:
            name: Of the role.
            policy: What it may do; by default everything.
            settings: Of the role, such as `token_ttl="10s"`.

        Returns:
            `role_id` and `secret_id`, as `config` takes them together with `auth_method="approle"`.
        """
        if "approle/" not in self.request("GET", "sys/auth")["data"]:
            self.request("POST", "sys/auth/approle", {"type": "approle"})
        self.request("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        self.request("POST", f"auth/approle/role/{name}", {"token_policies": [name], **settings})
        role_id = self.request("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
        secret_id = self.request("POST", f"auth/approle/role/{name}/secret-id", {})["data"]["secret_id"]
        return {"role_id": role_id, "secret_id": secret_id}

    def freeze(self) -> None:
        """Take requests and answer none of them, until `thaw`."""
        self._server.freeze()

    def thaw(self) -> None:
        """End `freeze`: the waiting requests are answered now."""
        self._server.thaw()

    def seal(self) -> None:
        """Seal, as an operator does: everything is answered with 503."""
        self._server.seal()

    def unseal(self) -> None:
        """End `seal`."""
        self._server.unseal()

    def refuse(self) -> None:
        """Refuse connections and drop the open ones, as if Vault had crashed, until `accept`."""
        self._server.refuse()

    def accept(self) -> None:
        """End `refuse`."""
        self._server.accept()

    def fail(
        self,
        status: int = 503,
        *,
        path: Optional[str] = None,
        times: Optional[int] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        """Answer with this status, until `clear`.

        Args:
            status: 500, 503, 429...
            path: Only requests to paths that start so, such as "secret/data/myapp".
            times: Only so many of them.
            retry_after: The answer's `Retry-After`, in seconds.
        """
        self._server.fail(status, path=path, times=times, retry_after=retry_after)

    def slow(self, seconds: float, *, path: Optional[str] = None, times: Optional[int] = None) -> None:
        """Answer correctly, but only after so many seconds, until `clear`; `path` and `times` as for `fail`."""
        self._server.slow(seconds, path=path, times=times)

    def break_answers(self, how: str, *, path: Optional[str] = None, times: Optional[int] = None) -> None:
        """Answer with something broken, until `clear`; `path` and `times` as for `fail`.

        Args:
            how: "garbage", "not-http", "cut-body", "reset" or "reset-mid-body".
            path: Only requests to paths that start so.
            times: Only so many of them.
        """
        self._server.break_answers(how, path=path, times=times)

    def clear(self) -> None:
        """End every fault."""
        self._server.clear()

    def revoke_token(self, token: str) -> None:
        """Revoke a token and its leases."""
        self.request("POST", "auth/token/revoke", {"token": token})

    def revoke_tokens(self) -> None:
        """Revoke every token but root's, with their leases: who has a way to log in has to do so again."""
        for accessor in self.request("LIST", "auth/token/accessors")["data"]["keys"]:
            found = self.request("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
            if "root" not in found["policies"]:
                self.request("POST", "auth/token/revoke-accessor", {"accessor": accessor})

    def revoke_leases(self, prefix: str = f"{_MOUNT}/creds") -> None:
        """Revoke every lease of paths that start so."""
        self.request("POST", f"sys/leases/revoke-prefix/{prefix}", {})

    def advance_clock(self, seconds: float) -> None:
        """Let the server believe that so many seconds have passed: leases and tokens end, nobody sleeps."""
        self._server.advance_clock(seconds)

    def requests(self) -> list[tuple[str, str, Optional[int]]]:
        """Return the latest requests, oldest first: method, path without "v1/", status (None: not answered)."""
        return self._server.requests()

    def count(self, method: str = "*", path: str = "") -> int:
        """Return how many requests there were with this method ("*": any) to paths that start so."""
        return self._server.count(method, path)

    def reset_counts(self) -> None:
        """Forget all requests and counts."""
        self._server.reset_counts()

    def assert_requested(self, method: str, path: str, *, times: Optional[int] = None) -> None:
        """Check that there were requests with this method to paths that start so.

        Args:
            method: "GET", "POST", "LIST"..., or "*".
            path: Without "v1/": "secret/data/myapp/config".
            times: How many; None: at least one.

        Raises:
            AssertionError: There were not; the message tells which requests there were.
        """
        count = self.count(method, path)
        if count == times or (times is None and count > 0):
            return
        wanted = "at least one request" if times is None else f"{times} request{'s' * (times != 1)}"
        seen = "".join(f"\n  {method} {path} -> {status or 'no answer'}" for method, path, status in self.requests())
        msg = f"expected {wanted} {method} {path}, there were {count}. Latest requests:{seen or ' none'}"
        raise AssertionError(msg)

    def assert_not_requested(self, method: str = "*", path: str = "") -> None:
        """Check that there was no request with this method to paths that start so.

        Raises:
            AssertionError: There was; the message tells which requests there were.
        """
        self.assert_requested(method, path, times=0)

    def postgres(self) -> Database:
        """Return a throw-away PostgreSQL behind the database engine; started when first asked for.

        Needs PostgreSQL's server programs on this machine.

        Raises:
            OSError: They are not there; the message tells what to install.
        """
        if self._database is None:
            self._database = Database(self, DevPostgres())
        return self._database

    def stop(self) -> None:
        """End the server and its PostgreSQL. Stopping twice is no error."""
        self._server.stop()
        if self._database is not None:
            self._database.cluster.stop()
            self._database = None

    def __enter__(self) -> Self:
        """Use it for the duration of a block."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop it at the end of the block."""
        self.stop()

    def __repr__(self) -> str:
        """Tell where it is."""
        return f"<VaultDev {self.addr}>"


class Database:
    """A throw-away PostgreSQL that a Vault gives credentials for."""

    def __init__(self, vault: Administered, cluster: DevPostgres) -> None:
        """Set up the database engine of `vault` for `cluster`; see `VaultDev.postgres`."""
        self.vault = vault
        self.cluster = cluster
        if f"{_MOUNT}/" not in vault.request("GET", "sys/mounts")["data"]:
            vault.request("POST", f"sys/mounts/{_MOUNT}", {"type": "database"})
        connection = {
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": "*",
            "connection_url": cluster.connection_url_template,
            "username": cluster.user,
            "password": cluster.password,
        }
        vault.request("POST", f"{_MOUNT}/config/postgres", connection)

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.cluster.host

    @property
    def port(self) -> int:
        """The TCP port."""
        return self.cluster.port

    @property
    def database(self) -> str:
        """The name of the database."""
        return self.cluster.database

    @property
    def superuser_url(self) -> str:
        """The connection string of the superuser, to make tables with."""
        return self.cluster.url

    @property
    def url(self) -> str:
        """The connection string without user and password."""
        return f"postgresql://{self.host}:{self.port}/{self.database}"

    def role(self, name: str = "myapp", *, ttl: str = "1h", max_ttl: str = "24h", grants: str = "") -> str:
        """Make a role that gives a new user to whoever asks.

        Args:
            name: Of the role.
            ttl: How long a lease lasts, as Vault writes it.
            max_ttl: How long it can be renewed.
            grants: SQL that gives the new user, `"{{name}}"`, what it needs.

        Returns:
            The name.
        """
        statements = [
            """CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'""",
            *([grants] if grants else []),
        ]
        role = {"db_name": "postgres", "creation_statements": statements, "default_ttl": ttl, "max_ttl": max_ttl}
        self.vault.request("POST", f"{_MOUNT}/roles/{name}", role)
        return name

    def static_role(self, name: str, *, username: str, rotation_period: str = "24h") -> str:
        """Make a static role: Vault changes the password of a user that is there.

        Args:
            name: Of the role.
            username: The user; made with `superuser_url`.
            rotation_period: How often the password changes, as Vault writes it.

        Returns:
            The name.
        """
        role = {"db_name": "postgres", "username": username, "rotation_period": rotation_period}
        self.vault.request("POST", f"{_MOUNT}/static-roles/{name}", role)
        return name

    def rotate(self, static_role: str) -> None:
        """Have Vault change the password of a static role now."""
        self.vault.request("POST", f"{_MOUNT}/rotate-role/{static_role}", {})

    def __repr__(self) -> str:
        """Tell where it is."""
        return f"<Database {self.url}>"
