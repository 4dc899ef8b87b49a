"""Servers to test against."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gds_vault import RetryPolicy, VaultClient
from tests.scripted import Scripted

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("VAULT_") and name not in {"VAULT_BIN", "VAULT_DEV_BIN"}:
            monkeypatch.delenv(name)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.stop()


@pytest.fixture
def client(scripted: Scripted) -> Iterator[VaultClient]:
    with VaultClient(scripted.url, token="t-canary-1", retry_policy=RetryPolicy(max_retries=0)) as made:
        yield made


@dataclass
class Certificate:
    """A certificate for 127.0.0.1 that signs itself, so that it is its own authority."""

    authority: str
    key: str


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(str(folder / "cert.pem"), str(folder / "key.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=vault.test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:vault.test"]
    roles = ["-addext", "basicConstraints=critical,CA:FALSE"]
    files = ["-out", made.authority, "-keyout", made.key, "-days", "2"]
    subprocess.run([*command, *names, *roles, *files], check=True, capture_output=True)
    return made


class Server:
    """A Vault of a process of its own."""

    def __init__(self, url: str, process: subprocess.Popen[str], faults: bool) -> None:
        self.url = url
        self.process = process
        #: Whether outages can be made on demand.
        self.has_faults = faults


def _dev_server() -> list[str]:
    given = os.environ.get("VAULT_DEV_BIN")
    if given:
        return [given]
    build = ["cargo", "build", "--quiet", "-p", "vault-dev", "--example", "serve"]
    subprocess.run(build, cwd=REPOSITORY, check=True, timeout=580)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")
    return [str(target / "debug" / "examples" / "serve")]


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@pytest.fixture(scope="session")
def dev() -> Iterator[Server]:
    """Start the embedded development server."""
    process = subprocess.Popen(_dev_server(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"VAULT_ADDR=(\S+)", process.stdout.readline())
        assert found is not None
        yield Server(found[1], process, faults=True)
    finally:
        _end(process)


@pytest.fixture(scope="session")
def real() -> Iterator[Server]:
    """Start a real Vault."""
    binary = os.environ.get("VAULT_BIN") or shutil.which("vault") or shutil.which("bao")
    if not binary:
        pytest.skip("no real Vault: set VAULT_BIN")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [binary, "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*command, "-dev-no-store-token"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    try:
        for _ in range(600):
            assert process.poll() is None, "Vault has ended"
            try:
                urllib.request.urlopen(f"{url}/v1/sys/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Server(url, process, faults=False)
    finally:
        _end(process)


@pytest.fixture(params=["dev", "real"])
def vault(request: Any) -> Server:
    """Run a test on the development server and on a real Vault."""
    server: Server = request.getfixturevalue(request.param)
    return server
