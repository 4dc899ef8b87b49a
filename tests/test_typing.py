from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import secrets_service

PACKAGE = Path(secrets_service.__file__).parent

USE = """
from __future__ import annotations

from typing import Any

from gds_vault.exceptions import VaultConnectionError

from secrets_service import (
    AsyncResilientVaultClient,
    AsyncSecretsService,
    ResilientVaultClient,
    SecretCache,
    SecretsService,
    VaultConfig,
    retry_with_backoff,
)


def threads() -> None:
    config = VaultConfig("http://127.0.0.1:8200", "token", token="root", cache_ttl_seconds=60)
    with ResilientVaultClient(config) as client:
        data: dict[str, Any] = client.get_secret("secret/a", bypass_cache=True)
        pair: dict[str, str] = client.get_database_credentials("myapp")
        version: int | None = client.put_secret("secret/a", data)
        again: dict[str, Any] = retry_with_backoff(lambda: client.get_secret("secret/a"), max_attempts=5)
        service = SecretsService(client)
        url: str = service.get_database_connection_string()
    cache = SecretCache(default_ttl_seconds=60)
    cache.set("key", (pair, version, again, url), ttl_seconds=5)


async def loop() -> None:
    async with AsyncResilientVaultClient(VaultConfig.from_environment()) as client:
        data: dict[str, Any] = await client.get_secret("secret/a")
        await client.put_secret("secret/a", data)
        async with AsyncSecretsService(client) as service:
            key: str = await service.get_api_key("stripe")
            await service.set_api_key("stripe", key)


def failing(error: VaultConnectionError) -> bool:
    return error.retryable
"""

MISUSE = {
    "ResilientVaultClient('http://127.0.0.1')": "arg-type",
    "ResilientVaultClient(VaultConfig('a', 'b')).get_secret(5)": "arg-type",
    "x: int = SecretsService().get_api_key('stripe')": "assignment",
    "retry_with_backoff(5)": "arg-type",
    "y: str = AsyncSecretsService().get_api_key('stripe')": "assignment",
}


def checkouts() -> str:
    """Where sources are imported from, as mypy wants it told; it finds what is installed by itself."""
    return os.pathsep.join(path for path in sys.path if path.endswith("src"))


def mypy(source: str, tmp_path: Path) -> str:
    program = tmp_path / "program.py"
    program.write_text(source)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-version=3.10", f"--cache-dir={tmp_path}", str(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=tmp_path,
        env={
            **os.environ,
            "MYPYPATH": checkouts(),
        },
    )
    return ran.stdout + ran.stderr


def test_row29_programs_that_use_it_pass_mypy_strict(tmp_path: Path) -> None:
    assert (PACKAGE / "py.typed").is_file()
    pytest.importorskip("mypy")
    assert mypy(USE, tmp_path).startswith("Success")


def test_row29_mistakes_are_found_by_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    told = mypy("from secrets_service import *\n" + "\n".join(MISUSE), tmp_path).splitlines()
    for number, code in enumerate(MISUSE.values(), start=2):
        assert any(f":{number}: error" in line and f"[{code}]" in line for line in told), "\n".join(told)


def test_the_native_modules_stubs_are_true() -> None:
    pytest.importorskip("mypy")
    ran = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "secrets_service._native"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "MYPYPATH": checkouts()},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
