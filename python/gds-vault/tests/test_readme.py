"""Every snippet of the README runs."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest

from gds_vault import VaultClient, VaultTransport
from tests.conftest import Server

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


def test_the_snippets(dev: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    root = VaultTransport(dev.url)
    root.post("secret/data/myapp/config", {"data": {"db_name": "mydb"}}, "root")
    root.post("sys/auth/approle", {"type": "approle"}, "root")
    root.post("sys/policies/acl/all", {"policy": 'path "*" { capabilities = ["read", "list"] }'}, "root")
    root.post("auth/approle/role/app", {"token_policies": ["all"]}, "root")
    role_id = root.get("auth/approle/role/app/role-id", "root")["data"]["role_id"]
    secret_id = root.post("auth/approle/role/app/secret-id", None, "root")["data"]["secret_id"]
    for name, value in {
        "VAULT_ADDR": dev.url,
        "VAULT_ROLE_ID": role_id,
        "VAULT_SECRET_ID": secret_id,
        "VAULT_TOKEN": "root",
    }.items():
        monkeypatch.setenv(name, value)
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) >= 9
    names: dict[str, Any] = {
        "address": dev.url,
        "role_id": role_id,
        "secret_id": secret_id,
        "VaultClient": VaultClient,
    }
    for snippet in snippets:
        exec(compile(snippet, str(README), "exec"), names)
