"""Forks, threads, and the end of the interpreter, with pools that are in use."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest
import sqlalchemy as sa

from secrets_service import ResilientVaultClient, VaultConfig
from secrets_service.integrations.sqlalchemy import rotate
from tests.ending import DAEMON, assert_it_ends
from tests.test_fork import in_children

from .conftest import LONG

if TYPE_CHECKING:
    from typing_extensions import Self

    from .conftest import Stage

# Python 3.12 warns of forks with threads about, which is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")

ROOT = Path(__file__).parent.parent.parent
WORKERS = 4
PATIENCE_SECONDS = 90.0
THREADS = 32
THREADS_SECONDS = 60.0 if LONG else 3.0


class Unix(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


def ask(path: Path) -> dict[str, Any]:
    connection = Unix(path)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        told: dict[str, Any] = json.loads(body)
        return told
    finally:
        connection.close()


class Workers:
    """gunicorn with a preloaded application, and what its workers have told."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._socket = folder / "socket"
        self._log = folder / "log"
        self._environment = {
            **os.environ,
            "VAULT_ADDR": stage.vault.addr,
            "VAULT_AUTH_METHOD": "token",
            "VAULT_TOKEN": stage.vault.root_token,
            "VAULT_CACHE_TTL_SECONDS": "1",
            "TEST_DATABASE": stage.url("psycopg"),
        }
        self.users: dict[int, set[str]] = defaultdict(set)
        self.secrets: dict[int, set[str]] = defaultdict(set)
        self.backends: dict[int, set[int]] = defaultdict(set)
        self.failures: list[BaseException] = []

    def __enter__(self) -> Self:
        options = ["--preload", "--workers", str(WORKERS), "--bind", f"unix:{self._socket}", "--no-control-socket"]
        with self._log.open("wb") as output:
            self._gunicorn = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *options, "tests.integrations.preloaded:application"],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not self._socket.exists():
            assert self._gunicorn.poll() is None, self.told()
            assert time.monotonic() < give_up, self.told()
            time.sleep(0.1)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._gunicorn.send_signal(signal.SIGTERM)
        try:
            self._gunicorn.wait(30)
        finally:
            self._gunicorn.kill()
            self._gunicorn.wait()

    @property
    def exit_code(self) -> int:
        return self._gunicorn.returncode

    def told(self) -> str:
        return self._log.read_text()

    def visit_all(self) -> None:
        visitors = [threading.Thread(target=self._visit) for _ in range(2 * WORKERS)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        assert self.failures == [], self.told()

    def _visit(self) -> None:
        try:
            told = ask(self._socket)
            process, parent = told["process"], told["parent"]
            assert process != parent["process"]
        except BaseException as error:  # noqa: BLE001
            self.failures.append(error)
            return
        self.users[process].add(told["user"])
        self.secrets[process].add(told["secret"])
        self.backends[process].add(told["backend"])
        self.backends[parent["process"]].add(parent["backend"])


def test_row30_gunicorn_preload_every_worker_reads_and_sees_rotations(stage: Stage, tmp_path: Path) -> None:
    stage.vault.put("secret/preloaded", {"value": "first"})
    workers = Workers(stage, tmp_path)
    with workers:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while len(workers.users) < WORKERS:
            workers.visit_all()
            assert time.monotonic() < give_up, (workers.users, workers.told())
        stage.vault.put("secret/preloaded", {"value": "second"})
        while not (
            all(len(seen) >= 2 for seen in workers.users.values())
            and all("second" in seen for seen in workers.secrets.values())
        ):
            workers.visit_all()
            assert time.monotonic() < give_up, (workers.users, workers.secrets, workers.told())
    # Everybody had connections of its own, the parent included, and a lease of its own.
    backends = [backend for seen in workers.backends.values() for backend in seen]
    assert len(workers.backends) == WORKERS + 1
    assert len(backends) == len(set(backends))
    users = [user for seen in workers.users.values() for user in seen]
    assert len(users) == len(set(users))
    assert workers.exit_code == 0, workers.told()
    assert "Traceback" not in workers.told()
    assert "panicked" not in workers.told()


def test_row30_forked_children_have_pools_and_leases_of_their_own(stage: Stage) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_database_credentials("app")
        engine = rotate(sa.create_engine(stage.url("psycopg")), credentials)

        def look() -> tuple[str, int]:
            with engine.connect() as connection:
                row = connection.execute(sa.text("SELECT current_user::text, pg_backend_pid()")).one()
                return row[0], row[1]

        def see_a_rotation() -> tuple[set[str], set[int]]:
            users: set[str] = set()
            backends: set[int] = set()
            give_up = time.monotonic() + 50
            while len(users) < 2 and time.monotonic() < give_up:
                user, backend = look()
                users.add(user)
                backends.add(backend)
                time.sleep(0.05)
            return users, backends

        ours = look()
        seen = [({ours[0]}, {ours[1]}), *in_children(WORKERS, see_a_rotation)]
        assert all(len(users) >= 2 for users, _ in seen[1:]), seen
        everyone = [item for users, backends in seen for item in (*users, *backends)]
        assert len(everyone) == len(set(everyone))
        # The parent's connection is still its own, and works.
        assert look()[1]
        engine.dispose()


def test_row30_many_threads(stage: Stage) -> None:
    paths = [f"secret/threads-{number}" for number in range(8)]
    for path in paths:
        stage.vault.put(path, {"path": path})
    config = VaultConfig(stage.vault.addr, "token", token=stage.vault.root_token, cache_ttl_seconds=1)
    with ResilientVaultClient(config) as vault:
        credentials = vault.rotating_database_credentials("app")
        engine = rotate(sa.create_engine(stage.url("psycopg"), pool_size=8), credentials)
        stop = threading.Event()
        failures: list[BaseException] = []
        counts = [0] * THREADS

        def query() -> None:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))

        def look() -> None:
            rotation = credentials.current()
            # Unless there has been a rotation in between.
            assert credentials.keeps(rotation.generation) or credentials.current().generation > rotation.generation
            assert rotation.password not in repr(rotation)
            assert credentials.usable().generation >= rotation.generation
            assert vault.leases()
            assert vault.stats()["logins"] >= 1
            credentials.changed(0.01)

        def work(number: int) -> None:
            path = paths[number % len(paths)]
            jobs: list[Callable[[], object]] = [
                lambda: vault.get_secret(path),
                lambda: vault.get_secret(path, bypass_cache=True),
                look,
                query,
            ]
            while not stop.is_set():
                try:
                    jobs[counts[number] % len(jobs)]()
                except BaseException as error:  # noqa: BLE001
                    failures.append(error)
                    return
                counts[number] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        stop.wait(THREADS_SECONDS)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not (all(counts) or failures) and time.monotonic() < give_up:
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join()
        engine.dispose()
    print(f"\n{THREADS} threads, {THREADS_SECONDS:.0f} s: {sum(counts)} calls, {len(failures)} failed")
    assert failures == []
    assert all(counts)


PROLOGUE = (
    DAEMON
    + """
import asyncio, os, threading, time
import sqlalchemy as sa
from secrets_service import *
from secrets_service.integrations import asyncpg, psycopg, sqlalchemy
config = VaultConfig(os.environ["TEST_VAULT"], "token", token="root")
url = os.environ["TEST_DATABASE"]
"""
)

ENDINGS = {
    "sqlalchemy": """
vault = ResilientVaultClient(config)
credentials = vault.rotating_database_credentials("app")
engine = sqlalchemy.rotate(sa.create_engine(url.replace(":", "+psycopg:", 1)), credentials)
def query():
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
query()
for _ in range(4): daemon(query)
time.sleep(0.5)
""",
    "psycopg": """
vault = ResilientVaultClient(config)
pool = psycopg.connection_pool(vault.rotating_database_credentials("app"), url, open=True)
def query():
    with pool.connection() as connection:
        connection.execute("SELECT 1")
query()
time.sleep(0.5)
""",
    "asyncpg_in_a_thread": """
vault = AsyncResilientVaultClient(config)
async def main():
    credentials = await vault.rotating_database_credentials("app")
    async with asyncpg.create_pool(credentials, url, min_size=2) as pool:
        while True:
            await pool.execute("SELECT 1")
daemon(lambda: asyncio.run(main()))
time.sleep(1.5)
""",
    "a_thread_that_waits_for_a_rotation": """
vault = ResilientVaultClient(config)
credentials = vault.rotating_database_credentials("app")
daemon(credentials.changed)
time.sleep(0.2)
""",
}


@pytest.mark.parametrize("pool", ENDINGS)
def test_row30_the_interpreter_ends_with_pools_in_use(stage: Stage, pool: str) -> None:
    assert_it_ends(PROLOGUE + ENDINGS[pool], TEST_VAULT=stage.vault.addr, TEST_DATABASE=stage.database.url)
