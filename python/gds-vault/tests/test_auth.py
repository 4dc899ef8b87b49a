"""Logging in."""

from __future__ import annotations

import math
import pathlib
import time

import pytest

from gds_vault import (
    AppRoleAuth,
    CertAuth,
    EnvironmentAuth,
    JwtAuth,
    KubernetesAuth,
    TokenAuth,
    UserpassAuth,
    VaultAuthError,
    VaultAuthUnavailableError,
    VaultConnectionError,
)
from gds_vault.auth import LoginStrategy, usable_until
from tests.scripted import Reply, Scripted

NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.mark.parametrize(
    ("lifetime", "until"), [(3600, 3300), (3000, 2700), (100, 90), (10, 9), (0, math.inf), (-1, math.inf)]
)
def test_short_tokens_can_be_used(lifetime: float, until: float) -> None:
    assert usable_until(lifetime) - NOW == until


def test_approle(scripted: Scripted) -> None:
    scripted.login("hvs.from-approle", 3600)
    auth = AppRoleAuth("role", "s3cret")
    assert auth.authenticate(scripted.url, 5) == ("hvs.from-approle", NOW + 3300)
    seen = scripted.requests[-1]
    assert seen.body == {"role_id": "role", "secret_id": "s3cret"}
    assert "x-vault-token" not in seen.headers
    assert "x-vault-namespace" not in seen.headers


def test_approle_from_the_environment_and_elsewhere(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ROLE_ID", "role-env")
    monkeypatch.setenv("VAULT_SECRET_ID", "secret-env")
    scripted.login(path="auth/team/login")
    AppRoleAuth(namespace="ns1", mount_path="team").authenticate(scripted.url, 5)
    seen = scripted.requests[-1]
    assert seen.body == {"role_id": "role-env", "secret_id": "secret-env"}
    assert seen.headers["x-vault-namespace"] == "ns1"


@pytest.mark.parametrize(
    ("role_id", "secret_id", "named"),
    [
        (None, None, "VAULT_ROLE_ID and VAULT_SECRET_ID"),
        ("r", None, "VAULT_SECRET_ID"),
        (None, "s", "VAULT_ROLE_ID"),
        ("", "s", "VAULT_ROLE_ID"),
    ],
)
def test_missing_credentials(role_id: str | None, secret_id: str | None, named: str) -> None:
    with pytest.raises(VaultAuthError, match=named):
        AppRoleAuth(role_id, secret_id)


def test_a_refused_login(scripted: Scripted) -> None:
    scripted.on("POST", "auth/approle/login", Reply(400, {"errors": ["invalid role or secret ID"]}))
    with pytest.raises(VaultAuthError, match="invalid role") as caught:
        AppRoleAuth("r-1", "s3cret-canary").authenticate(scripted.url, 5)
    assert not isinstance(caught.value, VaultConnectionError)
    assert (caught.value.status, caught.value.kind) == (400, "login_refused")
    assert "canary" not in str(caught.value)


def test_a_login_while_vault_is_unavailable(scripted: Scripted) -> None:
    scripted.on("POST", "auth/approle/login", Reply(503, {"errors": ["Vault is sealed"]}))
    with pytest.raises(VaultAuthUnavailableError) as caught:
        AppRoleAuth("role", "secret").authenticate(scripted.url, 5)
    assert (caught.value.status, caught.value.kind, caught.value.retryable) == (503, "sealed", True)


def test_token() -> None:
    assert TokenAuth("t", ttl=100).authenticate("http://unused", 1) == ("t", NOW + 90)
    assert TokenAuth("t").authenticate("http://unused", 1) == ("t", NOW + 3300)
    with pytest.raises(VaultAuthError, match="empty"):
        TokenAuth("")


def test_environment_is_read_at_each_login(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VaultAuthError, match="VAULT_TOKEN"):
        EnvironmentAuth()
    monkeypatch.setenv("VAULT_TOKEN", "one")
    auth = EnvironmentAuth(ttl=100)
    assert auth.authenticate("http://unused", 1) == ("one", NOW + 90)
    monkeypatch.setenv("VAULT_TOKEN", "two")
    assert auth.authenticate("http://unused", 1)[0] == "two"
    monkeypatch.delenv("VAULT_TOKEN")
    with pytest.raises(VaultAuthError, match="VAULT_TOKEN"):
        auth.authenticate("http://unused", 1)


def test_other_methods(scripted: Scripted, tmp_path: pathlib.Path) -> None:
    jwt_file = tmp_path / "token"
    jwt_file.write_text("jwt-of-file\n")
    methods: list[tuple[LoginStrategy, str, dict[str, str]]] = [
        (UserpassAuth("al", "pw"), "auth/userpass/login/al", {"password": "pw"}),
        (UserpassAuth("al", "pw", mount_path="ldap"), "auth/ldap/login/al", {"password": "pw"}),
        (JwtAuth("r", "jwt"), "auth/jwt/login", {"role": "r", "jwt": "jwt"}),
        (KubernetesAuth("r", jwt_file), "auth/kubernetes/login", {"role": "r", "jwt": "jwt-of-file"}),
        (CertAuth("r"), "auth/cert/login", {"name": "r"}),
        (CertAuth(), "auth/cert/login", {}),
    ]
    for auth, path, body in methods:
        scripted.login("hvs.x", 0, path)
        assert auth.authenticate(scripted.url, 5) == ("hvs.x", math.inf)
        assert (scripted.requests[-1].path, scripted.requests[-1].body) == (path, body)


def test_reprs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "canary")
    shown = [
        repr(AppRoleAuth("canary", "canary")),
        repr(TokenAuth("canary", ttl=5)),
        repr(EnvironmentAuth()),
        repr(UserpassAuth("u", "canary")),
        repr(AppRoleAuth("canary", "canary").login_method()),
    ]
    assert shown == [
        "AppRoleAuth()",
        "TokenAuth(ttl=5)",
        "EnvironmentAuth(ttl=3600)",
        "UserpassAuth()",
        "LoginMethod(approle)",
    ]
