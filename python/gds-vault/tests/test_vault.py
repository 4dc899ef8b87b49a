"""The same reads on the development server and on a real Vault."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
import uuid
from typing import Any

import pytest

from gds_vault import (
    AppRoleAuth,
    AsyncVaultClient,
    EnvironmentAuth,
    NoOpCache,
    RetryPolicy,
    TokenAuth,
    TTLCache,
    UserpassAuth,
    VaultAuthError,
    VaultClient,
    VaultConnectionError,
    VaultPermissionError,
    VaultSecretNotFoundError,
    VaultTransport,
)
from tests.conftest import Server

ONCE = RetryPolicy(max_retries=0)

POLICY = """
path "secret/data/myapp/*" { capabilities = ["read"] }
path "secret/metadata/myapp/*" { capabilities = ["list", "read"] }
path "secret/metadata/myapp" { capabilities = ["list"] }
"""


class Root:
    """Sets up what a test needs."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.transport = VaultTransport(server.url)

    def write(self, path: str, body: Any = None) -> Any:
        return self.transport.post(path, body, token="root")

    def enable(self, kind: str, path: str, **settings: Any) -> str:
        self.write(path, {"type": kind, **settings})
        return path

    def approle(self, **settings: Any) -> tuple[str, str]:
        name = f"approle-{uuid.uuid4().hex[:8]}"
        self.enable("approle", f"sys/auth/{name}")
        self.write("sys/policies/acl/myapp", {"policy": POLICY})
        self.write(f"auth/{name}/role/app", {"token_policies": ["myapp"], **settings})
        role_id = self.transport.get(f"auth/{name}/role/app/role-id", token="root")["data"]["role_id"]
        return name, role_id

    def secret_id(self, mount: str) -> str:
        secret_id: str = self.write(f"auth/{mount}/role/app/secret-id")["data"]["secret_id"]
        return secret_id


@pytest.fixture
def root(vault: Server) -> Root:
    made = Root(vault)
    made.write("secret/data/myapp/config", {"data": {"db_name": "mydb", "port": 5432, "on": True, "n": None}})
    made.write("secret/data/myapp/team/x", {"data": {"a": 1}})
    return made


def test_reading_with_approle(root: Root) -> None:
    mount, role_id = root.approle(token_ttl="10m")
    auth = AppRoleAuth(role_id, root.secret_id(mount), mount_path=mount)
    with VaultClient(root.server.url, auth, mount_point="secret", retry_policy=ONCE) as client:
        expected = {"db_name": "mydb", "port": 5432, "on": True, "n": None}
        for path in ("secret/data/myapp/config", "data/myapp/config", "secret/myapp/config", "myapp/config"):
            assert client.get_secret(path) == expected
        assert client.list_secrets("secret/metadata/myapp") == ["config", "team/"]
        assert client.list_secrets("myapp/team") == ["x"]
        with pytest.raises(VaultSecretNotFoundError):
            client.get_secret("myapp/none")
        with pytest.raises(VaultPermissionError):
            client.get_secret("secret/data/other")
        assert client.renew_token() is True
        assert client.is_authenticated


def test_versions(root: Root) -> None:
    path = f"secret/data/{uuid.uuid4().hex}"
    for number in (1, 2, 3):
        root.write(path, {"data": {"n": number}})
    client = VaultClient(root.server.url, token="root")
    assert [client.get_secret(path, version=version)["n"] for version in (2, 1, None)] == [2, 1, 3]
    root.transport.request("DELETE", path, "root")
    client.clear_cache()
    with pytest.raises(VaultSecretNotFoundError):
        client.get_secret(path)
    assert client.get_secret(path, version=2) == {"n": 2}


def test_kv_version_1(root: Root) -> None:
    mount = f"kv{uuid.uuid4().hex[:8]}"
    root.enable("kv", f"sys/mounts/{mount}", options={"version": "1"})
    root.write(f"{mount}/app", {"a": "1", "data": "x"})
    client = VaultClient(root.server.url, TokenAuth("root"))
    assert client.get_secret(f"{mount}/app") == {"a": "1", "data": "x"}
    assert client.list_secrets(mount) == ["app"]


def test_rotation_metadata(root: Root) -> None:
    facts = {"last_rotation": "2000-01-01T00:00:00Z", "schedule": "0 0 1 1 *"}
    root.write("secret/metadata/myapp/config", {"custom_metadata": facts})
    client = VaultClient(root.server.url, token="root")
    client.authenticate()
    assert client._token is not None
    metadata = client._token.session.read("secret/data/myapp/config").wait().metadata()
    assert metadata is not None
    assert metadata["custom_metadata"] == facts


def test_a_revoked_token_is_replaced(root: Root) -> None:
    mount, role_id = root.approle(token_ttl="10m")
    auth = AppRoleAuth(role_id, root.secret_id(mount), mount_path=mount)
    client = VaultClient(root.server.url, auth, cache=NoOpCache(), retry_policy=ONCE)
    client.get_secret("secret/data/myapp/config")
    accessors = root.transport.request("LIST", "auth/token/accessors", "root")["data"]["keys"]
    for accessor in accessors:
        looked_up = root.write("auth/token/lookup-accessor", {"accessor": accessor})["data"]
        if looked_up["path"] == f"auth/{mount}/login":
            root.write("auth/token/revoke-accessor", {"accessor": accessor})
    assert client.get_secret("secret/data/myapp/config")["db_name"] == "mydb"


def test_a_used_up_secret_id(root: Root) -> None:
    mount, role_id = root.approle(secret_id_num_uses=1)
    client = VaultClient(
        root.server.url, role_id=role_id, secret_id=root.secret_id(mount), auth_mount_path=mount, retry_policy=ONCE
    )
    assert client.authenticate()
    with pytest.raises(VaultAuthError) as caught:
        client.authenticate()
    assert caught.value.kind == "login_refused"


def test_userpass_and_environment(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = f"up{uuid.uuid4().hex[:8]}"
    root.enable("userpass", f"sys/auth/{mount}")
    root.write("sys/policies/acl/myapp", {"policy": POLICY})
    root.write(f"auth/{mount}/users/al", {"password": "pw-of-al", "token_policies": ["myapp"]})
    user = VaultClient(root.server.url, UserpassAuth("al", "pw-of-al", mount_path=mount))
    assert user.get_secret("secret/data/myapp/config")["port"] == 5432
    monkeypatch.setenv("VAULT_TOKEN", "root")
    assert VaultClient(root.server.url, EnvironmentAuth()).get_secret("secret/data/myapp/team/x") == {"a": 1}


def test_async(root: Root) -> None:
    mount, role_id = root.approle(token_ttl="10m")
    secret_id = root.secret_id(mount)

    async def main() -> None:
        async with AsyncVaultClient(
            root.server.url, role_id=role_id, secret_id=secret_id, auth_mount_path=mount
        ) as client:
            got = await asyncio.gather(*[client.get_secret("secret/data/myapp/config") for _ in range(20)])
            assert all(each["db_name"] == "mydb" for each in got)
            assert await client.list_secrets("secret/metadata/myapp/team") == ["x"]
            assert await client.renew_token()

    asyncio.run(main())


# -- outages, which the development server makes on demand -----------------------------------------------------------


FAULTS: list[dict[str, Any]] = [
    {"fault": "sealed"},
    {"fault": "status", "status": 500},
    {"fault": "status", "status": 502},
    {"fault": "status", "status": 429},
    {"fault": "frozen"},
    {"fault": "garbage"},
    {"fault": "not-http"},
    {"fault": "cut-body"},
    {"fault": "reset"},
    {"fault": "reset-mid-body"},
    {"fault": "standby", "status": 473},
    {"fault": "slow", "delay": "30s"},
    {"fault": "refused", "for": "5s"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.get("status", fault["fault"])))
def test_every_outage_is_unavailability_and_older_values_stand_in(dev: Server, fault: dict[str, Any]) -> None:
    root = Root(dev)
    root.write("secret/data/outage", {"data": {"a": 1}})
    cache = TTLCache(default_ttl=0.01)
    client = VaultClient(dev.url, token="root", cache=cache, retry_policy=ONCE)
    plain = VaultClient(dev.url, token="root", cache=NoOpCache(), retry_policy=ONCE, timeout=0.5)
    assert client.get_secret("secret/data/outage") == {"a": 1}
    client.timeout = 0.5
    # A server that refuses connections cannot be told to stop: that outage ends by itself.
    ends_itself = fault["fault"] == "refused"
    _control(dev, "POST", fault if ends_itself else {"path": "secret/", **fault})
    time.sleep(0.02)
    try:
        with pytest.raises(VaultConnectionError):
            plain.get_secret("secret/data/outage")
        assert client.get_secret("secret/data/outage") == {"a": 1}
    finally:
        if not ends_itself:
            _control(dev, "DELETE")
    for _ in range(300):
        try:
            assert plain.get_secret("secret/data/outage") == {"a": 1}
            break
        except VaultConnectionError:
            time.sleep(0.1)
    else:
        pytest.fail("the outage did not end")


def _control(dev: Server, method: str, body: Any = None) -> None:
    request = urllib.request.Request(
        f"{dev.url}/vault-dev/v1/faults",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-Vault-Request": "true", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=60).close()
