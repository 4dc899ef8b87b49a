"""Every Python example of the documentation runs, and every command that it names is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from secrets_service._native import DevPostgres, DevVault

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "python.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def example_environment(clean_environment: pytest.MonkeyPatch, dev: DevVault, postgres: DevPostgres) -> None:
    ids = dev.set_up_example(postgres)
    dev.request(
        "PUT",
        "sys/policies/acl/notes",
        {"policy": 'path "secret/*" { capabilities = ["sudo", "create", "read", "update", "delete", "list"] }'},
    )
    role = {"token_policies": "myapp,notes", "token_ttl": "1h"}
    dev.request("POST", "auth/approle/role/myapp", role)
    clean_environment.setenv("VAULT_ADDR", dev.addr)
    clean_environment.setenv("VAULT_ROLE_ID", ids["role_id"])
    clean_environment.setenv("VAULT_SECRET_ID", ids["secret_id"])


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 7


@pytest.mark.usefixtures("example_environment")
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(number: int) -> None:
    module: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLES[number], f"docs/python.md, example {number}", "exec"), module)  # noqa: S102


def test_the_commands_are_there() -> None:
    script = (ROOT / "scripts" / "python").read_text()
    commands = re.findall(r"^scripts/python (\w+)", PAGE, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        assert f"\n{command}) " in script


def test_the_rubric_names_tests_that_exist() -> None:
    rubric = (ROOT / "docs" / "rubric.md").read_text()
    named = re.findall(r"`(tests/\w+\.py)::(\w+)", rubric)
    assert len(named) >= 20
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
