"""Canaries: no secret in a text, an exception, a traceback with locals, or a log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import pydoc
import threading
import traceback
from types import TracebackType
from typing import Any, Callable, Optional

import pytest

import gds_vault
from gds_vault import (
    AppRoleAuth,
    AsyncVaultClient,
    AuthStrategy,
    EnvironmentAuth,
    RetryPolicy,
    TokenAuth,
    VaultClient,
    VaultTransport,
)
from tests.scripted import Reply, Scripted, kv2

TOKEN = "hvs.canary-token-0000"
SECRET_ID = "canary-secret-id-0000"
ROLE_ID = "canary-role-id-0000"
VALUE = "canary-value-0000"
CANARIES = (TOKEN, SECRET_ID, ROLE_ID, VALUE, "canary")

APP = "secret/data/app"
ONCE = RetryPolicy(max_retries=0)


def locals_of_our_frames(traceback_: Optional[TracebackType]) -> str:
    """Everything that `cgitb` would print of our frames."""
    shown = []
    for frame, _ in traceback.walk_tb(traceback_):
        if "/gds_vault/" in frame.f_code.co_filename:
            for name, value in frame.f_locals.items():
                shown.append(f"{name} = {pydoc.text.repr(value)} {value!r}")
                # What objects of ours hold by name, as debuggers and crash reporters open them.
                attributes = vars(value) if hasattr(value, "__dict__") and not isinstance(value, type) else {}
                shown += [f"{name}.{key} = {item!r}" for key, item in attributes.items()]
    return "\n".join(shown)


def everything_said(error: BaseException) -> str:
    said = []
    seen: list[BaseException] = []
    current: Optional[BaseException] = error
    while current is not None and current not in seen:
        seen.append(current)
        said += [str(current), repr(current), repr(current.args), locals_of_our_frames(current.__traceback__)]
        said.append(repr(vars(current)))
        current = current.__cause__ or current.__context__
    said += traceback.TracebackException.from_exception(error, capture_locals=False).format()
    return "\n".join(said)


def assert_no_canary(text: str) -> None:
    assert [canary for canary in CANARIES if canary in text] == [], text


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def approle(scripted: Scripted, **kw: Any) -> VaultClient:
    return VaultClient(scripted.url, role_id=ROLE_ID, secret_id=SECRET_ID, retry_policy=ONCE, **kw)


@pytest.fixture
def server(scripted: Scripted) -> Scripted:
    scripted.login(TOKEN)
    scripted.secret(APP, password=VALUE)
    scripted.on("GET", "secret/data/bad", Reply(500, {"errors": [f"no {TOKEN}"]}))
    return scripted


def test_objects_show_nothing(server: Scripted, logs: pytest.LogCaptureFixture) -> None:
    client = approle(server)
    client.get_secret(APP)
    client.list_secrets  # noqa: B018
    token = client._token
    assert token is not None
    answer = token.session.read(APP).wait()
    login = client._transport.login(AppRoleAuth(ROLE_ID, SECRET_ID).login_method()).wait()
    shown: list[Any] = [
        client,
        client.get_all_config(),
        client.cache_stats,
        client._cache,
        token,
        token.session,
        answer,
        login,
        login.token,
        client._auth,
        vars(client._auth),
        client._stale(APP),
        TokenAuth(TOKEN),
        vars(TokenAuth(TOKEN)),
        client._transport,
        client._flights,
    ]
    for item in shown:
        assert_no_canary(f"{item!r} {item!s} {pydoc.text.repr(item)}")
    assert_no_canary(repr(vars(client)))
    assert_no_canary(logs.text)
    with pytest.raises(TypeError):
        pickle.dumps(login.token)


class Unkind(AuthStrategy):
    def authenticate(self, *_args: Any, **_kw: Any) -> tuple[str, float]:
        return (TOKEN, "not a time")  # type: ignore[return-value]


class FailingCache:
    def get(self, key: str) -> None: ...

    def set(self, key: str, value: Any) -> None:
        del value
        raise RuntimeError("full")

    def remove(self, key: str) -> bool:
        return False

    def clear(self) -> None: ...

    def get_stats(self) -> dict[str, Any]:
        return {}

    def __len__(self) -> int:
        return 0

    def __contains__(self, key: object) -> bool:
        return False


FAILURES: dict[str, Callable[[Scripted], object]] = {
    "server error": lambda server: approle(server).get_secret("secret/data/bad"),
    "not found": lambda server: approle(server).get_secret("secret/data/none"),
    "nobody there": lambda _: VaultClient("http://127.0.0.1:1", token=TOKEN, retry_policy=ONCE).get_secret(APP),
    "no address": lambda _: VaultClient(token=TOKEN, secret_id=SECRET_ID),
    "bad address": lambda _: VaultClient.from_token(TOKEN, "vault:8200"),
    "bad config": lambda _: VaultClient.from_config({"token": TOKEN, "secret_id": SECRET_ID, "vault_addr": "x"}),
    "bad keyword": lambda _: VaultClient.from_environment(token=TOKEN, vault_addr="x"),
    "bad timeout": lambda server: VaultClient(server.url, token=TOKEN, timeout=-1),
    "bad certificate": lambda server: VaultClient(server.url, token=TOKEN, ssl_cert_path="/nowhere"),
    "half of approle": lambda _: AppRoleAuth(secret_id=SECRET_ID),
    "half of approle in a client": lambda server: VaultClient(server.url, secret_id=SECRET_ID),
    "unkind strategy": lambda server: VaultClient(server.url, Unkind(), retry_policy=ONCE).get_secret(APP),
    "cache that fails": lambda server: approle(server, cache=FailingCache()).get_secret(APP),
    "bad path": lambda server: approle(server).get_secret("a/../b"),
    "renewal": lambda server: approle(server).renew_token(),
    "list": lambda server: approle(server).list_secrets("secret/metadata/none"),
    "strategy alone": lambda server: AppRoleAuth(ROLE_ID, SECRET_ID, mount_path="none").authenticate(server.url, 5),
    "transport": lambda server: VaultTransport(server.url).post("none", {"a": VALUE}, TOKEN),
    "bad body": lambda server: VaultTransport(server.url).post("none", {"a": VALUE, "b": object()}, TOKEN),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_show_nothing(name: str, server: Scripted, logs: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is another test's business
        FAILURES[name](server)
    assert_no_canary(everything_said(caught.value))
    assert_no_canary(logs.text)


def test_async_failures_show_nothing(server: Scripted, logs: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        client = AsyncVaultClient(server.url, role_id=ROLE_ID, secret_id=SECRET_ID, retry_policy=ONCE)
        await client.get_secret(APP)
        await client.get_secret("secret/data/bad")

    with pytest.raises(gds_vault.VaultConnectionError) as caught:
        asyncio.run(main(), debug=True)
    assert_no_canary(everything_said(caught.value))
    assert_no_canary(logs.text)


def test_a_value_out_of_the_cache_is_not_shown_by_what_fails_later(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = approle(server)
    client.get_secret(APP)

    def fail(*_args: object, **_kw: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client._metrics, "increment", fail)
    with pytest.raises(KeyboardInterrupt) as caught:
        client.get_secret(APP)
    assert_no_canary(everything_said(caught.value))


def test_vault_repeating_what_it_was_sent(server: Scripted, logs: pytest.LogCaptureFixture) -> None:
    echo = {"errors": [f"no {ROLE_ID} with {SECRET_ID}"]}
    server.on("POST", "auth/approle/login", Reply(400, echo))
    with pytest.raises(gds_vault.VaultAuthError) as caught:
        approle(server).authenticate()
    assert_no_canary(everything_said(caught.value))
    server.on("GET", "secret/data/echo", Reply(403, {"errors": [f"token {TOKEN} may not"]}))
    server.login(TOKEN)
    with pytest.raises(gds_vault.VaultPermissionError) as denied:
        approle(server).get_secret("secret/data/echo")
    assert_no_canary(everything_said(denied.value))
    assert_no_canary(logs.text)


def test_bodies_that_are_no_json_are_not_shown(server: Scripted, logs: pytest.LogCaptureFixture) -> None:
    for body in (VALUE.encode(), b'{"data": {"a": "canary"', b'{"data": {"canary": ' + b"[" * 2000):
        server.on("GET", "secret/data/odd", Reply(200, body))
        with pytest.raises(gds_vault.VaultError) as caught:
            approle(server).get_secret("secret/data/odd")
        assert_no_canary(everything_said(caught.value))
    assert_no_canary(logs.text)


def test_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    auth = EnvironmentAuth()
    monkeypatch.delenv("VAULT_TOKEN")
    assert_no_canary(repr(vars(auth)))


def test_an_interrupted_thread_shows_nothing(server: Scripted) -> None:
    gate = threading.Event()
    server.on("GET", "secret/data/slow", Reply(200, kv2({"a": VALUE}), gate=gate))
    said: list[str] = []

    def read() -> None:
        try:
            approle(server, timeout=0.2).get_secret("secret/data/slow")
        except gds_vault.VaultError as error:
            said.append(everything_said(error))

    thread = threading.Thread(target=read)
    with contextlib.ExitStack() as stack:
        stack.callback(gate.set)
        thread.start()
        thread.join()
    assert said
    assert_no_canary("".join(said))
