"""hvac, unchanged, through `secrets-service agent`: what it gets is what Vault itself answers, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import hvac
import pytest
from hvac.adapters import RawAdapter

from secrets_service.testing import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secrets_service._native import DevPostgres, DevVault

    from .real_vault import AnyVault

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
# A frozen Vault costs a reader two; the rest is for a busy machine.
FROZEN_SECONDS = 5.0


@pytest.fixture(scope="session")
def program() -> str:
    """The command: SECRETS_SERVICE_BIN, else built here."""
    given = os.environ.get("SECRETS_SERVICE_BIN")
    if given:
        return given
    build = ["cargo", "build", "--locked", "-p", "secrets-service-cli", "--message-format=json-render-diagnostics"]
    built = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    programs = [json.loads(line).get("executable") for line in built.stdout.splitlines()]
    return next(str(program) for program in programs if program)


@contextmanager
def agent_before(program: str, address: str, **variables: str) -> Iterator[str]:
    """An agent in front of the Vault at `address`, with a login of its own; where it listens."""
    environment = {"VAULT_ADDR": address, "VAULT_TOKEN": "root", "HOME": "/nonexistent", **variables}
    command = [program, "agent", "--listen", "127.0.0.1:0", "--admin", "none"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as agent:
        assert agent.stderr is not None
        # Ends the wait below, should the agent say nothing at all.
        watchdog = threading.Timer(START_SECONDS, agent.kill)
        watchdog.start()
        try:
            said = []
            for line in agent.stderr:
                said.append(line)
                if line.startswith("agent at "):
                    watchdog.cancel()
                    yield line.removeprefix("agent at ").strip()
                    break
            else:
                pytest.fail(f"the agent does not start: {''.join(said)}")
        finally:
            watchdog.cancel()
            agent.kill()


@pytest.fixture
def agent(program: str, vault: AnyVault) -> Iterator[str]:
    with agent_before(program, vault.addr) as address:
        yield address


Ask = Callable[[hvac.Client], Any]


def comparable(answer: Any) -> tuple[int, str, int, Any]:  # noqa: ANN401
    """Status, type, length and content; the only thing that differs from one answer to the next is the request's id."""
    content = answer.content
    body = json.loads(content) if content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status_code, answer.headers.get("Content-Type", ""), len(content), body


def read(client: hvac.Client, path: str, **more: object) -> Any:  # noqa: ANN401
    """A KV v2 secret: the newest version, or the one that is asked for."""
    return client.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True, **more)


def raw(address: str, token: str | None = "root") -> hvac.Client:  # noqa: S107
    return hvac.Client(url=address, token=token, adapter=RawAdapter)


def test_row01_hvac_gets_through_the_agent_what_vault_answers(vault: AnyVault, agent: str, fresh_path: str) -> None:
    mount, _, path = fresh_path.partition("/")
    vault.put(
        fresh_path, {"password": "canary", "port": 5432, "ratio": 1.50, "text": 'ä "quoted" \\ <&>', "none": None}
    )
    vault.put(fresh_path, {"password": "second"})
    old = f"kv1-{path.partition('/')[0]}"
    vault.request("POST", f"sys/mounts/{old}", {"type": "kv", "options": {"version": "1"}})
    vault.request("POST", f"{old}/plain", {"a": "b", "ttl": "30m", "n": 1})
    questions: dict[str, Ask] = {
        "newest version": lambda client: read(client, path, mount_point=mount),
        "first version": lambda client: read(client, path, mount_point=mount, version=1),
        "KV v1": lambda client: client.secrets.kv.v1.read_secret("plain", mount_point=old),
        "KV v1 list": lambda client: client.secrets.kv.v1.list_secrets("", mount_point=old),
        "list": lambda client: client.secrets.kv.v2.list_secrets(path.partition("/")[0], mount_point=mount),
        "metadata": lambda client: client.secrets.kv.v2.read_secret_metadata(path, mount_point=mount),
        "engine": lambda client: client.secrets.kv.v2.read_configuration(mount_point=mount),
        "seal": lambda client: client.sys.read_seal_status(),
        "leader": lambda client: client.sys.read_leader_status(),
        "policies": lambda client: client.sys.list_policies(),
    }
    direct, through, without_token = raw(vault.addr), raw(agent), raw(agent, token=None)
    for name, ask in questions.items():
        expected = comparable(ask(direct))
        # Twice: from Vault and, where it is kept, from the cache.
        for client in (through, through, without_token, without_token):
            assert comparable(ask(client)) == expected, name


def test_hvac_is_refused_as_vault_refuses(vault: AnyVault, agent: str) -> None:
    questions: dict[str, Ask] = {
        "no such secret": lambda client: read(client, "none"),
        "no such path": lambda client: client.read("sys/nonsense"),
        "not a token": lambda client: hvac.Client(url=client.url, token="made-up").read("secret/data/none"),
    }
    for name, ask in questions.items():
        refusals = []
        for address in (vault.addr, agent, agent):
            try:
                refusals.append(ask(hvac.Client(url=address, token="root")))
            except hvac.exceptions.VaultError as refusal:
                refusals.append((type(refusal), refusal.errors, refusal.json))
        assert refusals[1:] == [refusals[0]] * 2, name


# hvac's own `patch` reads in the way that it warns of.
@pytest.mark.filterwarnings("ignore:The raise_on_deleted_version:DeprecationWarning")
def test_hvac_writes_through_the_agent(agent: str, fresh_path: str) -> None:
    path = fresh_path.removeprefix("secret/")
    client = hvac.Client(url=agent, token="root")
    assert client.is_authenticated()
    kv = client.secrets.kv.v2

    def fields() -> Any:  # noqa: ANN401
        return read(client, path)["data"]["data"]

    assert kv.create_or_update_secret(path, {"a": "1"}, cas=0)["data"]["version"] == 1
    assert fields() == {"a": "1"}
    kv.patch(path, {"b": "2"})
    assert fields() == {"a": "1", "b": "2"}, "what was kept of it is gone"
    with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set"):
        kv.create_or_update_secret(path, {"a": "3"}, cas=7)
    kv.delete_latest_version_of_secret(path)
    with pytest.raises(hvac.exceptions.InvalidPath):
        fields()
    kv.undelete_secret_versions(path, [2])
    assert fields() == {"a": "1", "b": "2"}
    wrapped = client.read(f"secret/data/{path}", wrap_ttl="60s")
    unwrapped = client.sys.unwrap(wrapped["wrap_info"]["token"])
    assert unwrapped["data"]["data"] == {"a": "1", "b": "2"}
    kv.delete_metadata_and_all_versions(path)
    with pytest.raises(hvac.exceptions.InvalidPath):
        fields()


def test_hvac_gets_database_credentials_of_one_lease(vault: AnyVault, agent: str, postgres: DevPostgres) -> None:
    database = Database(vault, postgres)
    role = database.role("agent")
    direct = hvac.Client(url=vault.addr, token="root")
    client = hvac.Client(url=agent, token="root")
    first = client.secrets.database.generate_credentials(role)
    assert client.secrets.database.generate_credentials(role) == first, "the same bytes, the request's id too"
    other = direct.secrets.database.generate_credentials(role)
    assert other["lease_id"] != first["lease_id"]
    assert other.keys() == first.keys()
    assert other["data"].keys() == first["data"].keys()
    client.sys.revoke_lease(first["lease_id"])
    third = client.secrets.database.generate_credentials(role)
    assert third["lease_id"] != first["lease_id"], "who revokes a lease through the agent is not given it again"
    for answer in (other, third):
        direct.sys.revoke_lease(answer["lease_id"])


def test_hvac_goes_on_reading_when_vault_is_frozen(program: str, dev: DevVault) -> None:
    dev.put("secret/app", {"password": "canary"})
    with agent_before(program, dev.addr, VAULT_CACHE_TTL_SECONDS="1") as address:
        client = raw(address, token=None)
        before = comparable(read(client, "app"))
        dev.freeze()
        # Fresh until its second is over, labelled from then on, the same to the client all the time.
        started, states = time.monotonic(), set()
        while "STALE" not in states and time.monotonic() - started < START_SECONDS:
            asked = time.monotonic()
            answer = read(client, "app")
            assert comparable(answer) == before
            assert time.monotonic() - asked < FROZEN_SECONDS
            states.add(answer.headers["X-Cache"])
        assert states >= {"HIT", "STALE"}
        assert int(answer.headers["Age"]) >= 1
